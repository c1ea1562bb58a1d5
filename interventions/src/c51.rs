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

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(C51);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HeadTrial;

    fn build(config: C51Config) -> Result<Box<dyn Intervention>, String> {
        C51::build(config)
    }

    /// Atoms lie 20 / 50 = 0.4 apart: number 20 at -2, 25 at 0, 30 at 2.
    #[test]
    fn the_default_has_51_atoms_from_minus_10_to_10_and_moves_the_next_distribution() {
        let mut trial = HeadTrial::new(build(C51Config::default()));
        assert_eq!(trial.outputs(), 51);
        trial.assert_value(&[(30, 0.75), (20, 0.25)], 1.0);
        // 0.1 + 0.5 * 2 = 1.1 lies 3/4 of the way from atom 27 (0.8) to 28; 0.1 - 0.5 * 2 = -0.9 lies
        // 3/4 of the way from atom 22 (-1.2) to 23. Their mean, 0.6, alone would give 26 and 27.
        trial.set(&[(30, 0.75), (20, 0.25)]);
        let (upper, lower) = (0.75, 0.25);
        trial.assert_target(
            0.1,
            0.5,
            &[(22, lower * 0.25), (23, lower * 0.75), (27, upper * 0.25), (28, upper * 0.75)],
        );
        // The end of an episode: all mass at the reward.
        trial.assert_target(0.1, 0.0, &[(25, 0.75), (26, 0.25)]);
    }

    #[test]
    fn the_head_asked_for_is_planned() {
        let plan = HeadTrial::plan(&build(C51Config { min: -1.0, max: 3.0, bins: 5 }));
        let support = Support { min: -1.0, max: 3.0, bins: 5 };
        let encoding = Encoding::Distributional;
        assert_eq!(plan.head, Head::Categorical(Categorical { support, encoding }));
    }

    #[test]
    fn a_support_without_extent_and_a_second_head_are_refused() {
        let config = C51Config { min: f64::NAN, ..C51Config::default() };
        HeadTrial::assert_refused(build(config), "`min` is NaN");
        let config = C51Config { bins: 1, ..C51Config::default() };
        HeadTrial::assert_refused(build(config), "`bins` is 1");
        let message = HeadTrial::second(&build(C51Config::default()));
        assert_eq!(
            message,
            "the network already has a head with distributional targets on 51 bins from -10 to 10"
        );
    }
}
