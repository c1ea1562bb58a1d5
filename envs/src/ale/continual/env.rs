//! The environment that goes from task to task.
//!
//! ```text
//! own frames    0 ............. due ............. due ......
//! task          tasks[0]         | tasks[1]        | tasks[2]
//! the step that reaches `due` is truncated; the reset that follows it makes the next task's game
//! ```
//!
//! One game is loaded at a time: memory does not grow with the list, and a task that comes again
//! begins like any other, with nothing left over from before.

use std::sync::Arc;

use rand::RngCore;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{super::AtariFactory, factory::Schedule};
use crate::{
    env::{Env, EnvError, EnvFactory, EnvSpec, Picture, Role, Step},
    state::{StateReader, StateWriter, shown},
};

/// Layout of the saved state.
const STATE_KIND: &str = "pliant continual atari 1";

/// A list of tasks, and the game of the present one.
pub(super) struct ContinualAtari {
    tasks: Arc<[Arc<AtariFactory>]>,
    schedule: Schedule,
    role: Role,
    spec: EnvSpec,
    game: Box<dyn Env>,
    progress: Progress,
}

/// Where in the sequence it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Of the seeded reset.
    seed: u64,
    /// Changes of task since then.
    changes: u64,
    /// Frames since then, of all steps.
    frames: u64,
    /// The next reset changes the task.
    change_is_due: bool,
}

impl Progress {
    /// The seed of the present task's game: the first one's is that of the reset.
    fn game_seed(&self) -> u64 {
        if self.changes == 0 {
            return self.seed;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.changes);
        rng.next_u64()
    }
}

impl ContinualAtari {
    pub(super) fn new(
        tasks: Arc<[Arc<AtariFactory>]>,
        schedule: Schedule,
        role: Role,
        spec: EnvSpec,
    ) -> Result<Self, EnvError> {
        let game = tasks[schedule.task(0)].make(role, 1)?;
        Ok(Self { tasks, schedule, role, spec, game, progress: Progress::default() })
    }

    fn place(&self) -> usize {
        self.schedule.task(self.progress.changes)
    }

    /// Begins the task that `progress` stands at.
    fn enter(&mut self, progress: Progress, frame: &mut [u8]) -> Result<(), EnvError> {
        let mut game = self.tasks[self.schedule.task(progress.changes)].make(self.role, 1)?;
        game.reset(Some(progress.game_seed()), frame)?;
        (self.game, self.progress) = (game, progress);
        Ok(())
    }
}

impl Env for ContinualAtari {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        match seed {
            Some(seed) => self.enter(Progress { seed, ..Progress::default() }, frame),
            None if self.progress.change_is_due => {
                let changes = self.progress.changes + 1;
                self.enter(Progress { changes, change_is_due: false, ..self.progress }, frame)
            }
            None => self.game.reset(None, frame),
        }
    }

    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        if self.progress.change_is_due {
            return Err(EnvError::NeedsReset);
        }
        let mut step = Step { task: self.task(), ..self.game.step(action, frame)? };
        self.progress.frames += u64::from(step.frames);
        let due = self.schedule.next_change(self.progress.changes);
        if due.is_some_and(|due| self.progress.frames >= due) {
            self.progress.change_is_due = true;
            step.truncated |= !step.terminated;
            step.game_goes_on = false;
        }
        Ok(step)
    }

    fn task(&self) -> u32 {
        self.place() as u32
    }

    fn render(&mut self) -> Picture {
        self.game.render()
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        let mut state = StateWriter::new(STATE_KIND);
        state.bytes(self.spec.tasks[self.place()].as_bytes());
        let Progress { seed, changes, frames, change_is_due } = self.progress;
        for number in [seed, changes, frames, u64::from(change_is_due)] {
            state.u64(number);
        }
        state.bytes(&self.game.save_state()?);
        Ok(state.finish())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut state = StateReader::new(STATE_KIND, state)?;
        let saved = state.bytes()?;
        let progress = Progress {
            seed: state.u64()?,
            changes: state.count("changes of task")?,
            frames: state.count("frames")?,
            change_is_due: state.u64()? != 0,
        };
        let task = self.schedule.task(progress.changes);
        let name = &self.spec.tasks[task];
        if saved != name.as_bytes() {
            let saved = shown(saved);
            return Err(EnvError::State(format!(
                "it is in the task `{saved}`, where this list has `{name}`"
            )));
        }
        let mut game = self.tasks[task].make(self.role, 1)?;
        game.load_state(state.bytes()?)?;
        (self.game, self.progress) = (game, progress);
        Ok(())
    }
}
