//! A forgetful optimiser.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
};
use serde::{Deserialize, Serialize};

use crate::schedule::{Event, OnSchedule};

/// The optimiser forgets all moments and step counters each time the target network was updated (Lyle et
/// al., 2023; Asadi et al., 2023). Both networks stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetOptimizerConfig {}

impl HasSchedule for ResetOptimizerConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::on_target_update()
    }
}

/// Resets the optimiser.
#[derive(Debug)]
pub struct ResetOptimizer;

impl ResetOptimizer {
    /// Takes the settings.
    pub fn build(config: Scheduled<ResetOptimizerConfig>) -> Result<Box<dyn Intervention>, String> {
        Ok(OnSchedule::boxed(Self, config.schedule))
    }
}

impl Event for ResetOptimizer {
    fn act(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        learner.optimizer.moments_mut().reset();
        Ok(())
    }
}

pliant_core::stateless!(ResetOptimizer);

#[cfg(test)]
mod tests {
    use pliant_core::optimizer::{Adam, AdamConfig};

    use super::*;
    use crate::testing::{Setting, numbers};

    /// A network whose features are 0, so that its output is its last bias `b`, at first 1, with loss b^2 / 2
    /// and gradient b; Adam makes steps of `0.5 * mean / (sqrt(square) + 1)` with both betas 1/2.
    fn setting(built: Result<Box<dyn Intervention>, String>) -> Setting {
        let adam = AdamConfig {
            learning_rate: 0.5,
            beta1: 0.5,
            beta2: 0.5,
            eps: 1.0,
            eps_root: 0.0,
            weight_decay: 0.0,
        };
        let mut setting = Setting::new(built, 1, Adam::build(adam).expect("valid settings"));
        setting.set("dense2/weight", &[0.0]);
        setting.set("dense2/bias", &[-1.0]);
        setting.set("output/bias", &[1.0]);
        setting
    }

    fn bias(setting: &Setting) -> f64 {
        f64::from(setting.numbers("output/bias")[0])
    }

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-6, "{actual}, expected {expected}");
    }

    /// 1st: 0.5 * 1 / (1 + 1) = 0.25, b = 0.75.
    /// 2nd: mean (0.25 * 1 + 0.5 * 0.75) / 0.75 = 5/6, square (0.25 * 1 + 0.5 * 0.5625) / 0.75 = 17/24:
    /// 0.5 * 5/6 / (0.841625 + 1) = 0.226249, b = 0.523751.
    const AFTER_TWO: f64 = 0.523_751_0;

    /// The step of an Adam that has seen nothing.
    fn first_step(gradient: f64) -> f64 {
        0.5 * gradient / (gradient.abs() + 1.0)
    }

    #[test]
    fn after_a_target_update_adam_steps_as_if_for_the_first_time() {
        let built = ResetOptimizer::build(ResetOptimizerConfig::default().into());
        let mut setting = setting(built).target_period(2);
        setting.update(1);
        close(bias(&setting), 0.75);
        let steps = |setting: &Setting| {
            let slot = setting.learner.optimizer.moments().get("output/bias");
            slot.map(|slot| numbers(&slot.steps)[0])
        };
        assert_eq!(steps(&setting), Some(1.0));
        setting.update(1);
        close(bias(&setting), AFTER_TWO);
        assert_eq!(steps(&setting), None, "moments and counters are forgotten");
        setting.update(1);
        close(bias(&setting), AFTER_TWO - first_step(AFTER_TWO));
        assert_eq!(steps(&setting), Some(1.0), "counted anew");
    }

    #[test]
    fn the_target_network_keeps_what_it_took_over() {
        let built = ResetOptimizer::build(ResetOptimizerConfig::default().into());
        let mut setting = setting(built).target_period(2);
        let target = |setting: &Setting| {
            let variables = setting.learner.target.variables();
            f64::from(numbers(variables.get("output/bias").expect("a bias"))[0])
        };
        let before = target(&setting);
        setting.update(1);
        assert_eq!(target(&setting), before);
        setting.update(2);
        close(target(&setting), AFTER_TWO);
    }

    #[test]
    fn with_a_period_of_its_own_it_does_not_wait_for_target_updates() {
        let (config, schedule) = (ResetOptimizerConfig::default(), UpdateSchedule::every(1));
        let mut setting = setting(ResetOptimizer::build(Scheduled { config, schedule }));
        setting.update(2);
        close(bias(&setting), 0.75 - first_step(0.75));
    }
}
