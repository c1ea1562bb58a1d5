//! Groups whose effects point in opposite directions: what falsifies a single explanation for all.

use serde::{Deserialize, Serialize};

use crate::effect::{Effect, Verdict};

/// The names of groups by what may be said of them, each in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signs {
    /// Above 0.
    pub positive: Vec<String>,
    /// Below 0.
    pub negative: Vec<String>,
    /// Not told from 0.
    pub unclear: Vec<String>,
    /// Too few observations to claim anything.
    pub too_few: Vec<String>,
}

impl Signs {
    /// Whether the sign flips: one group is above 0 and another below. Two estimates of opposite sign are no flip
    /// unless both may be claimed; with k groups at a confidence of 1 - a, chance alone makes one claim in up to k a
    /// of all studies, so many groups want a higher confidence.
    pub fn flip(&self) -> bool {
        !self.positive.is_empty() && !self.negative.is_empty()
    }
}

/// Sorts groups by the verdict on each.
pub fn signs<'a>(groups: impl IntoIterator<Item = &'a Effect>) -> Signs {
    let mut signs = Signs::default();
    for group in groups {
        let list = match group.verdict() {
            Verdict::Above => &mut signs.positive,
            Verdict::Below => &mut signs.negative,
            Verdict::Unclear => &mut signs.unclear,
            Verdict::TooFew { .. } => &mut signs.too_few,
        };
        list.push(group.estimate.name.clone());
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bootstrap::Bootstrap,
        correlation::{Points, RankCorrelation},
    };

    fn effect(name: &str, y: &[f64]) -> Effect {
        let points = y.iter().enumerate().map(|(x, y)| (x as f64, *y));
        let points = Points::new(name, points).expect("good points");
        RankCorrelation::Spearman.effect(&points, &Bootstrap::new(0)).expect("good settings")
    }

    #[test]
    fn a_flip_takes_two_claims_of_opposite_sign() {
        let up = effect("mlp", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let down = effect("cnn", &[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        let weak = effect("vit", &[3.0, 6.0, 1.0, 5.0, 2.0, 4.0]);
        let few = effect("resnet", &[4.0, 3.0, 2.0]);
        let all = signs([&up, &weak, &down, &few]);
        assert_eq!(all.positive, ["mlp"]);
        assert_eq!(all.negative, ["cnn"]);
        assert_eq!(all.unclear, ["vit"]);
        assert_eq!(all.too_few, ["resnet"]);
        assert!(all.flip());
        assert!(weak.estimate.estimate < 0.0 && few.estimate.estimate < 0.0);
        assert!(!signs([&up, &weak, &few]).flip());
    }
}
