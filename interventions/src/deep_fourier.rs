//! Deep Fourier features.

use std::sync::Arc;

use pliant_core::{
    intervention::Intervention,
    network::{Activation, NetworkPlan, PlannedActivation},
};
use serde::{Deserialize, Serialize};

/// Deep Fourier features (Lewandowski et al., 2024): every unit of every layer has the two outputs
/// sin(x) and cos(x), one of which is always nearly linear. In the network for good, so it has no
/// schedule; target network and optimiser are not concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeepFourierConfig {
    /// Halve the units, so that layers have as many outputs as before, as in the paper; otherwise the
    /// weights that read them double.
    pub keep_outputs: bool,
}

impl Default for DeepFourierConfig {
    fn default() -> Self {
        Self { keep_outputs: true }
    }
}

/// Plans the activation; has nothing to do while the network learns.
#[derive(Debug)]
pub struct DeepFourier(DeepFourierConfig);

impl DeepFourier {
    /// Takes the settings.
    pub fn build(config: DeepFourierConfig) -> Result<Box<dyn Intervention>, String> {
        Ok(Box::new(Self(config)))
    }
}

impl Intervention for DeepFourier {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        plan.set_activation(PlannedActivation {
            function: Arc::new(Activation::Fourier),
            keeps_outputs: self.0.keep_outputs,
        })
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(DeepFourier);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    fn close(actual: &[f32], expected: &[f64]) {
        let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 2e-6;
        assert!(
            actual.len() == expected.len() && actual.iter().zip(expected).all(close),
            "{actual:?}, expected {expected:?}"
        );
    }

    /// One unit per layer. x1 = 0.5: sin .479425539, cos .877582562; the bias makes x2 = -2: sin
    /// -.909297427, cos -.416146837; y = 3 sin x2 + 2 cos x2 + 1 = -2.560185954, loss y^2 / 2.
    /// Back: dx2 = y (3 cos x2 - 2 sin x2) = -1.459701143, dx1 = dx2 (cos x1 - 2 sin x1) = .118627744.
    /// Steps of size 1.
    #[test]
    fn a_unit_has_its_sine_and_its_cosine() {
        let mut setting =
            Setting::with_sgd(DeepFourier::build(DeepFourierConfig::default()), 2, 1.0);
        setting.set("dense1/weight", &[0.5]);
        setting.set("dense1/bias", &[0.0]);
        setting.set("dense2/weight", &[1.0, 2.0]);
        setting.set("dense2/bias", &[-2.0 - (0.479_425_54 + 2.0 * 0.877_582_55)]);
        setting.set("output/weight", &[3.0, 2.0]);
        setting.set("output/bias", &[1.0]);
        let loss = setting.update(1);
        assert!((loss - 3.277_276_058).abs() < 2e-6, "{loss}");
        close(&setting.numbers("output/bias"), &[1.0 + 2.560_185_954]);
        close(&setting.numbers("output/weight"), &[0.672_029_500, 0.934_586_714]);
        close(&setting.numbers("dense2/weight"), &[1.699_818_007, 3.281_008_268]);
        close(&setting.numbers("dense1/weight"), &[0.381_372_256]);
    }

    #[test]
    fn the_units_halve_unless_the_weights_shall_double() {
        let sizes = |keep_outputs| {
            let config = DeepFourierConfig { keep_outputs };
            let setting = Setting::with(DeepFourier::build(config), 4);
            ["dense1/weight", "dense1/bias", "dense2/weight", "output/weight"]
                .map(|name| setting.numbers(name).len())
        };
        assert!(DeepFourierConfig::default().keep_outputs, "as in the paper");
        // 2 units with 4 outputs, read by 2 * 4 weights; 4 units with 8 outputs, read by 4 * 8.
        assert_eq!(sizes(true), [2, 2, 8, 4]);
        assert_eq!(sizes(false), [4, 4, 32, 8]);
    }

    #[test]
    fn a_second_activation_is_refused_and_the_first_named() {
        let fourier = DeepFourier::build(DeepFourierConfig::default()).expect("valid settings");
        let mut plan = NetworkPlan::default();
        fourier.plan(&mut plan).expect("nothing is planned yet");
        let message = fourier.plan(&mut plan).expect_err("a second one");
        assert!(message.contains("already planned: Fourier"), "{message}");
    }
}
