//! One Atari game as an environment.

#[cfg(test)]
mod tests;

use ale_sys::{Emulator, Status};
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{AtariConfig, preprocessing::Preprocessing};
use crate::{
    env::{Env, EnvError, EnvSpec, Picture, Step},
    state::{StateReader, StateWriter, shown},
};

/// Layout of the saved state.
const STATE_KIND: &str = "pliant atari 3";
/// Points of a few frames: scores have six digits or so.
const MAX_OWED_POINTS: u64 = 1 << 32;
const NOOP: u32 = 0;
const FIRE: u32 = 1;

/// A game, its preprocessing and the generator of its no-ops.
#[derive(Debug)]
pub struct Atari {
    emulator: Emulator,
    preprocessing: Preprocessing,
    config: AtariConfig,
    actions: Vec<u32>,
    spec: EnvSpec,
    noops: ChaCha8Rng,
    lives: u32,
    phase: Phase,
    /// Points of frames between two episodes of one game; the next step pays them.
    owed_points: i64,
}

/// Where the episode and its game stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No episode is running; the next one starts a game.
    Over,
    /// An episode is running.
    Playing,
    /// A lost life ended the episode; the next one goes on with its game.
    BetweenLives,
}

impl Phase {
    fn after(step: &Step) -> Self {
        match (step.is_last(), step.game_goes_on) {
            (false, _) => Self::Playing,
            (true, true) => Self::BetweenLives,
            (true, false) => Self::Over,
        }
    }

    fn of_number(number: u64) -> Result<Self, EnvError> {
        [Self::Over, Self::Playing, Self::BetweenLives]
            .into_iter()
            .find(|phase| *phase as u64 == number)
            .ok_or_else(|| EnvError::State(format!("it has a phase {number} that is none")))
    }
}

/// What one decision's frames came to.
#[derive(Debug, Default)]
struct Outcome {
    points: i64,
    frames: u32,
    lost_life: bool,
    status: Status,
}

impl Atari {
    pub(super) fn new(
        emulator: Emulator,
        config: AtariConfig,
        actions: Vec<u32>,
        spec: EnvSpec,
    ) -> Result<Self, EnvError> {
        Ok(Self {
            preprocessing: Preprocessing::new(&emulator, config.frame_skip, config.screen_size)?,
            noops: ChaCha8Rng::seed_from_u64(0),
            lives: 0,
            phase: Phase::Over,
            owed_points: 0,
            emulator,
            config,
            actions,
            spec,
        })
    }

    fn reseed(&mut self, seed: u64) -> Result<(), EnvError> {
        self.noops = ChaCha8Rng::seed_from_u64(seed);
        Ok(self.emulator.reload(random_seed(seed))?)
    }

    /// The frames of an episode that no decision takes: no-ops, then FIRE.
    fn play_opening(&mut self) -> Result<(), EnvError> {
        let noops = if self.config.noop_max > 0 {
            self.noops.random_range(1..=self.config.noop_max)
        } else {
            0
        };
        let opening = std::iter::repeat_n(NOOP, noops as usize)
            .chain(std::iter::repeat_n(FIRE, self.fires() as usize));
        for action in opening {
            self.emulator.act(action)?;
            let status = self.emulator.status()?;
            if status.terminal || status.truncated {
                self.emulator.reset()?; // an episode that the no-ops ended starts again
            }
        }
        Ok(())
    }

    /// Frames of FIRE with which an episode begins.
    fn fires(&self) -> u32 {
        let presses = self.config.fire_on_reset && self.actions.contains(&FIRE);
        if presses { self.config.frame_skip } else { 0 }
    }

    fn start_game(&mut self, seed: Option<u64>) -> Result<(), EnvError> {
        self.owed_points = 0;
        if let Some(seed) = seed {
            self.reseed(seed)?;
        }
        self.emulator.reset()?;
        self.play_opening()?;
        self.lives = self.emulator.status()?.lives;
        self.preprocessing.begin(&self.emulator);
        Ok(())
    }

    /// The episode after a lost life: the observation stays as it is, unless FIRE is pressed. Should
    /// the game end meanwhile, the next step reports it.
    fn continue_game(&mut self) -> Result<(), EnvError> {
        let fires = self.fires();
        for _ in 0..fires {
            self.owed_points += i64::from(self.emulator.act(FIRE)?);
        }
        if fires > 0 {
            self.preprocessing.begin(&self.emulator);
        }
        Ok(())
    }

