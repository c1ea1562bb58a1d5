//! Measuring the speed of environments.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pliant_core::seeds::{Seeds, Stream};
use pliant_envs::{
    env::{EnvError, EnvFactory, Role},
    vector::VectorEnv,
};
use rand::Rng;
use serde::Serialize;

use super::median;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Environments that step together.
    pub envs: usize,
    /// Threads that step them; 0 takes one per core.
    pub threads: usize,
    /// Rounds, of which the median counts.
    pub rounds: usize,
    /// Agent steps per round, over all environments.
    pub steps: usize,
    /// Of the environments and the actions.
    pub seed: u64,
}

/// The emulator alone, to compare with, where the environments have one.
pub struct Bare {
    /// Emulators that can stand in a vector.
    pub in_step: Arc<dyn EnvFactory>,
    /// How long so many of them take on so many threads for so many steps each, if no thread waits
    /// for another.
    pub free: Box<dyn Fn(usize, usize, usize) -> Result<Duration, EnvError>>,
}

/// What was measured. Speeds and shares are medians over rounds.
#[derive(Clone, Debug, Serialize)]
pub struct EnvSpeed {
    /// What is played.
    pub tasks: Vec<String>,
    /// Environments that step together.
    pub envs: usize,
    /// Threads that step them.
    pub threads: usize,
    /// Where the work is done.
    pub device: &'static str,
    /// Agent steps per round.
    pub steps_per_round: usize,
    /// Decisions per second, over all environments.
    pub agent_steps_per_s: f64,
    /// Emulator frames per second.
    pub frames_per_s: f64,
    /// Decisions per second of each round.
    pub agent_steps_per_s_by_round: Vec<f64>,
    /// Decisions per second of the emulators alone in the same vector: all wait for the slowest,
    /// as the environments do.
    pub bare_agent_steps_per_s: Option<f64>,
    /// Share of the environments' time that those emulators take.
    pub emulation_share: Option<f64>,
    /// Decisions per second of the emulators alone on as many threads, none of which waits for
    /// another.
    pub free_agent_steps_per_s: Option<f64>,
    /// Share of the environments' time that those take.
    pub free_emulation_share: Option<f64>,
    /// Resident memory after the first round, in bytes.
    pub rss_first_round_bytes: Option<u64>,
    /// Resident memory after the last round, in bytes.
    pub rss_last_round_bytes: Option<u64>,
}

/// Steps environments with random actions, in rounds that alternate with the bare emulators'.
pub fn envs(
    factory: Arc<dyn EnvFactory>,
    load: Load,
    bare: Option<&Bare>,
) -> Result<EnvSpeed, EnvError> {
    let mut player = Player::new(factory, load)?;
    let mut alone = bare.map(|bare| Player::new(Arc::clone(&bare.in_step), load)).transpose()?;
    let steps = load.steps.div_ceil(load.envs);
    let threads = player.envs.threads();
    player.play(steps.div_ceil(10))?; // warms caches up
    let mut rounds = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..load.rounds {
        rounds.push(Round {
            ours: player.play(steps)?.as_secs_f64(),
            in_step: alone.as_mut().map(|alone| seconds(alone.play(steps))).transpose()?,
            free: bare.map(|bare| seconds((bare.free)(load.envs, threads, steps))).transpose()?,
        });
        memory.push(resident_bytes());
    }
    let count = (steps * load.envs) as f64;
    let speeds: Vec<f64> = rounds.iter().map(|round| count / round.ours).collect();
    let agent_steps_per_s = median(&speeds);
    Ok(EnvSpeed {
        tasks: player.envs.spec().tasks.clone(),
        envs: load.envs,
        threads,
        device: "cpu",
        steps_per_round: steps * load.envs,
        agent_steps_per_s,
        frames_per_s: agent_steps_per_s * player.frames as f64 / player.steps as f64,
        agent_steps_per_s_by_round: speeds,
        bare_agent_steps_per_s: median_of(&rounds, |round| Some(count / round.in_step?)),
        emulation_share: median_of(&rounds, |round| Some(round.in_step? / round.ours)),
        free_agent_steps_per_s: median_of(&rounds, |round| Some(count / round.free?)),
        free_emulation_share: median_of(&rounds, |round| Some(round.free? / round.ours)),
        rss_first_round_bytes: memory.first().copied().flatten(),
        rss_last_round_bytes: memory.last().copied().flatten(),
    })
}

/// Seconds that the same steps took.
struct Round {
    ours: f64,
    in_step: Option<f64>,
    free: Option<f64>,
}

fn seconds(duration: Result<Duration, EnvError>) -> Result<f64, EnvError> {
    duration.map(|duration| duration.as_secs_f64())
}

/// Environments under random actions.
struct Player {
    envs: VectorEnv,
    actions: Vec<usize>,
    draws: Stream,
    steps: u64,
    frames: u64,
}

impl Player {
    fn new(factory: Arc<dyn EnvFactory>, load: Load) -> Result<Self, EnvError> {
        let mut envs = VectorEnv::new(factory, Role::Training, load.envs, load.threads)?;
        let seeds: Vec<u64> =
            (0..load.envs as u64).map(|env| load.seed.wrapping_add(env)).collect();
        envs.reset(&seeds)?;
        let draws = Seeds::new(load.seed).stream("bench/actions");
        Ok(Self { actions: vec![0; load.envs], envs, draws, steps: 0, frames: 0 })
    }

    /// Takes `steps` decisions in every environment.
    fn play(&mut self, steps: usize) -> Result<Duration, EnvError> {
        let started = Instant::now();
        let count = self.envs.spec().actions.len();
        for _ in 0..steps {
            self.actions.fill_with(|| self.draws.random_range(0..count));
            self.envs.send(&self.actions)?;
            let batch = self.envs.recv()?;
            self.steps += batch.steps.len() as u64;
            self.frames += batch.steps.iter().map(|step| u64::from(step.frames)).sum::<u64>();
        }
        Ok(started.elapsed())
    }
}

/// The median of what the rounds have of a figure.
fn median_of(rounds: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    let figures: Vec<f64> = rounds.iter().filter_map(figure).collect();
    (!figures.is_empty()).then(|| median(&figures))
}

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_without_a_bare_emulator_have_no_share() {
        let share = |round: &Round| Some(round.in_step? / round.ours);
        let alone = [Round { ours: 2.0, in_step: None, free: None }];
        assert_eq!(median_of(&alone, share), None);
        let compared = [Round { ours: 4.0, in_step: Some(3.0), free: None }];
        assert_eq!(median_of(&compared, share), Some(0.75));
    }

    #[test]
    fn this_process_takes_memory() {
        assert!(resident_bytes().expect("Linux tells") > 1 << 20);
    }
}
