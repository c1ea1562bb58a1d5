//! Root-mean-square normalisation of every hidden layer.

use pliant_core::{
    intervention::Intervention,
    network::{NetworkPlan, Norm, NormKind, NormPosition},
    ranges::positive,
};
use serde::{Deserialize, Serialize};

/// RMSNorm (Zhang & Sennrich, 2019, equation 4) of every hidden layer: all units of an observation are
/// divided by their root mean square. In the network for good, so it has no schedule; target network
/// and optimiser treat the scales like any parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmsNormConfig {
    /// Before or after the activation.
    pub position: NormPosition,
    /// A learned scale for each unit (of a convolution: for each channel).
    pub affine: bool,
    /// Added to the mean square.
    pub eps: f64,
}

impl Default for RmsNormConfig {
    fn default() -> Self {
        Self { position: NormPosition::BeforeActivation, affine: true, eps: 1e-5 }
    }
}

/// Plans a normalisation; has nothing to do while the network learns.
#[derive(Debug)]
pub struct RmsNorm(RmsNormConfig);

impl RmsNorm {
    /// Checks the settings.
    pub fn build(config: RmsNormConfig) -> Result<Box<dyn Intervention>, String> {
        positive("eps", config.eps)?;
        Ok(Box::new(Self(config)))
    }
}

impl Intervention for RmsNorm {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let RmsNormConfig { position, affine, eps } = self.0;
        plan.set_norm(Norm { kind: NormKind::RootMeanSquare, position, affine, eps })
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(RmsNorm);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    /// Two units per layer: 3 and -1 in the first, and in the second what `weights` and `biases` make
    /// of its outputs; the output is their sum and 0.5.
    fn loss(config: RmsNormConfig, weights: &[f32], biases: &[f32]) -> f64 {
        let mut setting = Setting::with_sgd(RmsNorm::build(config), 2, 0.125);
        setting.set("dense1/weight", &[3.0, -1.0]);
        setting.set("dense1/bias", &[0.0, 0.0]);
        setting.set("dense1/norm_scale", &[2.0, 5.0]);
        setting.set("dense2/weight", weights);
        setting.set("dense2/bias", biases);
        setting.set("dense2/norm_scale", &[3.0, 2.0]);
        setting.set("output/weight", &[1.0, 1.0]);
        setting.set("output/bias", &[0.5]);
        setting.update(1)
    }

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-5, "{actual}, expected {expected}");
    }

    #[test]
    fn units_are_divided_by_their_root_mean_square_before_the_activation() {
        // (3, -1): sqrt((9 + 1) / 2 + 4) = 3, so (1, -1/3), scaled (2, -5/3), rectified (2, 0).
        // (0.5 * 2, 2 + 1) = (1, 3): the same root, (1/3, 1), scaled (1, 2). 0.5 * 3.5^2.
        let config = RmsNormConfig { eps: 4.0, ..RmsNormConfig::default() };
        close(loss(config, &[0.5, 0.0, 1.0, 0.0], &[0.0, 1.0]), 6.125);
    }

    #[test]
    fn or_after_it() {
        // (3, -1) rectified (3, 0): sqrt(9 / 2 + 4.5) = 3, so (1, 0), scaled (2, 0).
        // (2 + 1, -2) rectified (3, 0), again (1, 0), scaled (3, 0). 0.5 * 3.5^2.
        let position = NormPosition::AfterActivation;
        let config = RmsNormConfig { position, eps: 4.5, ..RmsNormConfig::default() };
        close(loss(config, &[1.0, 0.0, -1.0, 0.0], &[1.0, 0.0]), 6.125);
    }

    #[test]
    fn it_has_a_scale_and_no_offset_or_neither() {
        let has = |affine, name: &str| {
            let config = RmsNormConfig { affine, ..RmsNormConfig::default() };
            let setting = Setting::with(RmsNorm::build(config), 2);
            setting.learner.online.variables().get(name).is_some()
        };
        assert!(has(true, "dense1/norm_scale") && !has(true, "dense1/norm_offset"));
        assert!(!has(false, "dense1/norm_scale"));
    }

    #[test]
    fn an_eps_of_zero_is_refused() {
        for eps in [0.0, -1.0, f64::NAN] {
            let config = RmsNormConfig { eps, ..RmsNormConfig::default() };
            let message = RmsNorm::build(config).err().expect("refused");
            assert!(message.contains("`eps`"), "{message}");
        }
    }
}
