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
}

pliant_core::stateless!(DeepFourier);
