//! What is rewarded, and where an action leads: the block MDPs' tables (Lyle et al., 2023,
//! section 2) as functions of state and action.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is rewarded, and where an action leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewardRule {
    /// Reward 1 for naming the image's class, else 0; the next state is uniform ("easy").
    #[default]
    TrueLabel,
    /// The same after every image got a fixed random label ("hard"). Evaluation shows the training
    /// images, since held-out images carry no label that could be learned.
    RandomLabel,
    /// Reward 1 for naming class 9, else 0. Naming the class leads to the class after it, anything
    /// else to a uniform state. After 9 comes 0: the paper does not say.
    SparseReward,
}

impl RewardRule {
    /// As configurations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TrueLabel => "true_label",
            Self::RandomLabel => "random_label",
            Self::SparseReward => "sparse_reward",
        }
    }

    /// r(s, a) of an MDP of `states` states and as many actions.
    pub fn reward(self, state: usize, action: usize, states: usize) -> f32 {
        let pays = match self {
            Self::TrueLabel | Self::RandomLabel => true,
            Self::SparseReward => state + 1 == states,
        };
        f32::from(pays && action == state)
    }

    /// The state that follows for certain; `None` where all are equally likely.
    pub fn successor(self, state: usize, action: usize, states: usize) -> Option<usize> {
        match self {
            Self::TrueLabel | Self::RandomLabel => None,
            Self::SparseReward => (action == state).then_some((state + 1) % states),
        }
    }

    /// What the mean reward per step is, where it is the share of images named rightly.
    pub fn reward_per_step_name(self) -> Option<&'static str> {
        match self {
            Self::TrueLabel | Self::RandomLabel => Some("accuracy"),
            Self::SparseReward => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RewardRule::{RandomLabel, SparseReward, TrueLabel};

    #[test]
    fn naming_the_state_pays_one_under_either_labels() {
        for rule in [TrueLabel, RandomLabel] {
            for (s, a) in (0..100).map(|pair| (pair / 10, pair % 10)) {
                assert_eq!(rule.reward(s, a, 10), if a == s { 1.0 } else { 0.0 }, "{s} {a}");
                assert_eq!(rule.successor(s, a, 10), None);
            }
        }
    }

    #[test]
    fn sparse_rewards_pay_at_nine_and_lead_round_the_classes() {
        for (s, a) in (0..100).map(|pair| (pair / 10, pair % 10)) {
            let pays = s == 9 && a == 9;
            assert_eq!(SparseReward.reward(s, a, 10), if pays { 1.0 } else { 0.0 }, "{s} {a}");
        }
        let next = |s, a| SparseReward.successor(s, a, 10);
        assert_eq!([next(0, 0), next(4, 4), next(9, 9)], [Some(1), Some(5), Some(0)]);
        assert_eq!([next(0, 1), next(9, 0), next(8, 9)], [None; 3]);
    }
}
