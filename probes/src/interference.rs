//! What learning one thing does to another.

use pliant_core::{
    clock::Every,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    network::Taps,
    probe::{Probe, Subject, Transitions},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{check_batch, check_count},
    gradient_covariance::cosines,
    loss::{LossKind, Noise},
    per_example::inner_products,
    states::states_of,
    step::after_one_step,
};

/// How updates reach what they are not about. Mean cosine of the agent's gradients between pairs of
/// observed transitions: `interference/alignment`, and where states are known `/alignment_within` and
/// `/alignment_across` them. Churn (Schaul et al., 2022): after the optimiser's next step on a learned batch, made
/// on a copy without interventions, how far Q-values move on the observed one, which has none of its transitions:
/// `interference/churn` (mean absolute change), `/churn_relative` (over their mean absolute value, unless that is
/// 0), `/greedy_changes` (share of observations at which the greedy action changes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InterferenceConfig {
    /// Observed transitions: whose gradients are compared, and that are looked at after the step.
    pub batch_size: u32,
    /// Transitions of the step, as many as the agent's updates have (`agent.batch_size`).
    pub learned: u32,
}

impl Default for InterferenceConfig {
    fn default() -> Self {
        Self { batch_size: 256, learned: 32 }
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
        let InterferenceConfig { batch_size, learned } = config.config;
        check_batch(batch_size)?;
        if batch_size < 2 {
            return Err("`batch_size` is 1, expected at least 2".to_owned());
        }
        check_count("learned", learned)?;
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Interference {
    fn every(&self) -> Every {
        self.0.schedule.every()
    }

    fn needs(&self) -> u64 {
        u64::from(self.0.config.learned) + u64::from(self.0.config.batch_size)
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let InterferenceConfig { batch_size, learned } = self.0.config;
        // One draw, so that nothing is in both.
        let both = subject.draw(learned + batch_size, stream);
        let [learned, observed] = split(&both, learned.into());
        let learner = subject.learner;
        let mut taps = Taps::tracing();
        let noise = (Noise::Shared, &mut *stream);
        let losses = LossKind::Primary.losses(subject, learner, &observed, noise, Some(&mut taps));
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
            let states = states_of(states, &observed.s_tm1)?;
            let states = Tensor::from_slice(&states).to_device(cosines.device());
            let same = states.reshape([size, 1]).eq_tensor(&states).to_kind(Kind::Float) * &beside;
            report("alignment_within", &same);
            report("alignment_across", &(beside - same));
        }
        let stepped = after_one_step(learner, subject.data, &learned);
        Churn::between(learner, &stepped, &observed.s_tm1).report(metrics);
        Ok(())
    }
}

pliant_core::stateless!(Interference);

/// The first `first` transitions and the rest.
fn split(both: &Transitions, first: i64) -> [Transitions; 2] {
    let part = |from: i64, count: i64| {
        let of = |tensor: &Tensor| tensor.narrow(0, from, count);
        Transitions {
            s_tm1: of(&both.s_tm1),
            a_tm1: of(&both.a_tm1),
            r_t: of(&both.r_t),
            discount_t: of(&both.discount_t),
            s_t: of(&both.s_t),
        }
    };
    [part(0, first), part(first, both.a_tm1.size()[0] - first)]
}

/// The mean of the values where the mask is 1; `None` if it is nowhere.
fn mean_where(values: &Tensor, mask: &Tensor) -> Option<f64> {
    let sum = |tensor: &Tensor| tensor.sum(Kind::Double).double_value(&[]);
    let count = sum(mask);
    (count > 0.0).then(|| sum(&(values * mask)) / count)
}

#[derive(Debug, PartialEq)]
struct Churn {
    change: f64,
    /// `None` where Q-values are all 0.
    relative: Option<f64>,
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
        let size = mean(&before.abs());
        let changes = before.argmax(1, false).not_equal_tensor(&after.argmax(1, false));
        Self {
            change,
            relative: (size > 0.0).then(|| change / size),
            greedy_changes: mean(&changes.to_kind(Kind::Double)),
        }
    }

    fn report(&self, metrics: &mut Metrics) {
        metrics.scalar("interference/churn", self.change);
        if let Some(relative) = self.relative {
            metrics.scalar("interference/churn_relative", relative);
        }
        metrics.scalar("interference/greedy_changes", self.greedy_changes);
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::tch::Device;

    use super::*;

    #[test]
    fn churn_by_hand() {
        let before = Tensor::from_slice(&[1.0, 2.0, -3.0, 2.0]).reshape([2, 2]);
        let after = Tensor::from_slice(&[3.0, 2.0, -3.0, 4.0]).reshape([2, 2]);
        let expected = Churn { change: 1.0, relative: Some(0.5), greedy_changes: 0.5 };
        assert_eq!(Churn::of(&before, &after), expected);
    }

    #[test]
    fn change_from_nothing_is_relative_to_nothing() {
        let before = Tensor::from_slice(&[0.0, 0.0]).reshape([1, 2]);
        let after = Tensor::from_slice(&[0.0, 1.0]).reshape([1, 2]);
        let churn = Churn::of(&before, &after);
        assert_eq!(churn, Churn { change: 0.5, relative: None, greedy_changes: 1.0 });
        let mut metrics = Metrics::default();
        churn.report(&mut metrics);
        assert_eq!(metrics.get_scalar("interference/churn_relative"), None);
    }

    #[test]
    fn means_are_over_what_the_mask_holds() {
        let values = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 6.0]);
        let mask = Tensor::from_slice(&[0.0f32, 1.0, 0.0, 1.0]);
        assert_eq!(mean_where(&values, &mask), Some(4.0));
        assert_eq!(mean_where(&values, &mask.zeros_like()), None);
    }

    #[test]
    fn every_part_of_a_transition_goes_where_the_transition_goes() {
        // Of three transitions, each part counted on from a number of its own.
        let from = |start: i64| Tensor::arange_start(start, start + 3, (Kind::Int64, Device::Cpu));
        let both = Transitions {
            s_tm1: from(10),
            a_tm1: from(20),
            r_t: from(30),
            discount_t: from(40),
            s_t: from(50),
        };
        for (part, range) in split(&both, 1).iter().zip([0..1, 1..3]) {
            let all = [&part.s_tm1, &part.a_tm1, &part.r_t, &part.discount_t, &part.s_t];
            for (tensor, start) in all.into_iter().zip([10, 20, 30, 40, 50]) {
                let expected: Vec<i64> = range.clone().map(|index| start + index).collect();
                assert_eq!(Vec::<i64>::try_from(tensor).expect("i64"), expected);
            }
        }
    }
}
