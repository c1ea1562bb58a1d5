//! Training copies of a network on something new: what it can still learn.

use std::{
    panic::resume_unwind,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
};

use pliant_core::{
    error::{Error, Result},
    learner::Learner,
    network::Model,
    optimizer::Optimizer,
    probe::Watch,
    seeds::Stream,
    tch::{self, Device, Kind, Reduction, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

/// What is to be learned from a set of observations.
#[derive(Debug)]
pub(crate) enum Goal {
    /// Q-values f32 `[observations, actions]`, by the squared error, averaged over actions.
    Values(Tensor),
    /// The greedy action i64 `[observations]`, by the cross-entropy of Q-values as logits.
    Labels(Tensor),
}

/// The optimiser's moments at the beginning.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerState {
    /// None, as when a run begins.
    #[default]
    Fresh,
    /// Those of the primary task.
    Copied,
}

/// How a copy is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub steps: u32,
    pub batch_size: u32,
    pub state: OptimizerState,
}

impl Protocol {
    /// The optimiser of a copy, which draws from a stream of its own.
    fn optimizer(&self, learner: &Learner, stream: &mut Stream) -> Box<dyn Optimizer> {
        match self.state {
            OptimizerState::Fresh => {
                let mut optimizer = learner.optimizer.fresh();
                optimizer.seed(stream.split());
                optimizer
            }
            OptimizerState::Copied => learner.optimizer.fork(),
        }
    }
}

/// A copy of the learning part, with something to learn.
struct Student {
    model: Model,
    optimizer: Box<dyn Optimizer>,
    /// u8 `[observations, ..]`.
    observations: Tensor,
    goal: Goal,
    stream: Stream,
}

/// What came of one goal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fit {
    /// The loss on all observations before the first step.
    pub initial: f64,
    /// After the last.
    pub last: f64,
    /// The share of labels named rightly after the last; of values NaN.
    pub accuracy: f64,
    /// Mean loss of the batches of a stretch of steps, at its end.
    pub curve: Vec<(f64, f64)>,
}

/// Points of a learning curve.
const CURVE_POINTS: u32 = 50;

/// Observations of which the loss is found at a time.
const AT_ONCE: i64 = 512;

/// Trains a copy of `learner` for each goal, all from the same parameters, on as many threads as compute: each
/// copy by one, so that the numbers do not depend on how many there are. On a GPU one after the other.
pub(crate) fn fit_all(
    learner: &Learner,
    observations: &Tensor,
    goals: Vec<(Goal, Stream)>,
    protocol: Protocol,
    watch: (&str, &dyn Watch),
) -> Result<Vec<Fit>> {
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    let at_once = if learner.online.device() == Device::Cpu { threads } else { 1 };
    let total = goals.len() as u64 * u64::from(protocol.steps);
    let mut done = 0;
    let mut fits = Vec::new();
    let mut goals = goals.into_iter().peekable();
    while goals.peek().is_some() {
        let student = |(goal, mut stream): (Goal, Stream)| {
            let optimizer = protocol.optimizer(learner, &mut stream);
            // The observations are only read: they need no copy for each.
            let (model, observations) = (learner.online.fork(), observations.shallow_clone());
            Student { model, optimizer, observations, goal, stream }
        };
        let students: Vec<Student> = goals.by_ref().take(at_once).map(student).collect();
        let trained = together(students, protocol, |steps| {
            done += steps;
            watch.1.tell(watch.0, done, total)
        });
        // The threads have set the number of threads for libraries that all share.
        tch::set_num_threads(threads as i32);
        fits.extend(trained?);
    }
    Ok(fits)
}

/// Computes by one thread, so that the numbers do not depend on how many there are.
pub(crate) fn by_one_thread<T>(compute: impl FnOnce() -> T) -> T {
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let computed = compute();
    tch::set_num_threads(threads);
    computed
}

fn together(
    students: Vec<Student>,
    protocol: Protocol,
    mut tell: impl FnMut(u64) -> Result<()>,
) -> Result<Vec<Fit>> {
    let (sender, steps) = mpsc::channel();
    let is_stopped = &AtomicBool::new(false);
    thread::scope(|scope| {
        let start = |student: Student| {
            let sender = sender.clone();
            scope.spawn(move || {
                if student.model.device() == Device::Cpu {
                    tch::set_num_threads(1);
                }
                student.learn(protocol, &sender, is_stopped)
            })
        };
        let threads: Vec<_> = students.into_iter().map(start).collect();
        drop(sender);
        for steps in steps {
            if tell(steps).is_err() {
                is_stopped.store(true, Ordering::Relaxed);
            }
        }
        // A panic of the network goes on as one, with its text.
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|fit| fit.unwrap_or_else(|text| resume_unwind(text))).collect()
    })
}

impl Student {
    /// [`Error::Stopped`] soon after `is_stopped` became true.
    fn learn(
        mut self,
        protocol: Protocol,
        steps: &Sender<u64>,
        is_stopped: &AtomicBool,
    ) -> Result<Fit> {
        let (initial, _) = self.evaluate();
        let (count, batch) = (self.observations.size()[0] as usize, protocol.batch_size as usize);
        let stretch = protocol.steps.div_ceil(CURVE_POINTS);
        let mut curve = Vec::new();
        let mut losses: Vec<Tensor> = Vec::new();
        for step in 1..=protocol.steps {
            let chosen: Vec<i64> =
                self.stream.indices(batch, count).into_iter().map(|index| index as i64).collect();
            losses.push(self.step(&Tensor::from_slice(&chosen).to_device(self.model.device())));
            if step % stretch == 0 || step == protocol.steps {
                let mean = Tensor::stack(&losses, 0).mean(Kind::Double).double_value(&[]);
                curve.push((f64::from(step), mean));
                let _ = steps.send(losses.len() as u64); // nobody may be listening any more
                losses.clear();
                if is_stopped.load(Ordering::Relaxed) {
                    return Err(Error::Stopped);
                }
            }
        }
        let (last, accuracy) = self.evaluate();
        Ok(Fit { initial, last, accuracy, curve })
    }

