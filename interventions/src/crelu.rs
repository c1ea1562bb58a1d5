//! Concatenated rectified linear units.

use std::sync::Arc;

use pliant_core::{
    intervention::Intervention,
    network::{Activation, NetworkPlan, PlannedActivation},
};
use serde::{Deserialize, Serialize};

/// CReLU (Shang et al., 2016; against loss of plasticity: Abbas et al., 2023): every unit has the two
/// outputs max(x, 0) and max(-x, 0), so none can be silent in both. In the network for good, so it has
/// no schedule; target network and optimiser are not concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreluConfig {
    /// Halve the units, so that layers have as many outputs as before; otherwise the weights that
    /// read them double.
    pub keep_outputs: bool,
}

/// Plans the activation; has nothing to do while the network learns.
#[derive(Debug)]
pub struct Crelu(CreluConfig);

impl Crelu {
    /// Takes the settings.
    pub fn build(config: CreluConfig) -> Result<Box<dyn Intervention>, String> {
        Ok(Box::new(Self(config)))
    }
}

impl Intervention for Crelu {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        plan.set_activation(PlannedActivation {
            function: Arc::new(Activation::Crelu),
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

pliant_core::stateless!(Crelu);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    /// x1 = -2 * 1 + 0.5 = -1.5, outputs 0 and 1.5; x2 = 3 * 0 + 2 * 1.5 - 1 = 2, outputs 2 and 0;
    /// y = 0.5 * 2 + 4 * 0 + 0.25 = 1.25, loss y^2 / 2. Back: dx2 = 0.5 * y = 0.625 through the first
    /// output, dx1 = -(2 * 0.625) = -1.25 through the second. Every number is a sum of powers of two.
    #[test]
    fn a_unit_passes_its_input_in_one_output_or_the_other() {
        let mut setting = Setting::with_sgd(Crelu::build(CreluConfig::default()), 1, 0.125);
        setting.set("dense1/weight", &[-2.0]);
        setting.set("dense1/bias", &[0.5]);
        setting.set("dense2/weight", &[3.0, 2.0]);
        setting.set("dense2/bias", &[-1.0]);
        setting.set("output/weight", &[0.5, 4.0]);
        setting.set("output/bias", &[0.25]);
        assert_eq!(setting.update(1), 0.78125);
        assert_eq!(setting.numbers("output/weight"), [0.5 - 0.125 * 1.25 * 2.0, 4.0]);
        assert_eq!(setting.numbers("dense2/weight"), [3.0, 2.0 - 0.125 * 0.625 * 1.5]);
        assert_eq!(setting.numbers("dense2/bias"), [-1.0 - 0.125 * 0.625]);
        assert_eq!(setting.numbers("dense1/weight"), [-2.0 + 0.125 * 1.25]);
    }

    #[test]
    fn either_the_weights_double_or_the_units_halve() {
        let sizes = |keep_outputs| {
            let setting = Setting::with(Crelu::build(CreluConfig { keep_outputs }), 4);
            ["dense1/weight", "dense1/bias", "dense2/weight", "output/weight"]
                .map(|name| setting.numbers(name).len())
        };
        // 4 units with 8 outputs, read by 4 * 8 weights; 2 units with 4 outputs, read by 2 * 4.
        assert_eq!(sizes(false), [4, 4, 32, 8]);
        assert_eq!(sizes(true), [2, 2, 8, 4]);
    }

    #[test]
    fn a_second_activation_is_refused_and_the_first_named() {
        let crelu = Crelu::build(CreluConfig::default()).expect("valid settings");
        let mut plan = NetworkPlan::default();
        crelu.plan(&mut plan).expect("nothing is planned yet");
        let message = crelu.plan(&mut plan).expect_err("a second one");
        assert!(message.contains("already planned: Crelu"), "{message}");
    }
}
