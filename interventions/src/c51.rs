//! The distributional head of C51.

use pliant_core::{
    head::{Categorical, Encoding, Head, Support},
    intervention::Intervention,
    network::NetworkPlan,
};
use serde::{Deserialize, Serialize};

/// C51 (Bellemare et al., 2017, algorithm 1): each action's value is the mean of a distribution over a
/// fixed support, learned by cross-entropy against the next state's distribution, shrunk by the
/// discount, shifted by the reward and projected back. In the network for good, so it has no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct C51Config {
    /// The least value that can be predicted.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Atoms of the support.
    pub bins: u32,
}

impl Default for C51Config {
    fn default() -> Self {
        Self { min: -10.0, max: 10.0, bins: 51 }
    }
}

const MOST_BINS: u32 = 4096;

/// Plans the head; has nothing to do while the network learns.
#[derive(Debug)]
pub struct C51(Support);

impl C51 {
    /// Checks the settings.
    pub fn build(config: C51Config) -> Result<Box<dyn Intervention>, String> {
        let C51Config { min, max, bins } = config;
        // Each atom of the next state is held against each atom of this one.
        if bins > MOST_BINS {
            return Err(format!("`bins` is {bins}, expected 2 to {MOST_BINS}"));
        }
        Ok(Box::new(Self(Support::new(min, max, bins)?)))
    }
}

impl Intervention for C51 {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let encoding = Encoding::Distributional;
        plan.set_head(Head::Categorical(Categorical { support: self.0, encoding }))
    }
}

pliant_core::stateless!(C51);