    /// Holds `action` for the frame skip, or until the episode ends.
    fn play(&mut self, action: u32) -> Result<Outcome, EnvError> {
        let points = std::mem::take(&mut self.owed_points);
        let mut outcome = Outcome { points, ..Outcome::default() };
        for t in 0..self.config.frame_skip {
            outcome.points += i64::from(self.emulator.act(action)?);
            outcome.frames += 1;
            outcome.status = self.emulator.status()?;
            outcome.lost_life |= outcome.status.lives < self.lives;
            self.lives = outcome.status.lives;
            if self.is_over(&outcome) {
                break;
            }
            self.preprocessing.take(t, &self.emulator);
        }
        Ok(outcome)
    }

    fn is_over(&self, outcome: &Outcome) -> bool {
        self.is_terminated(outcome) || outcome.status.truncated
    }

    fn is_terminated(&self, outcome: &Outcome) -> bool {
        outcome.status.terminal || (self.config.terminal_on_life_loss && outcome.lost_life)
    }

    fn summary(&self, outcome: &Outcome) -> Step {
        let raw_reward = outcome.points as f32;
        let terminated = self.is_terminated(outcome);
        let is_game_over = outcome.status.terminal || outcome.status.truncated;
        let no_future = terminated || (self.config.zero_discount_on_life_loss && outcome.lost_life);
        Step {
            reward: self.config.clipped(raw_reward),
            raw_reward,
            terminated,
            truncated: outcome.status.truncated,
            discount: if no_future { 0.0 } else { 1.0 },
            frames: outcome.frames,
            lives: outcome.status.lives,
            game_goes_on: terminated && !is_game_over && self.config.continue_after_life_loss,
            task: 0,
            right_action: None,
        }
    }
}

/// The seed straight to the ALE: its low 32 bits. All ones would mean "by the clock" to the ALE, so
/// that single seed becomes `i32::MAX`.
fn random_seed(seed: u64) -> i32 {
    match seed as u32 as i32 {
        -1 => i32::MAX,
        low => low,
    }
}

impl Env for Atari {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        let goes_on = self.phase == Phase::BetweenLives && seed.is_none();
        self.phase = Phase::Over; // should an error cut this short
        if goes_on { self.continue_game() } else { self.start_game(seed) }?;
        self.preprocessing.observe(frame);
        self.phase = Phase::Playing;
        Ok(())
    }

    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        let count = self.actions.len();
        let &number = self.actions.get(action).ok_or(EnvError::Action { action, count })?;
        if self.phase != Phase::Playing {
            return Err(EnvError::NeedsReset);
        }
        let outcome = self.play(number)?;
        self.preprocessing.observe(frame);
        let step = self.summary(&outcome);
        self.phase = Phase::after(&step);
        Ok(step)
    }

    fn render(&mut self) -> Picture {
        let (height, width) = (self.emulator.height(), self.emulator.width());
        let mut rgb = vec![0; height * width * 3];
        self.emulator.screen_rgb(&mut rgb).expect("a loaded game has a screen");
        Picture { height, width, rgb }
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        let mut state = StateWriter::new(STATE_KIND);
        state.bytes(self.emulator.game().as_bytes());
        state.u64(self.phase as u64);
        state.u64(u64::from(self.lives));
        state.u64(self.owed_points as u64);
        state.rng(&self.noops);
        state.bytes(self.preprocessing.observed());
        state.bytes(&self.emulator.save()?);
        Ok(state.finish())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut state = StateReader::new(STATE_KIND, state)?;
        let (saved, game) = (state.bytes()?, self.emulator.game());
        if saved != game.as_bytes() {
            let saved = shown(saved);
            return Err(EnvError::State(format!("it is of the game {saved}, not {game}")));
        }
        let phase = Phase::of_number(state.u64()?)?;
        let (lives, owed_points, noops) = (state.u64()? as u32, state.u64()? as i64, state.rng()?);
        if owed_points.unsigned_abs() > MAX_OWED_POINTS {
            return Err(EnvError::State(format!(
                "it owes {owed_points} points, more than a game pays"
            )));
        }
        let observed = state.exactly(self.preprocessing.observed().len(), "screen")?;
        self.emulator.restore(state.bytes()?)?;
        self.preprocessing.restore(observed);
        (self.phase, self.lives, self.noops) = (phase, lives, noops);
        self.owed_points = owed_points;
        Ok(())
    }
}
