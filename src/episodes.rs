//! Returns and lengths of training episodes.

use pliant_core::{
    error::Result,
    metrics::Metrics,
    state::{Checkpoint, StateDict},
};
use pliant_envs::env::Step;
use serde::{Deserialize, Serialize};

/// An episode in progress, or one that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Episode {
    raw_return: f64,
    steps: u64,
}

/// Follows the episodes of all environments and hands out averages over windows of time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Episodes {
    running: Vec<Episode>,
    ended: Vec<Episode>,
    recent: Vec<f64>,
    rewards: f64,
    steps: u64,
}

/// Episodes whose mean return the progress line shows.
const RECENT: usize = 20;

impl Episodes {
    /// For this many environments.
    pub fn new(num_envs: usize) -> Self {
        Self { running: vec![Episode::default(); num_envs], ..Self::default() }
    }

    /// Takes in one step of every environment; returns how many episodes ended.
    pub fn observe(&mut self, steps: &[Step]) -> u64 {
        let mut ended = 0;
        for (episode, step) in self.running.iter_mut().zip(steps) {
            episode.raw_return += f64::from(step.raw_reward);
            episode.steps += 1;
            self.rewards += f64::from(step.raw_reward);
            self.steps += 1;
            if step.is_last() {
                self.recent.push(episode.raw_return);
                self.ended.push(std::mem::take(episode));
                ended += 1;
            }
        }
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
        ended
    }

    /// Mean return of the last 20 episodes.
    pub fn recent_return(&self) -> Option<f64> {
        mean(self.recent.iter().copied())
    }

    /// Averages since the last call.
    pub fn drain(&mut self, metrics: &mut Metrics) {
        if let Some(mean_return) = mean(self.ended.iter().map(|episode| episode.raw_return)) {
            metrics.scalar("episode/return", mean_return);
        }
        if let Some(steps) = mean(self.ended.iter().map(|episode| episode.steps as f64)) {
            metrics.scalar("episode/agent_steps", steps);
        }
        if self.steps > 0 {
            metrics.scalar("train/reward_per_step", self.rewards / self.steps as f64);
        }
        self.ended.clear();
        (self.rewards, self.steps) = (0.0, 0);
    }
}

impl Checkpoint for Episodes {
    fn save(&self, state: &mut StateDict) {
        state.put("episodes", self);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        *self = state.get("episodes")?;
        Ok(())
    }
}

/// The mean, if there is anything.
pub fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(raw_reward: f32, terminated: bool, truncated: bool) -> Step {
        Step { raw_reward, terminated, truncated, ..Step::default() }
    }

    #[test]
    fn truncated_episodes_count_and_returns_are_not_clipped() {
        let mut episodes = Episodes::new(2);
        assert_eq!(episodes.observe(&[step(10.0, false, false), step(1.0, false, true)]), 1);
        assert_eq!(episodes.observe(&[step(5.0, true, false), step(2.0, false, false)]), 1);
        let mut metrics = Metrics::default();
        episodes.drain(&mut metrics);
        assert_eq!(metrics.get_scalar("episode/return"), Some(8.0));
        assert_eq!(metrics.get_scalar("episode/agent_steps"), Some(1.5));
        assert_eq!(metrics.get_scalar("train/reward_per_step"), Some(4.5));
        assert_eq!(episodes.recent_return(), Some(8.0));
    }
}
