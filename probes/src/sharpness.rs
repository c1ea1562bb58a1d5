//! The largest eigenvalue that the optimiser's steps meet.

use pliant_core::{
    clock::Every,
    envs::env::KnownStates,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    probe::{Probe, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::check_batch,
    curvature::{Hessian, lanczos},
    loss::{LossKind, Noise},
};

/// The largest eigenvalue of the Hessian of the mean loss of a batch, plain
/// (`sharpness/LOSS/plain`) and preconditioned (`sharpness/LOSS/preconditioned`; Cohen et al., 2022): of
/// `P^-1/2 H P^-1/2`, where P is what the optimiser divides gradients by. `sharpness/LOSS/stability` is the preconditioned one times the learning rate
/// over 2: above 1 plain gradient steps of that preconditioner diverge. Needs an optimiser that divides each
/// number by one of its own (`adam`, `rmsprop`, `sgd`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharpnessConfig {
    /// Transitions.
    pub batch_size: u32,
    /// Of which loss.
    pub loss: LossKind,
    /// Lanczos steps.
    pub steps: u32,
}

impl Default for SharpnessConfig {
    fn default() -> Self {
        Self { batch_size: 512, loss: LossKind::Primary, steps: 30 }
    }
}

impl HasSchedule for SharpnessConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(1000)
    }
}

/// Measures sharpness.
#[derive(Debug)]
pub struct Sharpness(Scheduled<SharpnessConfig>);

impl Sharpness {
    /// Checks the settings.
    pub fn build(config: Scheduled<SharpnessConfig>) -> Result<Box<dyn Probe>, String> {
        check_batch(config.config.batch_size)?;
        if !(1..=1000).contains(&config.config.steps) {
            return Err(format!("`steps` is {}, expected 1 to 1000", config.config.steps));
        }
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Sharpness {
    fn fits(&self, learner: &Learner, _states: Option<&dyn KnownStates>) -> Result<(), String> {
        if learner.optimizer.is_diagonal() {
            return Ok(());
        }
        Err(format!(
            "the optimizer `{}` does not divide each number by one of its own: expected adam, rmsprop \
             or sgd",
            learner.optimizer.kind()
        ))
    }

    fn every(&self) -> Every {
        self.0.schedule.every()
    }

    fn needs(&self) -> u64 {
        self.0.config.batch_size.into()
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let config = &self.0.config;
        let batch = subject.draw(config.batch_size, stream);
        let learner = subject.learner;
        let noise = (Noise::Shared, &mut *stream);
        let losses = config.loss.losses(subject, learner, &batch, noise, None);
        let hessian = Hessian::of(&losses.mean(Kind::Float), &learner.online)?;
        let start = stream.normal(&[hessian.size()], 1.0).to_device(losses.device());
        let steps = config.steps as usize;
        let watch = |done: usize| {
            subject.watch.progress("sharpness", done as u64, 2 * steps as u64);
        };
        let plain = lanczos(|vector| hessian.times(vector), &start, steps, watch)?;
        let tag = |what: &str| format!("sharpness/{}/{what}", config.loss.name());
        metrics.scalar(tag("plain"), plain.largest());
        let Some(inverse_root) = inverse_root(learner, &hessian) else {
            return Ok(()); // before the first step nothing is divided by anything yet
        };
        let times = |vector: &Tensor| Ok(hessian.times(&(vector * &inverse_root))? * &inverse_root);
        let watch = |done: usize| {
            subject.watch.progress("sharpness", (steps + done) as u64, 2 * steps as u64);
        };
        let preconditioned = lanczos(times, &start, steps, watch)?.largest();
        metrics.scalar(tag("preconditioned"), preconditioned);
        let rate = learner.optimizer.learning_rate();
        metrics.scalar(tag("stability"), preconditioned * rate / 2.0);
        Ok(())
    }
}

pliant_core::stateless!(Sharpness);

/// `P^-1/2` as a vector, f32 `[parameters]`; 1 for parameters that no step has reached. `None` if none has.
fn inverse_root(learner: &Learner, hessian: &Hessian) -> Option<Tensor> {
    let mut is_stepped = false;
    let mut part = |(name, parameter): (&str, &Tensor)| {
        let divisor = learner.optimizer.divisor(name);
        is_stepped |= divisor.is_some();
        let divisor = divisor.map(|divisor| divisor.expand_as(parameter));
        divisor.unwrap_or_else(|| parameter.ones_like()).reshape([-1]).detach().rsqrt()
    };
    let parts: Vec<Tensor> = hessian.parameters().map(&mut part).collect();
    is_stepped.then(|| Tensor::cat(&parts, 0))
}
