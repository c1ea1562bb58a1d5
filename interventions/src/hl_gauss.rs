//! A categorical head with Gaussian histogram targets.

use pliant_core::{
    head::{Categorical, Encoding, Head, Support},
    intervention::Intervention,
    network::NetworkPlan,
    ranges::{positive, require},
};
use serde::{Deserialize, Serialize};

/// HL-Gauss (Imani & White, 2018; Farebrother et al., 2024): each action's value is the mean of a
/// histogram over a fixed range, learned by cross-entropy against a normal distribution around the
/// scalar target. In the network for good, so it has no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HlGaussConfig {
    /// The lower edge of the first bin.
    pub min: f64,
    /// The upper edge of the last bin.
    pub max: f64,
    /// Bins.
    pub bins: u32,
    /// Standard deviation of the target, in widths of a bin.
    pub sigma: f64,
}

impl Default for HlGaussConfig {
    fn default() -> Self {
        Self { min: -10.0, max: 10.0, bins: 51, sigma: 0.75 }
    }
}

/// Plans the head; has nothing to do while the network learns.
#[derive(Debug)]
pub struct HlGauss(Categorical);

impl HlGauss {
    /// Checks the settings.
    pub fn build(config: HlGaussConfig) -> Result<Box<dyn Intervention>, String> {
        let HlGaussConfig { min, max, bins, sigma } = config;
        positive("sigma", sigma)?;
        let support = Support::new(min, max, bins)?;
        require(sigma <= f64::from(bins), "sigma", sigma, "at most the number of `bins`")?;
        Ok(Box::new(Self(Categorical { support, encoding: Encoding::HlGauss { sigma } })))
    }
}

impl Intervention for HlGauss {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        plan.set_head(Head::Categorical(self.0))
    }
}

pliant_core::stateless!(HlGauss);
