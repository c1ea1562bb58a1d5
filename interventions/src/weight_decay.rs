//! Weight decay.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    ranges::not_negative,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::schedule::sum;

/// Weight decay (Lyle et al., 2023, figures 6 and 8 to 14: L2 of 1e-5): `coefficient * sum theta^2` is added to the
/// loss, or, decoupled, each update takes away `learning_rate * coefficient` of every parameter
/// (Loshchilov & Hutter, 2019). Target network and moments are not touched, but moments see the
/// gradient of an L2 loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightDecayConfig {
    /// Strength. (PyTorch's and many papers' L2 is half of this sum.)
    pub coefficient: f64,
    /// In the loss, or decoupled from the gradient.
    pub form: DecayForm,
    /// Biases and the scales of normalisations decay too, not weights alone.
    pub all_parameters: bool,
}

/// How weights decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecayForm {
    /// As a term of the loss.
    L2,
    /// By shrinking parameters after the optimiser's step.
    Decoupled,
}

impl Default for WeightDecayConfig {
    fn default() -> Self {
        Self { coefficient: 1e-5, form: DecayForm::L2, all_parameters: true }
    }
}

impl HasSchedule for WeightDecayConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Decays the weights.
#[derive(Debug)]
pub struct WeightDecay(Scheduled<WeightDecayConfig>);

impl WeightDecay {
    /// Checks the settings.
    pub fn build(config: Scheduled<WeightDecayConfig>) -> Result<Box<dyn Intervention>, String> {
        not_negative("coefficient", config.config.coefficient)?;
        Ok(Box::new(Self(config)))
    }

    fn is_on(&self, form: DecayForm, updates: u64) -> bool {
        self.0.config.form == form && self.0.schedule.contains(updates)
    }

    fn parameters(&self, learner: &Learner) -> Vec<Tensor> {
        let variables = learner.online.variables();
        if self.0.config.all_parameters {
            variables.parameters().map(|(_, tensor)| tensor.shallow_clone()).collect()
        } else {
            variables.weights().map(|(_, tensor)| tensor.shallow_clone()).collect()
        }
    }
}

impl Intervention for WeightDecay {
    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(self.0.schedule.start_updates)
    }

    fn is_risky(&self, update: u64, _ends_in_target_update: bool) -> bool {
        self.is_on(DecayForm::Decoupled, update) && self.0.config.coefficient > 1.0
    }

    fn leaves_gradients(&self) -> bool {
        self.0.config.form == DecayForm::Decoupled
    }

    fn extra_loss(&mut self, learner: &Learner, _hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        if !self.is_on(DecayForm::L2, learner.updates + 1) {
            return Ok(None);
        }
        let squares = self.parameters(learner).into_iter().map(|p| p.square().sum(Kind::Float));
        Ok(Some(sum(squares, learner) * self.0.config.coefficient))
    }

    fn after_update(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if self.is_on(DecayForm::Decoupled, learner.updates) {
            let kept = 1.0 - learner.optimizer.learning_rate() * self.0.config.coefficient;
            for mut parameter in self.parameters(learner) {
                let _ = parameter.g_mul_scalar_(kept);
            }
        }
        Ok(())
    }
}

pliant_core::stateless!(WeightDecay);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    fn after_one_update(form: DecayForm, all_parameters: bool) -> Setting {
        let config = WeightDecayConfig { coefficient: 0.25, form, all_parameters };
        let mut setting = Setting::with_sgd(WeightDecay::build(config.into()), 1, 0.5);
        setting.set("dense1/weight", &[2.0]);
        // Nothing gets through the second layer, so the primary loss has a gradient at the output's
        // bias alone.
        setting.set("dense2/weight", &[0.0]);
        setting.set("dense2/bias", &[-4.0]);
        setting.set("output/bias", &[0.0]);
        setting.update(1);
        setting
    }

    #[test]
    fn l2_and_decoupled_decay_by_hand() {
        let values = |setting: &Setting| {
            [setting.numbers("dense1/weight")[0], setting.numbers("dense2/bias")[0]]
        };
        // L2: theta - .5 * 2 * .25 * theta.
        assert_eq!(values(&after_one_update(DecayForm::L2, true)), [1.5, -3.0]);
        assert_eq!(values(&after_one_update(DecayForm::L2, false)), [1.5, -4.0]);
        // Decoupled: theta * (1 - .5 * .25).
        assert_eq!(values(&after_one_update(DecayForm::Decoupled, true)), [1.75, -3.5]);
        assert_eq!(values(&after_one_update(DecayForm::Decoupled, false)), [1.75, -4.0]);
    }
}
