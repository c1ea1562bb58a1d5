//! Returns and lengths of the games played in training. Where a lost life ends the agent's episode,
//! a game is several of them.

use pliant_core::{
    error::{Error, Result},
    metrics::Metrics,
    state::{Checkpoint, StateDict},
};
use pliant_envs::env::Step;
use serde::{Deserialize, Serialize};

use crate::tasks::{distinct, tag_of};

/// A game in progress, or one that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Game {
    raw_return: f64,
    steps: u64,
    /// The task of its last step.
    task: u32,
}

/// Follows the games of all environments and hands out averages over windows of time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Episodes {
    running: Vec<Game>,
    ended: Vec<Game>,
    recent: Vec<f64>,
    rewards: f64,
    steps: u64,
}

/// Games whose mean return the progress line shows.
const RECENT: usize = 20;

impl Episodes {
    /// For this many environments.
    pub fn new(num_envs: usize) -> Self {
        Self { running: vec![Game::default(); num_envs], ..Self::default() }
    }

    /// Takes in one step of every environment; returns how many of the agent's episodes ended.
    pub fn observe(&mut self, steps: &[Step]) -> u64 {
        for (game, step) in self.running.iter_mut().zip(steps) {
            game.raw_return += f64::from(step.raw_reward);
            game.steps = game.steps.saturating_add(1);
            game.task = step.task;
            if step.right_action.is_none() {
                // Where the right one is told, agents need not ask their network for an answer.
                self.rewards += f64::from(step.raw_reward);
                self.steps = self.steps.saturating_add(1);
            }
            if step.ends_game() {
                self.recent.push(game.raw_return);
                self.ended.push(std::mem::take(game));
            }
        }
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
        steps.iter().filter(|step| step.is_last()).count() as u64
    }

    /// Mean return of the last 20 games.
    pub fn recent_return(&self) -> Option<f64> {
        mean(self.recent.iter().copied())
    }

    /// Averages since the last call; of several `tasks` also each one's own. Tasks of one tag are one.
    pub fn drain(&mut self, tasks: &[String], metrics: &mut Metrics) {
        if let Some(mean_return) = mean(self.ended.iter().map(|game| game.raw_return)) {
            metrics.scalar("episode/return", mean_return);
        }
        if tasks.len() > 1 {
            self.record_tasks(tasks, metrics);
        }
        if let Some(steps) = mean(self.ended.iter().map(|game| game.steps as f64)) {
            metrics.scalar("episode/agent_steps", steps);
        }
        if self.steps > 0 {
            metrics.scalar("train/reward_per_step", self.rewards / self.steps as f64);
        }
        self.ended.clear();
        (self.rewards, self.steps) = (0.0, 0);
    }

    fn record_tasks(&self, tasks: &[String], metrics: &mut Metrics) {
        let tags: Vec<String> = tasks.iter().map(|name| tag_of(name)).collect();
        for tag in distinct(tags.clone()) {
            let of_tag = |game: &&Game| tags.get(game.task as usize) == Some(&tag);
            let of_task = self.ended.iter().filter(of_tag);
            let returns: Vec<f64> = of_task.map(|game| game.raw_return).collect();
            if let Some(mean_return) = mean(returns.into_iter()) {
                metrics.scalar(format!("episode/return/{tag}"), mean_return);
            }
        }
    }
}

impl Checkpoint for Episodes {
    fn save(&self, state: &mut StateDict) {
        state.put("episodes", self);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        let loaded: Self = state.get("episodes")?;
        let (count, expected) = (loaded.running.len(), self.running.len());
        if count != expected {
            let text = format!("it has games of {count} environments, expected {expected}");
            return Err(Error::State(text));
        }
        *self = loaded;
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
        episodes.drain(&["pong".to_owned()], &mut metrics);
        assert_eq!(metrics.get_scalar("episode/return"), Some(8.0));
        assert_eq!(metrics.get_scalar("episode/return/pong"), None, "there is but one task");
        assert_eq!(metrics.get_scalar("episode/agent_steps"), Some(1.5));
        assert_eq!(metrics.get_scalar("train/reward_per_step"), Some(4.5));
        assert_eq!(episodes.recent_return(), Some(8.0));
    }

    #[test]
    fn rewards_of_steps_that_tell_the_right_action_are_not_averaged() {
        let mut episodes = Episodes::new(2);
        let told = Step { right_action: Some(3), ..step(0.0, false, false) };
        episodes.observe(&[told, told]);
        let mut metrics = Metrics::default();
        episodes.drain(&[], &mut metrics);
        assert_eq!(metrics.get_scalar("train/reward_per_step"), None);
    }

    #[test]
    fn a_game_that_goes_on_after_a_lost_life_counts_once_and_whole() {
        let mut episodes = Episodes::new(1);
        let life = Step { game_goes_on: true, ..step(3.0, true, false) };
        assert_eq!(episodes.observe(&[step(1.0, false, false)]), 0);
        assert_eq!(episodes.observe(&[life]), 1, "the agent's episode ended");
        let mut metrics = Metrics::default();
        episodes.drain(&[], &mut metrics);
        assert_eq!(metrics.get_scalar("episode/return"), None, "the game goes on");
        assert_eq!(episodes.observe(&[step(5.0, true, false)]), 1);
        episodes.drain(&[], &mut metrics);
        assert_eq!(metrics.get_scalar("episode/return"), Some(9.0));
        assert_eq!(metrics.get_scalar("episode/agent_steps"), Some(3.0));
    }

    #[test]
    fn several_tasks_have_returns_of_their_own() {
        let tasks = ["Pong".to_owned(), "breakout:mode=4".to_owned(), "freeway".to_owned()];
        let mut episodes = Episodes::new(3);
        let at = |task, raw_return| Step { task, ..step(raw_return, true, false) };
        episodes.observe(&[at(0, 1.0), at(1, 10.0), at(1, 20.0)]);
        let mut metrics = Metrics::default();
        episodes.drain(&tasks, &mut metrics);
        assert_eq!(metrics.get_scalar("episode/return/pong"), Some(1.0));
        assert_eq!(metrics.get_scalar("episode/return/breakout_mode_4"), Some(15.0));
        assert_eq!(metrics.get_scalar("episode/return/freeway"), None);
    }

    #[test]
    fn a_task_that_comes_again_has_one_return() {
        let tasks = ["pong".to_owned(), "breakout".to_owned(), "Pong".to_owned()];
        let mut episodes = Episodes::new(3);
        let at = |task, raw_return| Step { task, ..step(raw_return, true, false) };
        episodes.observe(&[at(0, 1.0), at(1, 10.0), at(2, 4.0)]);
        let mut metrics = Metrics::default();
        episodes.drain(&tasks, &mut metrics);
        let tagged = |tag: &str| metrics.iter().filter(|(name, _)| *name == tag).count();
        assert_eq!(tagged("episode/return/pong"), 1);
        assert_eq!(metrics.get_scalar("episode/return/pong"), Some(2.5));
    }
}
