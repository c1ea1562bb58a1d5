//! Weight decay.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{ranges::not_negative, schedule::sum};

/// Weight decay (Lyle et al., 2023, section 5: L2 of 1e-5): `coefficient * sum theta^2` is added to the
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
