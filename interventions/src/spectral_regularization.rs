//! Spectral regularisation.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::PowerIteration,
    ranges::not_negative,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    is_divided,
    memory::Memory,
    redraw::check_weights,
    schedule::{InWindow, Penalty, sum},
};

/// Spectral regularisation (Lewandowski et al., 2024): `coefficient * (sigma^k - 1)^2` for
/// every weight, where sigma is its largest singular value by power iteration, and `coefficient *
/// |b|^(2k)` for every bias, are added to the loss. Weights that `spectral_norm` divides are left out. The singular vectors' estimates are remembered and
/// saved. Target network and moments are not touched, but moments see the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpectralRegularizationConfig {
    /// Strength.
    pub coefficient: f64,
    /// The exponent k.
    pub exponent: u32,
    /// Regularise biases too.
    pub biases: bool,
}

impl Default for SpectralRegularizationConfig {
    fn default() -> Self {
        Self { coefficient: 1e-4, exponent: 2, biases: true }
    }
}

impl HasSchedule for SpectralRegularizationConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Keeps largest singular values near 1.
#[derive(Debug)]
pub struct SpectralRegularization {
    config: SpectralRegularizationConfig,
    singular_vectors: Memory,
}

impl SpectralRegularization {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<SpectralRegularizationConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        let Scheduled { config, schedule } = config;
        not_negative("coefficient", config.coefficient)?;
        if !(1..=8).contains(&config.exponent) {
            return Err(format!("`exponent` is {}, expected 1 to 8", config.exponent));
        }
        let penalty = Self { config, singular_vectors: Memory::default() };
        Ok(InWindow::boxed(penalty, schedule))
    }

    fn of_weight(&mut self, name: &str, weight: &Tensor, hook: &mut Hook<'_>) -> Result<Tensor> {
        let (rows, device) = (weight.size()[0], weight.device());
        let first = || {
            let drawn = hook.stream.normal(&[rows], 1.0).to_device(device);
            PowerIteration::steps(weight, &drawn, FIRST_ITERATIONS)
        };
        let u = self.singular_vectors.get_or(name, &[rows], device, first)?;
        let step = PowerIteration::step(weight, u);
        let sigma = step.sigma(weight);
        self.singular_vectors.set(name, step.u);
        Ok((sigma.pow_tensor_scalar(i64::from(self.config.exponent)) - 1.0).square())
    }
}

/// Power iterations when a weight is first seen.
const FIRST_ITERATIONS: u32 = 100;

impl Penalty for SpectralRegularization {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_weights(&learner.online)
    }

    fn term(&mut self, learner: &Learner, hook: &mut Hook<'_>) -> Result<Tensor> {
        let exponent = i64::from(self.config.exponent);
        let mut terms: Vec<Tensor> = Vec::new();
        for (name, parameter) in learner.online.variables().parameters() {
            if is_divided(&learner.online, name) {
                continue;
            }
            if name.ends_with("/weight") && parameter.dim() >= 2 {
                terms.push(self.of_weight(name, parameter, hook)?);
            } else if name.ends_with("/bias") && self.config.biases {
                terms.push(parameter.square().sum(Kind::Float).pow_tensor_scalar(exponent));
            }
        }
        Ok(sum(terms.into_iter(), learner) * self.config.coefficient)
    }
}

impl Checkpoint for SpectralRegularization {
    fn save(&self, state: &mut StateDict) {
        self.singular_vectors.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.singular_vectors.load(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn weights_and_biases_by_hand() {
        let config = SpectralRegularizationConfig { coefficient: 0.5, exponent: 2, biases: true };
        let mut setting = Setting::with_sgd(SpectralRegularization::build(config.into()), 2, 1.0);
        setting.set("dense1/weight", &[3.0, 4.0]);
        setting.set("dense1/bias", &[1.0, 2.0]);
        setting.set("dense2/weight", &[2.0, 0.0, 0.0, 1.0]);
        setting.set("dense2/bias", &[-90.0, 0.0]);
        setting.set("output/weight", &[0.0, 0.0]);
        setting.set("output/bias", &[0.0]);
        let loss = setting.update(1);
        // Largest singular values 5, 2 and 0, so (25 - 1)^2, (4 - 1)^2 and 1; biases (1 + 4)^2,
        // 90^4 and 0.
        let expected = 0.5 * (576.0 + 9.0 + 1.0 + 25.0 + 65_610_000.0);
        assert!((loss / expected - 1.0).abs() < 1e-6, "{loss}, expected {expected}");
    }
}
