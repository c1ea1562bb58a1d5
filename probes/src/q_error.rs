//! How far Q-values are from the true ones.

use pliant_core::{
    clock::Every,
    envs::env::KnownStates,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    probe::{Probe, ProbeData, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Device, Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{batch::check_batch, passes::Passes, states::states_of};

/// Q-values against the optimal ones, where the task's states are known (the block MDPs), on observations
/// from the replay: `q_error/mean_abs` and `q_error/rms` over all actions, `q_error/bias` (mean of
/// Q - Q*), `q_error/overestimation` (mean of Q - Q* at the greedy action; van Hasselt et al., 2016), and
/// `q_error/optimal_share`, the share of observations at which the greedy action is optimal. Q* is by value
/// iteration under the agent's discount.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QErrorConfig {
    /// Observations to measure on.
    pub batch_size: u32,
}

impl Default for QErrorConfig {
    fn default() -> Self {
        Self { batch_size: 2048 }
    }
}

impl HasSchedule for QErrorConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(1000)
    }
}

/// Compares the online network with the truth.
#[derive(Debug)]
pub struct QError(Scheduled<QErrorConfig>);

impl QError {
    /// Checks the settings.
    pub fn build(config: Scheduled<QErrorConfig>) -> Result<Box<dyn Probe>, String> {
        check_batch(config.config.batch_size)?;
        Ok(Box::new(Self(config)))
    }
}

impl Probe for QError {
    fn fits(
        &self,
        _learner: &Learner,
        data: &dyn ProbeData,
        states: Option<&dyn KnownStates>,
    ) -> Result<(), String> {
        let none = || {
            "the environment does not know the states behind its observations: take one of the \
             classification MDPs"
                .to_owned()
        };
        states.ok_or_else(none)?;
        let discount = data.discount();
        if discount >= 1.0 {
            return Err(format!(
                "`agent.discount` is {discount}: the task never ends, so true Q-values need one below 1"
            ));
        }
        Ok(())
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
        let states = subject.states.expect("`fits` was asked before");
        let batch = subject.draw(self.0.config.batch_size, stream);
        let q = Passes::over(&subject.learner.online, &batch.s_tm1).q_values;
        let q = q.to_device(Device::Cpu).to_kind(Kind::Double);
        let truth = true_values(states, &batch.s_tm1, subject.data.discount())?;
        Errors::between(&q, &truth).report(metrics);
        Ok(())
    }
}

pliant_core::stateless!(QError);

/// Q* of each observation, f64 `[batch, actions]`.
fn true_values(states: &dyn KnownStates, observations: &Tensor, discount: f64) -> Result<Tensor> {
    let table = states.action_values(discount);
    let rows: Vec<f64> = states_of(states, observations)?
        .into_iter()
        .flat_map(|state| table[state as usize].iter().copied())
        .collect();
    Ok(Tensor::from_slice(&rows).reshape([observations.size()[0], -1]))
}

#[derive(Debug, PartialEq)]
struct Errors {
    mean_abs: f64,
    rms: f64,
    bias: f64,
    overestimation: f64,
    optimal_share: f64,
}

impl Errors {
    /// Of f64 `[batch, actions]`.
    fn between(q: &Tensor, truth: &Tensor) -> Self {
        let mean = |tensor: &Tensor| tensor.mean(Kind::Double).double_value(&[]);
        let error = q - truth;
        let greedy = q.argmax(1, true);
        let worth = truth.gather(1, &greedy, false).squeeze_dim(1);
        let best = truth.amax([1i64].as_slice(), false);
        let is_optimal = worth.ge_tensor(&(best - 1e-9)).to_kind(Kind::Double);
        Self {
            mean_abs: mean(&error.abs()),
            rms: mean(&error.square()).sqrt(),
            bias: mean(&error),
            overestimation: mean(&error.gather(1, &greedy, false)),
            optimal_share: mean(&is_optimal),
        }
    }

    fn report(&self, metrics: &mut Metrics) {
        metrics.scalar("q_error/mean_abs", self.mean_abs);
        metrics.scalar("q_error/rms", self.rms);
        metrics.scalar("q_error/bias", self.bias);
        metrics.scalar("q_error/overestimation", self.overestimation);
        metrics.scalar("q_error/optimal_share", self.optimal_share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_hand() {
        let q = Tensor::from_slice(&[3.0, 1.0, 0.0, 2.0, 0.0, 1.0]).reshape([3, 2]);
        let truth = Tensor::from_slice(&[2.0, 1.0, 1.0, 0.0, -5.0, 1.0]).reshape([3, 2]);
        // Errors 1, 0, -1, 2, 5, 0; greedy actions 0, 1 and 1, of which the second is not optimal.
        let expected = Errors {
            mean_abs: 1.5,
            rms: (31.0f64 / 6.0).sqrt(),
            bias: 7.0 / 6.0,
            overestimation: 1.0,
            optimal_share: 2.0 / 3.0,
        };
        assert_eq!(Errors::between(&q, &truth), expected);
    }

    /// The second action in all: worth as much as the best but for rounding, and less by little.
    #[test]
    fn what_is_worth_less_by_more_than_rounding_is_not_optimal() {
        let q = Tensor::from_slice(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]).reshape([3, 2]);
        let truth = Tensor::from_slice(&[1.0, 1.0 - 1e-12, 1.0, 1.0, 1.0, 0.999]).reshape([3, 2]);
        assert_eq!(Errors::between(&q, &truth).optimal_share, 2.0 / 3.0);
    }
}
