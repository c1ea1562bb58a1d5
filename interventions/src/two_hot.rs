//! A categorical head with two-hot targets.

use pliant_core::{
    head::{Categorical, Encoding, Head, Support},
    intervention::Intervention,
    network::NetworkPlan,
};
use serde::{Deserialize, Serialize};

/// Two-hot targets: each action's value is the mean of a distribution over a fixed support, learned by
/// cross-entropy against mass on the two atoms beside the scalar target (Lyle et al., 2023, who give
/// neither range nor bins; the defaults are C51's). In the network for good, so it has no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TwoHotConfig {
    /// The least value that can be predicted.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Atoms of the support.
    pub bins: u32,
}

impl Default for TwoHotConfig {
    fn default() -> Self {
        Self { min: -10.0, max: 10.0, bins: 51 }
    }
}

/// Plans the head; has nothing to do while the network learns.
#[derive(Debug)]
pub struct TwoHot(Support);

impl TwoHot {
    /// Checks the settings.
    pub fn build(config: TwoHotConfig) -> Result<Box<dyn Intervention>, String> {
        let TwoHotConfig { min, max, bins } = config;
        Ok(Box::new(Self(Support::new(min, max, bins)?)))
    }
}

impl Intervention for TwoHot {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let encoding = Encoding::TwoHot;
        plan.set_head(Head::Categorical(Categorical { support: self.0, encoding }))
    }
}

pliant_core::stateless!(TwoHot);
