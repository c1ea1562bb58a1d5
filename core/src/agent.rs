//! Agents: acting, remembering, learning.

use std::{
    fmt,
    io::{Read, Write},
};

use pliant_envs::{env::EnvSpec, vector::Batch};
use tch::{Device, Tensor};

use crate::{
    clock::Clock,
    error::{Error, Result},
    intervention::Interventions,
    learner::Learner,
    metrics::Metrics,
    not_finite::FailedUpdate,
    precision::Precision,
    probe::{ProbeData, Transitions},
    seeds::{Seeds, Stream},
    state::Checkpoint,
};

/// What an agent is built from.
pub struct AgentContext<'a> {
    /// The environments' specification.
    pub env: &'a EnvSpec,
    /// How many environments step together.
    pub num_envs: usize,
    /// The networks and optimiser, already built.
    pub learner: Learner,
    /// What updates compute in.
    pub precision: Precision,
    /// Whether what is done on a GPU again and again may be recorded as CUDA graphs.
    pub cuda_graphs: bool,
    /// Where the agent's streams come from.
    pub seeds: Seeds,
}

/// A checked configuration from which an agent can be built.
pub trait AgentFactory: fmt::Debug {
    /// Bytes the agent's replay takes when full, in main memory or where [`Agent::replay_device`] says.
    fn replay_bytes(&self, env: &EnvSpec) -> u64;

    /// True if it learns from the right actions that a [supervised](EnvSpec::supervised) environment
    /// tells, and fits no other; by default it learns from rewards, and fits those others alone.
    fn is_supervised(&self) -> bool {
        false
    }

    /// Builds the agent.
    fn build(&self, context: AgentContext<'_>) -> Result<Box<dyn Agent>>;
}

/// An agent: the runner calls `act`, `learn`, `observe` in this order, each once per step.
pub trait Agent: Checkpoint {
    /// The first observations of all environments, as a reset left them.
    fn begin(&mut self, batch: &Batch);

    /// Chooses one action per environment by the behaviour policy.
    fn act(&mut self, clock: &Clock) -> Vec<usize>;

    /// Makes the updates that are due on what the replay already holds.
    fn learn(
        &mut self,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<()>;

    /// One update on these transitions rather than on drawn ones: to make one that failed once more. An
    /// agent of which this cannot be asked says so.
    fn update_on(
        &mut self,
        _batch: &Transitions,
        _clock: &mut Clock,
        _interventions: &mut Interventions,
        _metrics: &mut Metrics,
    ) -> Result<()> {
        Err(Error::Invalid("this agent makes no update on given transitions".to_owned()))
    }

    /// The update that went wrong, after [`Self::learn`] has failed with
    /// [`Error::NotFinite`]. The agent is as before that update, which is still due.
    fn failed_update(&self) -> Option<&FailedUpdate> {
        None
    }

    /// What the updates since the last call gave, averaged; called when a log period ends.
    fn drain_metrics(&mut self, metrics: &mut Metrics);

    /// Takes in what came of the actions.
    fn observe(&mut self, actions: &[usize], batch: &Batch);

    /// The evaluation policy: epsilon-greedy on observations u8 `[n, channels, height, width]`.
    fn evaluate(&self, observations: &Tensor, epsilon: f64, stream: &mut Stream) -> Vec<usize>;

    /// The most updates that an agent which is new makes in so many agent steps.
    fn most_updates(&self, agent_steps: u64) -> u64;

    /// Updates between two of the target network.
    fn target_period_updates(&self) -> u64;

    /// The networks and optimiser.
    fn learner(&self) -> &Learner;

    /// The networks and optimiser, for interventions.
    fn learner_mut(&mut self) -> &mut Learner;

    /// The replay, for probes.
    fn data(&self) -> &dyn ProbeData;

    /// Present value of the exploration rate, for logs.
    fn exploration(&self, clock: &Clock) -> f64;

    /// Where what the replay keeps lies.
    fn replay_device(&self) -> Device {
        Device::Cpu
    }

    /// Writes the replay, which may be too large to copy.
    fn save_replay(&self, out: &mut dyn Write) -> Result<()>;

    /// Takes up a replay written by `save_replay` of the same configuration.
    fn load_replay(&mut self, input: &mut dyn Read) -> Result<()>;
}
