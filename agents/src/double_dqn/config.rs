//! The settings of Double DQN.

use pliant_core::{
    agent::{Agent, AgentContext, AgentFactory},
    envs::env::EnvSpec,
    error::{Error, Result},
    head::TdLoss,
    schedule::LinearSchedule,
};
use serde::{Deserialize, Serialize};

use super::DoubleDqn;
use crate::{
    OnNotFinite,
    replay::{Replay, ReplayMemory},
};

/// Larger batches are taken for a mistake.
const MAX_BATCH: u64 = 1 << 16;

/// Double DQN (van Hasselt et al., 2016): Q-learning from replay, where the online network chooses
/// the next action and a lagged copy values it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoubleDqnConfig {
    /// Discount per agent step.
    pub discount: f64,
    /// Transitions in an update's batch.
    pub batch_size: u32,
    /// Transitions kept, over all environments. An episode's final frame takes a transition's place.
    pub replay_capacity: u64,
    /// Which memory keeps the replay's frames: `auto` is the GPU's where the network computes on one that has the room,
    /// main memory otherwise. Numbers do not depend on it.
    pub replay_memory: ReplayMemory,
    /// Agent steps, over all environments, before the first update.
    pub learning_starts: u64,
    /// Agent steps, over all environments, per update.
    pub update_every_agent_steps: u64,
    /// Updates between copies of the online to the target network.
    pub target_period_updates: u64,
    /// How a TD error becomes a loss.
    pub td_loss: TdLoss,
    /// Share of random actions: `from` until `start_frames`, then linearly to `to` over
    /// `over_frames`.
    pub epsilon: Epsilon,
    /// What is done about an update whose loss, gradients or parameters are not finite: `stop` ends the run
    /// with a dump of the update and a checkpoint from before it, `skip` leaves the update out. One that is
    /// left out changes nothing and is not counted: target updates and schedules wait for the next.
    pub non_finite: OnNotFinite,
    /// With `skip`: where so many updates in a row were left out, the next ends the run as `stop` does.
    pub max_skipped_in_a_row: u64,
}

impl Default for DoubleDqnConfig {
    /// DQN Zoo's `double_q`.
    fn default() -> Self {
        Self {
            discount: 0.99,
            batch_size: 32,
            replay_capacity: 1_000_000,
            replay_memory: ReplayMemory::Auto,
            learning_starts: 50_000,
            update_every_agent_steps: 4,
            target_period_updates: 7500,
            td_loss: TdLoss::Huber,
            epsilon: Epsilon::default(),
            non_finite: OnNotFinite::Stop,
            max_skipped_in_a_row: 100,
        }
    }
}

/// A share of random actions that falls linearly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Epsilon {
    /// The share up to `start_frames`.
    pub from: f64,
    /// The share from `start_frames + over_frames` on.
    pub to: f64,
    /// Frames before it begins to fall.
    pub start_frames: u64,
    /// Frames it takes to fall; 0 is a jump.
    pub over_frames: u64,
}

impl Default for Epsilon {
    /// DQN Zoo's.
    fn default() -> Self {
        Self { from: 1.0, to: 0.01, start_frames: 200_000, over_frames: 4_000_000 }
    }
}

impl Epsilon {
    /// As a schedule.
    pub fn schedule(&self) -> LinearSchedule {
        let Self { from, to, start_frames, over_frames } = *self;
        LinearSchedule { from, to, start_frames, over_frames }
    }
}

/// A checked configuration of Double DQN.
#[derive(Clone, Debug)]
pub struct Factory(DoubleDqnConfig);

impl Factory {
    /// Checks every setting.
    pub fn build(config: DoubleDqnConfig) -> Result<Box<dyn AgentFactory>> {
        let counts = [
            ("batch_size", u64::from(config.batch_size)),
            ("replay_capacity", config.replay_capacity),
            ("learning_starts", config.learning_starts),
            ("update_every_agent_steps", config.update_every_agent_steps),
            ("target_period_updates", config.target_period_updates),
            ("max_skipped_in_a_row", config.max_skipped_in_a_row),
        ];
        for (key, value) in counts {
            require(value > 0, key, value, "at least 1")?;
        }
        let size = u64::from(config.batch_size);
        require(size <= MAX_BATCH, "batch_size", size, &format!("at most {MAX_BATCH}"))?;
        let shares = [
            ("discount", config.discount),
            ("epsilon.from", config.epsilon.from),
            ("epsilon.to", config.epsilon.to),
        ];
        for (key, value) in shares {
            require((0.0..=1.0).contains(&value), key, value, "a number from 0 to 1")?;
        }
        if config.learning_starts > config.replay_capacity {
            let (starts, capacity) = (config.learning_starts, config.replay_capacity);
            return Err(Error::Invalid(format!(
                "`learning_starts` is {starts}, expected at most the `replay_capacity` of {capacity}"
            )));
        }
        Ok(Box::new(Self(config)))
    }
}

fn require(holds: bool, key: &str, value: impl std::fmt::Display, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Invalid(format!("`{key}` is {value}, expected {expected}")))
}

impl AgentFactory for Factory {
    fn replay_bytes(&self, env: &EnvSpec) -> u64 {
        Replay::bytes(env, self.0.replay_capacity as usize)
    }

    fn build(&self, context: AgentContext<'_>) -> Result<Box<dyn Agent>> {
        Ok(Box::new(DoubleDqn::new(self.0.clone(), context)?))
    }
}
