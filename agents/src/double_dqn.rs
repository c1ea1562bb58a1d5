//! Double DQN (van Hasselt et al., 2016) as DQN Zoo runs it.

mod config;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

pub use config::{DoubleDqnConfig, Epsilon, Factory};
use pliant_core::{
    agent::{Agent, AgentContext},
    clock::{Clock, crossings},
    envs::vector::Batch,
    error::{Error, Result},
    gpu::{Lane, beside},
    head::{Head, Target, TdLoss, select_action},
    intervention::Interventions,
    learner::{Forward, Learner, Losses, Training},
    metrics::Metrics,
    network::{Model, Taps},
    not_finite::FailedUpdate,
    precision::Precision,
    probe::{ProbeData, Transitions},
    schedule::LinearSchedule,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    acting::{FrameStacks, Greedy, epsilon_greedy},
    attempt::{Attempt, Changed, Failing},
    replay::{Drawn, Replay, Staging},
    td::double_q_target,
};

/// An epsilon-greedy agent that learns by Double Q-learning from replay.
pub struct DoubleDqn {
    config: DoubleDqnConfig,
    epsilon: LinearSchedule,
    num_envs: usize,
    num_actions: usize,
    learner: Learner,
    precision: Precision,
    replay: Replay,
    /// Where batches lie that a GPU learns from.
    staging: Option<Staging>,
    /// Another update comes before anything is added to the replay.
    is_followed: bool,
    stacks: FrameStacks,
    greedy: Greedy,
    exploration: Stream,
    sampling: Stream,
    dropout: Stream,
    /// Agent steps at the last call of `learn`.
    learned_at: u64,
    window: Window,
    failing: Failing,
}

impl DoubleDqn {
    /// An agent with a checked configuration. An error if the replay cannot be had.
    fn new(config: DoubleDqnConfig, context: AgentContext<'_>) -> Result<Self> {
        let AgentContext { env, num_envs, mut learner, precision, cuda_graphs, seeds } = context;
        let capacity = config.replay_capacity as usize;
        let device = learner.online.device();
        let memory = (config.replay_memory, device);
        let replay = Replay::new(env, num_envs, capacity, config.discount, memory)?;
        let batch = config.batch_size as usize;
        let staging = || Staging::new(&replay, batch, device, cuda_graphs);
        let staging = device.is_cuda().then(staging).transpose()?;
        learner.set_recording(cuda_graphs);
        Ok(Self {
            epsilon: config.epsilon.schedule(),
            num_envs,
            num_actions: env.actions.len(),
            window: Window::new(&learner),
            greedy: Greedy::new(device, cuda_graphs),
            learner,
            precision,
            replay,
            staging,
            is_followed: false,
            stacks: FrameStacks::new(env, num_envs),
            exploration: seeds.stream("agent/exploration"),
            sampling: seeds.stream("agent/replay"),
            dropout: seeds.stream("agent/dropout"),
            learned_at: 0,
            failing: Failing::new(config.non_finite, config.max_skipped_in_a_row),
            config,
        })
    }

    /// An error if this clock is not that of the state that was loaded: one step of all environments lies
    /// between two calls of `learn`.
    fn check_clock(&self, clock: &Clock) -> Result<()> {
        let (learned_at, now) = (self.learned_at, clock.agent_steps);
        if (learned_at..=learned_at.saturating_add(self.num_envs as u64)).contains(&now) {
            return Ok(());
        }
        Err(Error::State(format!(
            "the agent last learned at agent step {learned_at}, which does not fit the run's {now}"
        )))
    }

    /// One update; nothing while the replay is empty.
    fn update(
        &mut self,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let Self { staging, replay, sampling, .. } = self;
        let drawn = match staging {
            Some(staging) => staging.sample(replay, sampling),
            None => {
                let before = sampling.clone();
                let batch = replay.sample(self.config.batch_size as usize, sampling);
                batch.map(|batch| Drawn { batch, before })
            }
        };
        let Some(Drawn { batch, before }) = drawn else { return Ok(()) };
        let made = self.attempt_or_skip(batch, clock, interventions, metrics);
        if let Err(Error::NotFinite(_)) = made {
            self.sampling = before; // whoever goes on from here draws the same
            if let Some(staging) = &mut self.staging {
                staging.drop_next();
            }
        }
        if let Some(losses) = made? {
            self.window.add(&losses);
        }
        Ok(())
    }
}

