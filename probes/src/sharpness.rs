//! The largest eigenvalue that the optimiser's steps meet.

use pliant_core::{
    clock::Every,
    envs::env::KnownStates,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    optimizer::Optimizer,
    probe::{Probe, ProbeData, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::check_batch,
    curvature::{Hessian, lanczos},
    loss::{LossKind, Noise},
};

/// The largest eigenvalue of the Hessian of the mean loss of a batch, plain
/// (`sharpness/LOSS/plain`) and preconditioned (`sharpness/LOSS/preconditioned`; Cohen et al., 2022): of
/// `P^-1/2 H P^-1/2`, where P is what the optimiser divides gradients by. `sharpness/LOSS/stability` is the
/// preconditioned one over that at which steps with the optimiser's learning rate and momentum begin to diverge:
/// `2 / lr` of plain gradients, `(2 + 2 m) / lr` with heavy-ball momentum m, `(2 + 2 beta1) / ((1 - beta1) lr)`
/// of Adam. `sharpness/LOSS/unpreconditioned` is the share of parameters for which the optimiser has nothing to
/// divide by yet (before their first step, after a reset of their units): they count with a divisor of 1, which
/// is far from Adam's. Where it is 1, before the first update, there is no preconditioned one and no stability. Needs an optimiser that divides each number by one of its own (`adam`, `rmsprop`, `sgd`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharpnessConfig {
    /// Transitions.
    pub batch_size: u32,
    /// Of which loss.
    pub loss: LossKind,
    /// How the noise of the loss `probe` is drawn; if unset for each transition: shared, the curvature of the
    /// prediction itself does not average out.
    pub noise: Option<Noise>,
    /// Lanczos steps.
    pub steps: u32,
}

