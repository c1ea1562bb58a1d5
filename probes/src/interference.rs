//! What learning one thing does to another.

use pliant_core::{
    clock::Every,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    network::Taps,
    probe::{Probe, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::check_batch,
    gradient_covariance::cosines,
    loss::{LossKind, Noise},
    per_example::inner_products,
    states::states_of,
    step::after_one_step,
};

/// How updates reach what they are not about. Mean cosine of the agent's gradients between pairs of
/// transitions: `interference/alignment`, and where states are known `/alignment_within` and
/// `/alignment_across` them. Churn (Schaul et al., 2022): after the optimiser's next step on one batch, made
/// on a copy without interventions, how far Q-values move on another: `interference/churn` (mean absolute
/// change), `/churn_relative` (over their mean absolute value), `/greedy_changes` (share of observations at
/// which the greedy action changes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InterferenceConfig {
    /// Transitions whose gradients are compared, that are learned from, and that are looked at afterwards.
    pub batch_size: u32,
}

impl Default for InterferenceConfig {
    fn default() -> Self {
        Self { batch_size: 256 }
    }
}

impl HasSchedule for InterferenceConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(1000)
    }
}

/// Measures interference.
#[derive(Debug)]
pub struct Interference(Scheduled<InterferenceConfig>);

impl Interference {
    /// Checks the settings.
    pub fn build(config: Scheduled<InterferenceConfig>) -> Result<Box<dyn Probe>, String> {
        check_batch(config.config.batch_size)?;
        if config.config.batch_size < 2 {
            return Err("`batch_size` is 1, expected at least 2".to_owned());
        }
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Interference {
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
        let learned = subject.draw(self.0.config.batch_size, stream);
        let other = subject.draw(self.0.config.batch_size, stream);
        let learner = subject.learner;
        let mut taps = Taps::tracing();
        let noise = (Noise::Shared, &mut *stream);
        let losses = LossKind::Primary.losses(subject, learner, &learned, noise, Some(&mut taps));
        let cosines = cosines(&inner_products(&learner.online, &taps, &losses)?);
        let size = cosines.size()[0];
        let beside = Tensor::ones_like(&cosines).fill_diagonal_(0.0, false);
        let mut report = |name: &str, mask: &Tensor| {
            if let Some(mean) = mean_where(&cosines, mask) {
                metrics.scalar(format!("interference/{name}"), mean);
            }
        };
        report("alignment", &beside);
        if let Some(states) = subject.states {
            let states =
                Tensor::from_slice(&states_of(states, &learned.s_tm1)?).to_device(cosines.device());
            let same = states.reshape([size, 1]).eq_tensor(&states).to_kind(Kind::Float) * &beside;
            report("alignment_within", &same);
            report("alignment_across", &(beside - same));
        }
        let stepped = after_one_step(learner, subject.data, &learned);
        Churn::between(learner, &stepped, &other.s_tm1).report(metrics);
        Ok(())
    }
}

pliant_core::stateless!(Interference);

/// The mean of the values where the mask is 1; `None` if it is nowhere.
fn mean_where(values: &Tensor, mask: &Tensor) -> Option<f64> {
    let sum = |tensor: &Tensor| tensor.sum(Kind::Double).double_value(&[]);
    let count = sum(mask);
    (count > 0.0).then(|| sum(&(values * mask)) / count)
}

#[derive(Debug, PartialEq)]
struct Churn {
    change: f64,
    relative: f64,
    greedy_changes: f64,
}

impl Churn {
    fn between(before: &Learner, after: &Learner, observations: &Tensor) -> Self {
        let q = |learner: &Learner| {
            no_grad(|| learner.online.q_values(observations)).to_kind(Kind::Double)
        };
        Self::of(&q(before), &q(after))
    }

    /// Of Q-values f64 `[batch, actions]`.
    fn of(before: &Tensor, after: &Tensor) -> Self {
        let mean = |tensor: &Tensor| tensor.mean(Kind::Double).double_value(&[]);
        let change = mean(&(after - before).abs());
        let changes = before.argmax(1, false).not_equal_tensor(&after.argmax(1, false));
        Self {
            change,
            relative: change / mean(&before.abs()),
            greedy_changes: mean(&changes.to_kind(Kind::Double)),
        }
    }

    fn report(&self, metrics: &mut Metrics) {
        metrics.scalar("interference/churn", self.change);
        metrics.scalar("interference/churn_relative", self.relative);
        metrics.scalar("interference/greedy_changes", self.greedy_changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn churn_by_hand() {
        let before = Tensor::from_slice(&[1.0, 2.0, -3.0, 2.0]).reshape([2, 2]);
        let after = Tensor::from_slice(&[3.0, 2.0, -3.0, 4.0]).reshape([2, 2]);
        let expected = Churn { change: 1.0, relative: 0.5, greedy_changes: 0.5 };
        assert_eq!(Churn::of(&before, &after), expected);
    }

    #[test]
    fn means_are_over_what_the_mask_holds() {
        let values = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 6.0]);
        let mask = Tensor::from_slice(&[0.0f32, 1.0, 0.0, 1.0]);
        assert_eq!(mean_where(&values, &mask), Some(4.0));
        assert_eq!(mean_where(&values, &mask.zeros_like()), None);
    }
}