impl Attempt for DoubleDqn {
    type Made = Losses;

    fn pass(
        &mut self,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<Losses> {
        let Self {
            learner,
            dropout,
            precision,
            config,
            replay,
            staging,
            sampling,
            is_followed,
            ..
        } = self;
        let (precision, td_loss, before) = (*precision, config.td_loss, dropout.clone());
        let mut pass = |learner: &Learner, batch: &Transitions| {
            forward(learner, batch, precision, td_loss, dropout)
        };
        let period = config.target_period_updates;
        let mut meanwhile = || {
            if let (Some(staging), true) = (&mut *staging, *is_followed) {
                staging.bring_next(replay, sampling);
            }
        };
        let training = Training { forward: &mut pass, meanwhile: &mut meanwhile };
        let made = learner.update_on(batch, training, period, interventions, clock, metrics);
        if *dropout != before {
            learner.stop_recording_passes();
        }
        made
    }

    fn changed(&mut self) -> Changed<'_> {
        let Self { learner, dropout, failing, .. } = self;
        Changed { learner, dropout, failing }
    }
}

/// The training pass of an update. It also tells the batch's means that [`Window`] sums, in this order.
fn forward(
    learner: &Learner,
    batch: &Transitions,
    precision: Precision,
    td_loss: TdLoss,
    dropout: &mut Stream,
) -> Forward {
    let Learner { online, target, .. } = learner;
    let (mut taps, device, head) = (Taps::default(), online.device(), online.head());
    let outputs_t = |network: &Model| {
        precision.compute(device, || no_grad(|| network.forward(&batch.s_t, None)))
    };
    let value = beside(device, Lane::First, || outputs_t(target));
    let mut train = || {
        precision
            .compute(device, || online.forward_training(&batch.s_tm1, dropout, Some(&mut taps)))
    };
    let (selector, outputs) = if online.variables().has_buffers() {
        (outputs_t(online), train()) // which may change what the other one reads
    } else {
        let selector = beside(device, Lane::Second, || outputs_t(online));
        let outputs = train();
        (selector.join(), outputs)
    };
    let value = value.join();
    let target = precision.compute(device, || {
        no_grad(|| double_q_target(head, &batch.r_t, &batch.discount_t, &value, &selector))
    });
    let losses = head.loss(&outputs, &batch.a_tm1, &target, td_loss);
    let also = no_grad(|| means(head, &outputs.detach(), batch, &target));
    Forward { loss: losses.mean(Kind::Float), also, taps }
}

/// Mean |TD error|, mean Q-value of the actions taken and mean share of targets outside a categorical head's
/// support: f64 `[3]`.
fn means(head: &Head, outputs: &Tensor, batch: &Transitions, target: &Target) -> Tensor {
    let q_a_tm1 = select_action(&head.q_values(outputs), &batch.a_tm1);
    let td_error = (&target.value - &q_a_tm1).abs().mean(Kind::Double);
    let q_mean = q_a_tm1.mean(Kind::Double);
    let outside = target.outside.as_ref().map(|outside| outside.mean(Kind::Double));
    let outside = outside.unwrap_or_else(|| q_mean.zeros_like());
    Tensor::stack(&[td_error, q_mean, outside], 0)
}

/// What `q_tm1[a_tm1]` should be.
fn double_q(learner: &Learner, batch: &Transitions) -> Target {
    let Learner { online, target, .. } = learner;
    no_grad(|| {
        let value = target.forward(&batch.s_t, None);
        let selector = online.forward(&batch.s_t, None);
        double_q_target(online.head(), &batch.r_t, &batch.discount_t, &value, &selector)
    })
}

