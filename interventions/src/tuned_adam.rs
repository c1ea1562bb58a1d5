//! Adam with the settings that keep it stable.

use pliant_core::{
    intervention::Intervention,
    learner::Learner,
    network::NetworkPlan,
    optimizer::{Adam, AdamConfig},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

/// Adam tuned for stability (Lyle et al., 2023, figure 1): a mean squared gradient that
/// forgets as fast as the mean gradient, and a large eps inside the root. Takes the place of the
/// configured optimiser from the first update on, so it has no schedule; target network untouched. An
/// optimiser configured with weight decay is refused, because Adam would be without (`weight_decay` has it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TunedAdamConfig {
    /// Step size; if unset that of the configured optimiser.
    pub learning_rate: Option<f64>,
    /// Decay of the mean gradient, per update.
    pub beta1: f64,
    /// Decay of the mean squared gradient, per update.
    pub beta2: f64,
    /// Added outside the root.
    pub eps: f64,
    /// Added inside the root.
    pub eps_root: f64,
}

impl Default for TunedAdamConfig {
    fn default() -> Self {
        Self { learning_rate: None, beta1: 0.9, beta2: 0.9, eps: 1e-9, eps_root: 1e-3 }
    }
}

/// Puts another optimiser in place; has nothing to do while the network learns.
#[derive(Debug)]
pub struct TunedAdam(TunedAdamConfig);

impl TunedAdam {
    /// Checks the settings.
    pub fn build(config: TunedAdamConfig) -> Result<Box<dyn Intervention>, String> {
        let checked = Self(config);
        Adam::build(checked.adam(checked.0.learning_rate.unwrap_or(1.0)))?;
        Ok(Box::new(checked))
    }

    fn adam(&self, learning_rate: f64) -> AdamConfig {
        let TunedAdamConfig { beta1, beta2, eps, eps_root, .. } = self.0;
        AdamConfig { learning_rate, beta1, beta2, eps, eps_root, weight_decay: 0.0 }
    }
}

impl Intervention for TunedAdam {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        plan.set_optimizer("tuned_adam")
    }

    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        let decay = learner.optimizer.weight_decay();
        if decay > 0.0 {
            return Err(format!(
                "the configured optimiser has a `weight_decay` of {decay}, which would be lost with it: \
                 leave it out there, and list the intervention `weight_decay` with `form = \"decoupled\"`"
            ));
        }
        let configured = learner.optimizer.learning_rate();
        let config = self.adam(self.0.learning_rate.unwrap_or(configured));
        learner.optimizer = Adam::build(config)?;
        Ok(())
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(TunedAdam);

#[cfg(test)]
mod tests {
    use pliant_core::seeds::Seeds;

    use super::*;
    use crate::testing::Setting;

    #[test]
    fn it_takes_the_place_of_the_configured_optimiser_and_its_learning_rate() {
        let build = |learning_rate| {
            let config = TunedAdamConfig { learning_rate, ..TunedAdamConfig::default() };
            Setting::with_sgd(TunedAdam::build(config), 1, 0.125)
        };
        let kept = build(None);
        assert_eq!(kept.learner.optimizer.kind(), "adam");
        assert_eq!(kept.learner.optimizer.learning_rate(), 0.125);
        assert_eq!(build(Some(0.5)).learner.optimizer.learning_rate(), 0.5);
    }

    #[test]
    fn a_second_one_and_a_decaying_optimiser_are_refused() {
        let build = || TunedAdam::build(TunedAdamConfig::default()).expect("valid");
        let mut plan = NetworkPlan::default();
        build().plan(&mut plan).expect("the first");
        let message = build().plan(&mut plan).expect_err("the second");
        assert!(message.contains("`tuned_adam`"), "{message}");
        let mut learner = Setting::with_sgd(Ok(build()), 1, 0.1).learner;
        let decaying = AdamConfig { weight_decay: 0.25, ..AdamConfig::default() };
        learner.optimizer = Adam::build(decaying).expect("valid");
        let mut stream = Seeds::new(0).stream("unused");
        let message = build().after_build(&mut learner, &mut stream).expect_err("refused");
        assert!(message.contains("`weight_decay` of 0.25"), "{message}");
    }

    /// The first step is `lr * g / (sqrt(g^2 + eps_root) + eps)`.
    #[test]
    fn a_small_gradient_makes_a_small_step() {
        let mut setting = Setting::with_sgd(TunedAdam::build(TunedAdamConfig::default()), 1, 0.1);
        setting.set("dense2/weight", &[0.0]);
        setting.set("dense2/bias", &[-1.0]);
        setting.set("output/bias", &[0.01]);
        setting.update(1);
        let expected = 0.01 - 0.1 * 0.01 / (0.0001f64 + 0.001).sqrt();
        let actual = f64::from(setting.numbers("output/bias")[0]);
        assert!((actual - expected).abs() < 1e-6, "{actual}, expected {expected}");
    }
}
