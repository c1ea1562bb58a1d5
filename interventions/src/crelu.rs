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
}

pliant_core::stateless!(Crelu);