    /// One optimiser step on these observations; their loss before it.
    fn step(&mut self, chosen: &Tensor) -> Tensor {
        let observations = self.observations.index_select(0, chosen);
        let outputs = self.model.forward_training(&observations, &mut self.stream, None);
        let loss = self.loss(&outputs, chosen).mean(Kind::Float);
        self.model.variables().zero_grad();
        loss.backward();
        self.optimizer.step(self.model.variables());
        self.model.follow_parameters();
        loss.detach()
    }

    /// The loss of each of these observations.
    fn loss(&self, outputs: &Tensor, chosen: &Tensor) -> Tensor {
        let q = self.model.head().q_values(outputs);
        match &self.goal {
            Goal::Values(values) => {
                let error = q - values.index_select(0, chosen);
                error.square().mean_dim([1i64].as_slice(), false, Kind::Float)
            }
            Goal::Labels(labels) => {
                let labels = labels.index_select(0, chosen);
                q.cross_entropy_loss(&labels, None::<Tensor>, Reduction::None, -100, 0.0)
            }
        }
    }

    /// Mean loss of all observations in a pass for evaluation, and the share of labels named rightly.
    fn evaluate(&self) -> (f64, f64) {
        no_grad(|| {
            let (mut loss, mut right) = (0.0, 0.0);
            let count = self.observations.size()[0];
            for from in (0..count).step_by(AT_ONCE as usize) {
                let size = AT_ONCE.min(count - from);
                let options = (Kind::Int64, self.model.device());
                let chosen = Tensor::arange_start(from, from + size, options);
                let outputs = self.model.forward(&self.observations.narrow(0, from, size), None);
                loss += self.loss(&outputs, &chosen).sum(Kind::Double).double_value(&[]);
                if let Goal::Labels(labels) = &self.goal {
                    let greedy = self.model.head().q_values(&outputs).argmax(1, false);
                    let hits = greedy.eq_tensor(&labels.narrow(0, from, size));
                    right += hits.sum(Kind::Int64).double_value(&[]);
                }
            }
            let count = count as f64;
            let accuracy = match self.goal {
                Goal::Labels(_) => right / count,
                Goal::Values(_) => f64::NAN,
            };
            (loss / count, accuracy)
        })
    }
}

/// Mean and standard deviation (over n - 1; 0 of a single one).
pub(crate) fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use pliant_agents::networks::{Mlp, MlpConfig};
    use pliant_core::{
        network::{NetworkPlan, NetworkSpec},
        optimizer::{Adam, AdamConfig},
        seeds::Seeds,
    };

    use super::*;

    /// More than are looked at at a time.
    const OBSERVATIONS: i64 = 700;

    fn student(goal: Goal) -> Student {
        let mut stream = Seeds::new(0).stream("test");
        let mlp = Mlp::build(MlpConfig { width: 8, ..MlpConfig::default() }).expect("valid");
        let spec = NetworkSpec { observation: [1, 2, 2], actions: 3, plan: NetworkPlan::default() };
        let model = Model::new(mlp, spec, &mut stream, Device::Cpu).expect("fits");
        let pixels = stream.indices(4 * OBSERVATIONS as usize, 256);
        let pixels: Vec<u8> = pixels.into_iter().map(|pixel| pixel as u8).collect();
        let observations = Tensor::from_slice(&pixels).reshape([OBSERVATIONS, 1, 2, 2]);
        let optimizer = Adam::build(AdamConfig::default()).expect("valid");
        Student { model, optimizer, observations, goal, stream }
    }

    #[test]
    fn an_evaluation_in_parts_is_of_all_observations_each_with_its_own_goal() {
        let mut stream = Seeds::new(1).stream("test");
        let values = stream.normal(&[OBSERVATIONS, 3], 1.0);
        let labels: Vec<i64> = stream
            .indices(OBSERVATIONS as usize, 3)
            .into_iter()
            .map(|label| label as i64)
            .collect();
        let labels = Tensor::from_slice(&labels);
        let close = |actual: f64, expected: &Tensor| {
            let expected = expected.double_value(&[]);
            assert!((actual - expected).abs() < 1e-5, "{actual}, expected {expected}");
        };
        let of_values = student(Goal::Values(values.shallow_clone()));
        let q = no_grad(|| of_values.model.q_values(&of_values.observations));
        let (loss, accuracy) = of_values.evaluate();
        close(loss, &(&q - values).square().mean(Kind::Double));
        assert!(accuracy.is_nan());
        let (loss, accuracy) = student(Goal::Labels(labels.shallow_clone())).evaluate();
        let named = q.log_softmax(1, Kind::Double).gather(1, &labels.unsqueeze(1), false);
        close(loss, &-named.mean(Kind::Double));
        close(accuracy, &q.argmax(1, false).eq_tensor(&labels).to_kind(Kind::Double).mean(None));
    }
}
