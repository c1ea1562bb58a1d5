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

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(TwoHot);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HeadTrial;

    fn build(config: TwoHotConfig) -> Result<Box<dyn Intervention>, String> {
        TwoHot::build(config)
    }

    /// Atoms lie 20 / 50 = 0.4 apart: number 20 at -2, 25 at 0, 26 at 0.4, 30 at 2.
    #[test]
    fn the_default_has_51_atoms_from_minus_10_to_10_and_mass_on_the_targets_neighbours() {
        let mut trial = HeadTrial::new(build(TwoHotConfig::default()));
        assert_eq!(trial.outputs(), 51);
        // 3/4 at 2 and 1/4 at -2.
        trial.assert_value(&[(30, 0.75), (20, 0.25)], 1.0);
        // 0.1 is a quarter of the way from 0 to 0.4, whatever the next state's distribution.
        trial.assert_target(0.1, 0.0, &[(25, 0.75), (26, 0.25)]);
        // 0.1 + 0.5 * 1 = 0.6 is half way from 0.4 to 0.8.
        trial.set(&[(30, 0.75), (20, 0.25)]);
        trial.assert_target(0.1, 0.5, &[(26, 0.5), (27, 0.5)]);
        trial.assert_target(11.0, 0.0, &[(50, 1.0)]);
    }

    #[test]
    fn the_head_asked_for_is_planned() {
        let plan = HeadTrial::plan(&build(TwoHotConfig { min: -1.0, max: 3.0, bins: 5 }));
        let support = Support { min: -1.0, max: 3.0, bins: 5 };
        let encoding = Encoding::TwoHot;
        assert_eq!(plan.head, Head::Categorical(Categorical { support, encoding }));
    }

    #[test]
    fn a_support_without_extent_and_a_second_head_are_refused() {
        let config = TwoHotConfig { min: 1.0, max: 1.0, bins: 5 };
        HeadTrial::assert_refused(build(config), "`min` is 1 and `max` 1");
        let config = TwoHotConfig { bins: 1, ..TwoHotConfig::default() };
        HeadTrial::assert_refused(build(config), "`bins` is 1");
        let message = HeadTrial::second(&build(TwoHotConfig::default()));
        assert_eq!(
            message,
            "the network already has a head with two-hot targets on 51 bins from -10 to 10"
        );
    }
}