impl Default for SharpnessConfig {
    fn default() -> Self {
        Self { batch_size: 512, loss: LossKind::Primary, noise: None, steps: 30 }
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
        Noise::check(config.config.noise, &[config.config.loss])?;
        if !(1..=1000).contains(&config.config.steps) {
            return Err(format!("`steps` is {}, expected 1 to 1000", config.config.steps));
        }
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Sharpness {
    fn fits(
        &self,
        learner: &Learner,
        _data: &dyn ProbeData,
        _states: Option<&dyn KnownStates>,
    ) -> Result<(), String> {
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
        let noise = (config.noise.unwrap_or(Noise::Each), &mut *stream);
        let losses = config.loss.losses(subject, learner, &batch, noise, None);
        let hessian = Hessian::of(&losses.mean(Kind::Float), &learner.online)?;
        let start = stream.normal(&[hessian.size()], 1.0).to_device(losses.device());
        let steps = config.steps as usize;
        let watch = |done: usize| subject.watch.tell("sharpness", done as u64, 2 * steps as u64);
        let plain = lanczos(|vector| hessian.times(vector), &start, steps, watch)?;
        let tag = |what: &str| format!("sharpness/{}/{what}", config.loss.name());
        metrics.scalar(tag("plain"), plain.largest());
        let Preconditioner { inverse_root, missing } =
            Preconditioner::of(learner.optimizer.as_ref(), hessian.parameters());
        metrics.scalar(tag("unpreconditioned"), missing);
        if missing == 1.0 {
            return Ok(());
        }
        let times = |vector: &Tensor| Ok(hessian.times(&(vector * &inverse_root))? * &inverse_root);
        let watch =
            |done: usize| subject.watch.tell("sharpness", (steps + done) as u64, 2 * steps as u64);
        let preconditioned = lanczos(times, &start, steps, watch)?.largest();
        metrics.scalar(tag("preconditioned"), preconditioned);
        if let Some(threshold) = learner.optimizer.stability_threshold() {
            metrics.scalar(tag("stability"), preconditioned / threshold);
        }
        Ok(())
    }
}

pliant_core::stateless!(Sharpness);

/// What gradients are divided by.
struct Preconditioner {
    /// `P^-1/2`, f32 `[parameters]`; 1 for parameters that no step has reached.
    inverse_root: Tensor,
    /// The share of those.
    missing: f64,
}

impl Preconditioner {
    fn of<'a>(
        optimizer: &dyn Optimizer,
        parameters: impl Iterator<Item = (&'a str, &'a Tensor)>,
    ) -> Self {
        let (mut parts, mut missing) = (Vec::new(), 0);
        for (name, parameter) in parameters {
            let ones = parameter.detach().ones_like();
            let divisor =
                no_grad(|| match (optimizer.divisor(name), optimizer.moments().get(name)) {
                    (Some(divisor), Some(slot)) => {
                        let is_stepped = slot.steps.gt(0.0).expand_as(parameter);
                        missing += is_stepped.logical_not().sum(Kind::Int64).int64_value(&[]);
                        divisor.expand_as(parameter).where_self(&is_stepped, &ones)
                    }
                    _ => {
                        missing += parameter.numel() as i64;
                        ones
                    }
                });
            parts.push(divisor.reshape([-1]).rsqrt());
        }
        let inverse_root = Tensor::cat(&parts, 0);
        let missing = missing as f64 / inverse_root.numel() as f64;
        Self { inverse_root, missing }
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::{
        optimizer::{Adam, AdamConfig, RmsProp, RmsPropConfig},
        tch::Device,
    };

    use super::*;

    #[test]
    fn units_that_were_reset_count_with_a_divisor_of_one_and_are_reported() {
        let config = AdamConfig { eps: 0.5, ..AdamConfig::default() };
        let mut adam = Adam::build(config).expect("valid");
        let weight = Tensor::zeros([4, 2], (Kind::Float, Device::Cpu));
        let bias = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let parameters = || [("weight", &weight), ("bias", &bias)].into_iter();
        assert_eq!(Preconditioner::of(adam.as_ref(), parameters()).missing, 1.0);
        // A first step's root mean square is the gradient's size: divisors are 3.5 + 0.5, of what was reset 0.5.
        let gradient = weight.full_like(3.5);
        no_grad(|| adam.step_variable("weight", &weight, &gradient));
        adam.moments_mut().reset_units("weight", 0, &Tensor::from_slice(&[1i64]));
        let Preconditioner { inverse_root, missing } =
            Preconditioner::of(adam.as_ref(), parameters());
        // Two of unit 1 and two of the bias, of ten.
        assert_eq!(missing, 0.4);
        let roots = Vec::<f32>::try_from(&inverse_root).expect("f32");
        for (index, root) in roots.iter().enumerate() {
            let expected = if [0, 1, 4, 5, 6, 7].contains(&index) { 0.5 } else { 1.0 };
            assert!((root - expected).abs() < 1e-5, "{roots:?}");
        }
    }

    /// RMSProp's own divisor would be the root of eps there.
    #[test]
    fn units_that_were_reset_count_with_a_divisor_of_one_whatever_is_left_of_their_moments() {
        let config = RmsPropConfig { eps: 0.25, ..RmsPropConfig::default() };
        let mut rmsprop = RmsProp::build(config).expect("valid");
        let weight = Tensor::zeros([2, 1], (Kind::Float, Device::Cpu));
        no_grad(|| rmsprop.step_variable("weight", &weight, &weight.full_like(3.0)));
        rmsprop.moments_mut().reset_units("weight", 0, &Tensor::from_slice(&[1i64]));
        let parameters = [("weight", &weight)].into_iter();
        let Preconditioner { inverse_root, missing } =
            Preconditioner::of(rmsprop.as_ref(), parameters);
        let roots = Vec::<f32>::try_from(&inverse_root).expect("f32");
        assert!(missing == 0.5 && roots[0] != 1.0 && roots[1] == 1.0, "{missing} {roots:?}");
    }
}
