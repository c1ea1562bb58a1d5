//! Shrink and perturb, a little at every update.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::SETTLED,
    ranges::share,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::refuse_injection,
    schedule::{Event, OnSchedule},
    shrink_and_perturb::shrink_and_perturb,
};

/// Soft shrink and perturb (Juliani & Ash, 2024; Ash & Adams, 2020, spread over all updates): after
/// every update each parameter is multiplied by `shrink`, and `1 - shrink` times a fresh initialisation
/// is added. Target network and moments stay as they are. Not beside `plasticity_injection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SoftShrinkAndPerturbConfig {
    /// What parameters are multiplied by.
    pub shrink: f64,
}

impl Default for SoftShrinkAndPerturbConfig {
    fn default() -> Self {
        Self { shrink: 0.999_999 }
    }
}

impl HasSchedule for SoftShrinkAndPerturbConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(1)
    }
}

/// Below this factor, what is estimated of the weights has to be found anew; above, it follows by itself.
const VISIBLY: f64 = 0.99;

/// Shrinks and perturbs softly.
#[derive(Debug)]
pub struct SoftShrinkAndPerturb(SoftShrinkAndPerturbConfig);

impl SoftShrinkAndPerturb {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<SoftShrinkAndPerturbConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        share("shrink", config.config.shrink)?;
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

impl Event for SoftShrinkAndPerturb {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        refuse_injection(learner)
    }

    /// A mean of finite numbers.
    fn is_risky(&self) -> bool {
        false
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let shrink = self.0.shrink;
        shrink_and_perturb(&learner.online, hook.stream, [shrink, 1.0 - shrink], |_| true);
        if shrink < VISIBLY {
            learner.online.settle(SETTLED, |_| true);
        }
        Ok(())
    }
}

pliant_core::stateless!(SoftShrinkAndPerturb);

#[cfg(test)]
mod tests {
    use pliant_core::seeds::Seeds;

    use super::*;
    use crate::testing::Setting;

    fn soft(shrink: f64) -> Setting {
        let config = SoftShrinkAndPerturbConfig { shrink };
        Setting::with(SoftShrinkAndPerturb::build(config.into()), 2)
    }

    /// A parameter's values in the order of the network, drawn as the intervention draws: uniform
    /// within 1 over the root of the layer's inputs, all of one update before the next.
    fn drawn(setting: &Setting, updates: usize) -> Vec<Vec<(String, Vec<f32>)>> {
        let mut stream = Seeds::new(0).stream("interventions/tested");
        let bounds = [("dense1", 1f64), ("dense2", 0.5f64.sqrt()), ("output", 0.5f64.sqrt())];
        let mut draw = |(name, tensor): (&str, &tch::Tensor)| {
            let bound =
                bounds.iter().find(|(layer, _)| name.starts_with(layer)).expect("a layer").1;
            let values = stream.uniform(&tensor.size(), bound);
            (name.to_owned(), crate::testing::numbers(&values))
        };
        let variables = setting.learner.online.variables();
        (0..updates).map(|_| variables.iter().map(&mut draw).collect()).collect()
    }

    /// Twice times 3/4, twice a quarter of a draw added: 9/16 theta + 3/16 first + 1/4 second. Adam's
    /// steps are below 1e-6.
    #[test]
    fn every_update_shrinks_all_parameters_and_adds_the_rest_of_a_fresh_draw() {
        let mut setting = soft(0.75);
        let before: Vec<(String, Vec<f32>)> = setting
            .learner
            .online
            .variables()
            .iter()
            .map(|(name, tensor)| (name.to_owned(), crate::testing::numbers(tensor)))
            .collect();
        let fresh = drawn(&setting, 2);
        setting.update(2);
        for (index, (name, theta)) in before.iter().enumerate() {
            let (first, second) = (&fresh[0][index].1, &fresh[1][index].1);
            for (unit, now) in setting.numbers(name).iter().enumerate() {
                let expected = (9.0 * theta[unit] + 3.0 * first[unit]) / 16.0 + second[unit] / 4.0;
                assert!((now - expected).abs() < 3e-6, "{name}: {now}, expected {expected}");
            }
        }
    }

    #[test]
    fn target_network_and_moments_stay() {
        let mut setting = soft(0.5);
        let target = |setting: &Setting| {
            let variables = setting.learner.target.variables();
            crate::testing::numbers(variables.get("output/weight").expect("a weight"))
        };
        let before = target(&setting);
        setting.update(3);
        assert_eq!(target(&setting), before);
        let slot = setting.learner.optimizer.moments().get("output/bias").expect("three steps");
        assert_eq!(crate::testing::numbers(&slot.steps), [3.0]);
    }

    #[test]
    fn a_shrink_beyond_0_to_1_is_refused() {
        for shrink in [-0.1, 1.1, f64::NAN] {
            let config = SoftShrinkAndPerturbConfig { shrink };
            let message = SoftShrinkAndPerturb::build(config.into()).err().expect("refused");
            assert!(message.contains("`shrink`"), "{message}");
        }
        assert_eq!(SoftShrinkAndPerturbConfig::default().shrink, 0.999_999);
    }
}
