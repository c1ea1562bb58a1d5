//! Supervised learning on what the environments show.
//!
//! ```text
//! step t       x_t is shown    learn: one update on (x_t-1, y_t-1)    observe: y_t, x_t+1
//! ```
//!
//! Labels come with the steps, so a minibatch is learned in the step after the one that showed it; the
//! last one is not learned from.

mod config;
mod memory;
#[cfg(test)]
mod tests;
mod window;

use std::io::{Read, Write};

pub use config::{ClassifierConfig, Factory};
pub use memory::Memory;
use pliant_core::{
    agent::{Agent, AgentContext},
    clock::Clock,
    envs::vector::Batch,
    error::{Error, Result},
    head::Head,
    intervention::Interventions,
    learner::{Forward, Learner, Losses, Training},
    metrics::Metrics,
    network::Taps,
    not_finite::FailedUpdate,
    precision::Precision,
    probe::{ProbeData, Transitions},
    recording::Made as _,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};
use tch::{Device, Kind, Reduction, Tensor, no_grad};
use window::Window;

use crate::{
    acting::{FrameStacks, epsilon_greedy},
    attempt::{Attempt, Changed, Failing},
    place::Place,
};

/// An agent that learns by cross-entropy from right answers.
pub struct Classifier {
    config: ClassifierConfig,
    num_envs: usize,
    num_actions: usize,
    learner: Learner,
    precision: Precision,
    stacks: FrameStacks,
    dropout: Stream,
    latest: Minibatch,
    /// Where minibatches lie that a GPU learns from.
    staged: Option<Staged>,
    memory: Memory,
    /// Agent steps when all updates that were due had been made.
    learned_at: u64,
    failing: Failing,
    window: Window,
}

/// What was shown last, with its labels.
struct Minibatch {
    /// u8 `[envs, channels, height, width]`
    images: Tensor,
    /// i64 `[envs]`
    labels: Tensor,
}

/// Minibatches on a device, each in the place of the one before.
struct Staged {
    images: Place,
    labels: Place,
    batch: Transitions,
}

impl Staged {
    fn new(latest: &Minibatch, device: Device) -> Self {
        let [images, labels] =
            [&latest.images, &latest.labels].map(|values| Place::like(values, device));
        let batch = memory::transitions(images.there().share(), labels.there().share());
        Self { images, labels, batch }
    }

    fn put(&mut self, latest: &Minibatch) -> Transitions {
        self.images.put(&latest.images);
        self.labels.put(&latest.labels);
        self.batch.share()
    }
}

/// The cross-entropy of each example, f32 `[batch]`: `logsumexp(outputs) - outputs[label]`, where `outputs`
/// are logits `[batch, classes]` and `labels` i64 `[batch]`.
pub fn cross_entropy(outputs: &Tensor, labels: &Tensor) -> Tensor {
    let none: Option<&Tensor> = None;
    outputs.to_kind(Kind::Float).cross_entropy_loss(labels, none, Reduction::None, -100, 0.0)
}

impl Classifier {
    /// An agent with a checked configuration. An error if the outputs are not one for each class.
    fn new(config: ClassifierConfig, context: AgentContext<'_>) -> Result<Self> {
        let AgentContext { env, num_envs, mut learner, precision, cuda_graphs, seeds } = context;
        let head = learner.online.head();
        if *head != Head::Scalar {
            return Err(Error::Invalid(format!(
                "the classifier reads one output per class as its logit, but an intervention plans {head}"
            )));
        }
        let stacks = FrameStacks::new(env, num_envs);
        let labels = Tensor::zeros([num_envs as i64], (Kind::Int64, Device::Cpu));
        let latest = Minibatch { images: stacks.observations(), labels };
        learner.set_recording(cuda_graphs);
        let device = learner.online.device();
        Ok(Self {
            num_envs,
            num_actions: env.actions.len(),
            window: Window::default(),
            learner,
            precision,
            staged: device.is_cuda().then(|| Staged::new(&latest, device)),
            latest,
            stacks,
            dropout: seeds.stream("agent/dropout"),
            memory: Memory::new(env, config.memory_images),
            learned_at: 0,
            failing: Failing::new(config.non_finite, config.max_skipped_in_a_row),
            config,
        })
    }

    /// One update on what was shown last.
    fn update(
        &mut self,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let batch = match &mut self.staged {
            Some(staged) => staged.put(&self.latest),
            None => {
                let Minibatch { images, labels } = &self.latest;
                memory::transitions(images.share(), labels.share())
            }
        };
        if let Some(losses) = self.attempt_or_skip(batch, clock, interventions, metrics)? {
            self.window.add(&losses);
        }
        Ok(())
    }

    fn logits(&self, observations: &Tensor) -> Tensor {
        no_grad(|| self.learner.online.forward(observations, None))
    }
}