impl ProbeData for DoubleDqn {
    fn len(&self) -> u64 {
        self.replay.len() as u64
    }

    fn capacity(&self) -> u64 {
        self.config.replay_capacity
    }

    fn discount(&self) -> f64 {
        self.config.discount
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        self.replay.sample_distinct(batch, stream)
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        let target = double_q(learner, batch);
        let outputs = learner.online.forward(&batch.s_tm1, taps);
        learner.online.head().loss(&outputs, &batch.a_tm1, &target, self.config.td_loss)
    }
}

impl Agent for DoubleDqn {
    fn begin(&mut self, batch: &Batch) {
        self.stacks.begin(&batch.frames);
        for (env, frame) in batch.frames.chunks_exact(self.stacks.frame_len()).enumerate() {
            self.replay.begin(env, frame);
        }
    }

    fn act(&mut self, clock: &Clock) -> Vec<usize> {
        let epsilon = self.epsilon.value(clock.frames);
        let Self { learner, stacks, greedy, exploration, num_envs, num_actions, .. } = self;
        let q_values = || greedy.q_values(&learner.online, stacks);
        epsilon_greedy(epsilon, *num_envs, *num_actions, exploration, q_values)
    }

    fn learn(
        &mut self,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let period = self.config.update_every_agent_steps;
        self.check_clock(clock)?;
        let due = crossings(period, self.learned_at, clock.agent_steps);
        if self.replay.added() >= self.config.learning_starts {
            for left in (0..due).rev() {
                self.is_followed = left > 0;
                self.update(clock, interventions, metrics)?;
                // An update that fails is still due when the run goes on.
                self.learned_at = (self.learned_at / period + 1) * period;
            }
        }
        self.learned_at = clock.agent_steps;
        Ok(())
    }

    fn update_on(
        &mut self,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let batch = batch.to_device(self.learner.online.device());
        self.is_followed = false;
        self.attempt(&batch, clock, interventions, metrics).map(|_| ())
    }

    fn failed_update(&self) -> Option<&FailedUpdate> {
        self.failing.failed.as_ref()
    }

    fn drain_metrics(&mut self, metrics: &mut Metrics) {
        self.window.drain(metrics);
        self.failing.record(metrics);
        metrics.scalar("train/replay_transitions", self.replay.len() as f64);
    }

    fn observe(&mut self, actions: &[usize], batch: &Batch) {
        self.stacks.observe(batch);
        let frames = batch.frames.chunks_exact(self.stacks.frame_len());
        let finals = batch.final_frames.chunks_exact(self.stacks.frame_len());
        let outcomes = actions.iter().zip(&batch.steps);
        for (env, ((frame, last), (action, step))) in frames.zip(finals).zip(outcomes).enumerate() {
            if step.is_last() {
                self.replay.add(env, *action, step, last);
                self.replay.begin(env, frame);
            } else {
                self.replay.add(env, *action, step, frame);
            }
        }
    }

    fn evaluate(&self, observations: &Tensor, epsilon: f64, stream: &mut Stream) -> Vec<usize> {
        let count = observations.size()[0] as usize;
        let q_values = || no_grad(|| self.learner.online.q_values(observations));
        epsilon_greedy(epsilon, count, self.num_actions, stream, q_values)
    }

    fn most_updates(&self, agent_steps: u64) -> u64 {
        // The last step is not learned from any more.
        let DoubleDqnConfig { update_every_agent_steps, learning_starts, .. } = self.config;
        let together = self.num_envs as u64;
        let first = learning_starts.max(1).div_ceil(together) * together;
        let last = agent_steps.div_ceil(together).saturating_sub(1) * together;
        crossings(update_every_agent_steps, first - together, last)
    }

    fn target_period_updates(&self) -> u64 {
        self.config.target_period_updates
    }

    fn learner(&self) -> &Learner {
        &self.learner
    }

    fn learner_mut(&mut self) -> &mut Learner {
        &mut self.learner
    }

