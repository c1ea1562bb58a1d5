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

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(HlGauss);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HeadTrial;

    fn build(config: HlGaussConfig) -> Result<Box<dyn Intervention>, String> {
        HlGauss::build(config)
    }

    /// Bins are 20 / 51 wide; their middles lie at k * 20 / 51 on both sides of number 25, whose is 0.
    #[test]
    fn the_default_has_51_bins_from_minus_10_to_10_and_targets_as_wide_as_three_quarters_of_one() {
        let mut trial = HeadTrial::new(build(HlGaussConfig::default()));
        assert_eq!(trial.outputs(), 51);
        // 3/4 at 5 bins above the middle and 1/4 at 5 below: 0.5 * 5 * 20 / 51.
        trial.assert_value(&[(30, 0.75), (20, 0.25)], 50.0 / 51.0);
        // The edges are an odd number of half bins from 0, in standard deviations of 3/4 bins:
        // Phi(2/3) = .747507, Phi(2) = .977250, Phi(10/3) = .999571, Phi(14/3) = .999998.
        trial.assert_target(
            0.0,
            0.0,
            &[
                (22, 0.000_428),
                (23, 0.022_321),
                (24, 0.229_742),
                (25, 0.495_015),
                (26, 0.229_742),
                (27, 0.022_321),
                (28, 0.000_428),
            ],
        );
    }

    #[test]
    fn the_head_asked_for_is_planned() {
        let plan =
            HeadTrial::plan(&build(HlGaussConfig { min: -1.0, max: 3.0, bins: 4, sigma: 0.5 }));
        let support = Support { min: -1.0, max: 3.0, bins: 4 };
        let encoding = Encoding::HlGauss { sigma: 0.5 };
        assert_eq!(plan.head, Head::Categorical(Categorical { support, encoding }));
    }

    #[test]
    fn a_support_without_extent_a_sigma_of_0_and_a_second_head_are_refused() {
        let config = HlGaussConfig { max: -11.0, ..HlGaussConfig::default() };
        HeadTrial::assert_refused(build(config), "`min` is -10 and `max` -11");
        let config = HlGaussConfig { bins: 1, ..HlGaussConfig::default() };
        HeadTrial::assert_refused(build(config), "`bins` is 1");
        let config = HlGaussConfig { sigma: 0.0, ..HlGaussConfig::default() };
        HeadTrial::assert_refused(build(config), "`sigma` is 0");
        let message = HeadTrial::second(&build(HlGaussConfig::default()));
        assert_eq!(
            message,
            "the network already has a head with Gaussian targets on 51 bins from -10 to 10"
        );
    }
}