/// The training pass of an update. It also tells the share of right answers.
fn forward(
    learner: &Learner,
    batch: &Transitions,
    precision: Precision,
    dropout: &mut Stream,
) -> Forward {
    let (mut taps, device) = (Taps::default(), learner.online.device());
    let outputs = precision.compute(device, || {
        learner.online.forward_training(&batch.s_tm1, dropout, Some(&mut taps))
    });
    let loss = cross_entropy(&outputs, &batch.a_tm1).mean(Kind::Float);
    let also = no_grad(|| {
        let is_right = outputs.argmax(1, false).eq_tensor(&batch.a_tm1);
        is_right.to_kind(Kind::Double).mean(Kind::Double).reshape([1])
    });
    Forward { loss, also, taps }
}

impl Attempt for Classifier {
    type Made = Losses;

    fn pass(
        &mut self,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<Losses> {
        let Self { learner, dropout, precision, config, .. } = self;
        let (precision, before) = (*precision, dropout.clone());
        let mut pass =
            |learner: &Learner, batch: &Transitions| forward(learner, batch, precision, dropout);
        let period = config.target_period_updates;
        let training = Training { forward: &mut pass, meanwhile: &mut || {} };
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

impl ProbeData for Classifier {
    fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    fn capacity(&self) -> u64 {
        self.memory.capacity() as u64
    }

    /// Nothing follows an answer.
    fn discount(&self) -> f64 {
        0.0
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        self.memory.draw(batch, stream)
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        cross_entropy(&learner.online.forward(&batch.s_tm1, taps), &batch.a_tm1)
    }
}

impl Agent for Classifier {
    fn begin(&mut self, batch: &Batch) {
        self.stacks.begin(&batch.frames);
    }

    /// The first class, whatever is shown: what is right is told all the same, and how often the network would
    /// have been is known from its next update, whereas asking it here would cost a third of that once more.
    fn act(&mut self, _clock: &Clock) -> Vec<usize> {
        vec![0; self.num_envs]
    }

    fn learn(
        &mut self,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let is_new = clock.agent_steps > self.learned_at;
        if is_new && clock.agent_steps >= self.config.learning_starts {
            self.update(clock, interventions, metrics)?; // one that fails is still due
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
        self.attempt(&batch, clock, interventions, metrics).map(|_| ())
    }

    fn failed_update(&self) -> Option<&FailedUpdate> {
        self.failing.failed.as_ref()
    }

    fn drain_metrics(&mut self, metrics: &mut Metrics) {
        self.window.drain(metrics);
        self.failing.record(metrics);
        metrics.scalar("train/memory_images", self.memory.len() as f64);
    }

    /// # Panics
    /// If a step does not tell the right action, which a supervised environment does.
    fn observe(&mut self, _actions: &[usize], batch: &Batch) {
        let labels: Vec<i64> = batch
            .steps
            .iter()
            .map(|step| {
                let label =
                    step.right_action.expect("a supervised environment tells right actions");
                assert!((label as usize) < self.num_actions, "{label} is no action");
                i64::from(label)
            })
            .collect();
        let images = self.stacks.bytes();
        let size = images.len() / self.num_envs;
        for (image, (step, label)) in images.chunks_exact(size).zip(batch.steps.iter().zip(&labels))
        {
            self.memory.show(step.task, image, *label as u32);
        }
        let images = self.stacks.observations();
        self.latest = Minibatch { images, labels: Tensor::from_slice(&labels) };
        self.stacks.observe(batch);
    }

    fn evaluate(&self, observations: &Tensor, epsilon: f64, stream: &mut Stream) -> Vec<usize> {
        let count = observations.size()[0] as usize;
        epsilon_greedy(epsilon, count, self.num_actions, stream, || self.logits(observations))
    }

    fn most_updates(&self, agent_steps: u64) -> u64 {
        // What the last step shows is not learned from any more.
        let together = self.num_envs as u64;
        let before = self.config.learning_starts.div_ceil(together).max(1);
        agent_steps.div_ceil(together).saturating_sub(before)
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

    /// It does not explore.
    fn exploration(&self, _clock: &Clock) -> f64 {
        0.0
    }

    fn save_replay(&self, out: &mut dyn Write) -> Result<()> {
        self.memory.save(out)
    }

    fn load_replay(&mut self, input: &mut dyn Read) -> Result<()> {
        self.memory.load(input)
    }
}

impl Checkpoint for Classifier {
    fn save(&self, state: &mut StateDict) {
        state.put("learned_at_agent_steps", &self.learned_at);
        state.put("dropout_stream", &self.dropout);
        state.put("skipped", &self.failing.skipped);
        state.put_tensor("latest_images", &self.latest.images);
        state.put_tensor("latest_labels", &self.latest.labels);
        state.put_part("learner", &self.learner);
        state.put_part("stacks", &self.stacks);
        state.put_part("window", &self.window);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.learned_at = state.count("learned_at_agent_steps")?;
        self.dropout = state.get("dropout_stream")?;
        self.failing.skipped = state.get("skipped")?;
        state.copy_tensor("latest_images", &mut self.latest.images)?;
        state.copy_tensor("latest_labels", &mut self.latest.labels)?;
        state.load_part("learner", &mut self.learner)?;
        state.load_part("stacks", &mut self.stacks)?;
        state.load_part("window", &mut self.window)
    }
}