    fn data(&self) -> &dyn ProbeData {
        self
    }

    fn exploration(&self, clock: &Clock) -> f64 {
        self.epsilon.value(clock.frames)
    }

    fn replay_device(&self) -> Device {
        self.replay.device()
    }

    fn save_replay(&self, out: &mut dyn Write) -> Result<()> {
        self.replay.save(out)
    }

    fn load_replay(&mut self, input: &mut dyn Read) -> Result<()> {
        self.replay.load(input)
    }
}

impl Checkpoint for DoubleDqn {
    fn save(&self, state: &mut StateDict) {
        state.put("learned_at_agent_steps", &self.learned_at);
        state.put("exploration_stream", &self.exploration);
        state.put("sampling_stream", &self.sampling);
        state.put("dropout_stream", &self.dropout);
        state.put("skipped", &self.failing.skipped);
        state.put_part("learner", &self.learner);
        state.put_part("stacks", &self.stacks);
        state.put_part("window", &self.window);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.learned_at = state.count("learned_at_agent_steps")?;
        self.exploration = state.get("exploration_stream")?;
        self.sampling = state.get("sampling_stream")?;
        self.dropout = state.get("dropout_stream")?;
        if state.values().contains_key("skipped") {
            self.failing.skipped = state.get("skipped")?; // not in checkpoints of 0.1.0
        }
        state.load_part("learner", &mut self.learner)?;
        state.load_part("stacks", &mut self.stacks)?;
        state.load_part("window", &mut self.window)
    }
}

/// Means over the updates since they were last asked for.
struct Window {
    updates: u64,
    loss: f64,
    /// Sums of what interventions added to the loss, by kind.
    penalties: BTreeMap<String, f64>,
    /// Mean |TD error|, mean Q-value of the taken actions and mean share of targets outside
    /// a categorical head's support, summed over updates.
    sums: [f64; 3],
    /// The head has a support.
    has_support: bool,
}

impl Window {
    fn new(learner: &Learner) -> Self {
        let has_support = *learner.online.head() != Head::Scalar;
        Self { updates: 0, loss: 0.0, penalties: BTreeMap::new(), sums: [0.0; 3], has_support }
    }

    /// `losses` of a pass that [`forward`] made.
    fn add(&mut self, losses: &Losses) {
        self.sums.iter_mut().zip(&losses.also).for_each(|(sum, mean)| *sum += mean);
        self.loss += losses.primary;
        for (name, penalty) in &losses.penalties {
            *self.penalties.entry(name.clone()).or_default() += penalty;
        }
        self.updates += 1;
    }

    /// Leaves the means in `metrics` and starts anew; nothing if there was no update.
    fn drain(&mut self, metrics: &mut Metrics) {
        if self.updates == 0 {
            return;
        }
        let updates = self.updates as f64;
        metrics.scalar("train/loss", self.loss / updates);
        metrics.scalar("train/td_error", self.sums[0] / updates);
        metrics.scalar("train/q_mean", self.sums[1] / updates);
        if self.has_support {
            metrics.scalar("train/outside_support", self.sums[2] / updates);
        }
        for (name, penalty) in std::mem::take(&mut self.penalties) {
            metrics.scalar(format!("train/penalty/{name}"), penalty / updates);
        }
        self.sums = [0.0; 3];
        self.loss = 0.0;
        self.updates = 0;
    }
}

impl Checkpoint for Window {
    fn save(&self, state: &mut StateDict) {
        state.put("updates", &self.updates);
        state.put("loss", &self.loss);
        state.put("penalties", &self.penalties);
        state.put_tensor("sums", &Tensor::from_slice(&self.sums));
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.updates = state.count("updates")?;
        self.loss = state.get("loss")?;
        self.penalties = state.get("penalties")?;
        let mut sums = Tensor::zeros([3], (Kind::Double, Device::Cpu));
        state.copy_tensor("sums", &mut sums)?;
        self.sums = Vec::try_from(&sums)?.try_into().expect("three");
        Ok(())
    }
}
