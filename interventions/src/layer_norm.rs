//! Layer normalisation of every hidden layer.

use pliant_core::{
    intervention::Intervention,
    network::{NetworkPlan, Norm, NormKind, NormPosition},
    ranges::positive,
};
use serde::{Deserialize, Serialize};

/// Layer normalisation (Ba et al., 2016) of every hidden layer, over all units of an observation; of
/// a convolution over channels, rows and columns. In the network for good, so it has no schedule; target
/// network and optimiser treat scales and offsets like any parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNormConfig {
    /// Before or after the activation; Lyle et al. (2023) do not say which they used.
    pub position: NormPosition,
    /// A learned scale and offset for each unit (of a convolution: for each channel).
    pub affine: bool,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for LayerNormConfig {
    fn default() -> Self {
        Self { position: NormPosition::BeforeActivation, affine: true, eps: 1e-5 }
    }
}

/// Plans a normalisation; has nothing to do while the network learns.
#[derive(Debug)]
pub struct LayerNorm(LayerNormConfig);

impl LayerNorm {
    /// Checks the settings.
    pub fn build(config: LayerNormConfig) -> Result<Box<dyn Intervention>, String> {
        positive("eps", config.eps)?;
        Ok(Box::new(Self(config)))
    }
}

impl Intervention for LayerNorm {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let LayerNormConfig { position, affine, eps } = self.0;
        plan.set_norm(Norm { kind: NormKind::Layer, position, affine, eps })
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(LayerNorm);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    /// (3, -1): mean 1, deviations (2, -2), sqrt(4 + 5) = 3, so (2/3, -2/3), with scale and offset
    /// (3, -5/3), rectified (3, 0). (3, 0 - 1): the same, with its own (1, 1). 0.5 * (1 + 1 + 0.5)^2.
    #[test]
    fn units_lose_their_mean_and_are_divided_by_their_standard_deviation() {
        let config = LayerNormConfig { eps: 5.0, ..LayerNormConfig::default() };
        let mut setting = Setting::with_sgd(LayerNorm::build(config), 2, 0.125);
        setting.set("dense1/weight", &[3.0, -1.0]);
        setting.set("dense1/bias", &[0.0, 0.0]);
        setting.set("dense1/norm_scale", &[3.0, 1.0]);
        setting.set("dense1/norm_offset", &[1.0, -1.0]);
        setting.set("dense2/weight", &[1.0, 0.0, 0.0, 0.0]);
        setting.set("dense2/bias", &[0.0, -1.0]);
        setting.set("dense2/norm_scale", &[1.5, 3.0]);
        setting.set("dense2/norm_offset", &[0.0, 3.0]);
        setting.set("output/weight", &[1.0, 1.0]);
        setting.set("output/bias", &[0.5]);
        let loss = setting.update(1);
        assert!((loss - 3.125).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn a_second_normalisation_is_refused_and_the_first_named() {
        let build = |config| LayerNorm::build(config).expect("valid settings");
        let first = LayerNormConfig { eps: 0.25, affine: false, ..LayerNormConfig::default() };
        let mut plan = NetworkPlan::default();
        build(first).plan(&mut plan).expect("nothing is planned yet");
        let position = NormPosition::BeforeActivation;
        let norm = Norm { kind: NormKind::Layer, position, affine: false, eps: 0.25 };
        assert_eq!(plan.norm, Some(norm));
        let message = build(LayerNormConfig::default()).plan(&mut plan).expect_err("a second one");
        assert!(message.contains("already") && message.contains("eps 0.25"), "{message}");
        assert_eq!(plan.norm, Some(norm), "a refusal changes nothing");
    }

    #[test]
    fn an_eps_of_zero_is_refused() {
        for eps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = LayerNormConfig { eps, ..LayerNormConfig::default() };
            let message = LayerNorm::build(config).err().expect("refused");
            assert!(message.contains("`eps`"), "{message}");
        }
    }
}
