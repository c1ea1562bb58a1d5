//! The states behind images, and what actions are worth in them.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{Dataset, RewardRule};
use crate::env::KnownStates;

/// The classes of a data set's images as states.
pub(super) struct Classes {
    /// Class by a hash of the image.
    by_image: HashMap<u64, u8>,
    count: usize,
    rule: RewardRule,
}

impl Classes {
    pub fn new(data: &Arc<Dataset>, rule: RewardRule) -> Self {
        let count = data.classes();
        let mut by_image = HashMap::new();
        for class in 0..count {
            for index in 0..data.class_len(class) {
                by_image.entry(hash(data.image(class, index))).or_insert(class as u8);
            }
        }
        Self { by_image, count, rule }
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} images in {} classes", self.by_image.len(), self.count)
    }
}

fn hash(image: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}

impl KnownStates for Classes {
    fn count(&self) -> usize {
        self.count
    }

    /// Of images that a data set has twice, under different labels, the first counts.
    fn state_of(&self, frame: &[u8]) -> Option<usize> {
        self.by_image.get(&hash(frame)).map(|class| usize::from(*class))
    }

    fn action_values(&self, discount: f64) -> Vec<Vec<f64>> {
        optimal_values(self.rule, self.count, discount)
    }
}

/// Value iteration until nothing changes by more than 1e-12.
fn optimal_values(rule: RewardRule, states: usize, discount: f64) -> Vec<Vec<f64>> {
    let mut values = vec![0.0; states];
    loop {
        let anywhere = values.iter().sum::<f64>() / states as f64;
        let of_action = |state: usize, action: usize| {
            let next = rule.successor(state, action, states).map_or(anywhere, |next| values[next]);
            f64::from(rule.reward(state, action, states)) + discount * next
        };
        let q: Vec<Vec<f64>> = (0..states)
            .map(|state| (0..states).map(|action| of_action(state, action)).collect())
            .collect();
        let best = |row: &Vec<f64>| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let better: Vec<f64> = q.iter().map(best).collect();
        let change = values.iter().zip(&better).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        values = better;
        if change <= 1e-12 {
            return q;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Naming the class always pays 1, so V = 1 / (1 - discount), and Q = r + discount * V.
    #[test]
    fn naming_the_class_for_ever_by_hand() {
        for rule in [RewardRule::TrueLabel, RewardRule::RandomLabel] {
            let q = optimal_values(rule, 10, 0.9);
            for (state, row) in q.iter().enumerate() {
                for (action, value) in row.iter().enumerate() {
                    let expected = if action == state { 10.0 } else { 9.0 };
                    assert!((value - expected).abs() < 1e-10, "{state} {action}: {value}");
                }
            }
        }
    }

    /// With two states: V1 = 1 + d V0 by naming; V0 = d V1 by naming (it leads to 1 for certain, which is
    /// better than evenly), so V0 = d / (1 - d^2) and V1 = 1 / (1 - d^2).
    #[test]
    fn two_states_with_a_sparse_reward_by_hand() {
        let d: f64 = 0.5;
        let q = optimal_values(RewardRule::SparseReward, 2, d);
        let (v0, v1) = (d / (1.0 - d * d), 1.0 / (1.0 - d * d));
        let even = d * (v0 + v1) / 2.0;
        for (actual, expected) in
            [(q[0][0], d * v1), (q[0][1], even), (q[1][0], even), (q[1][1], 1.0 + d * v0)]
        {
            assert!((actual - expected).abs() < 1e-10, "{q:?}");
        }
    }

    /// With ten states the values must satisfy Bellman's equation, written out once more: naming leads on,
    /// and at 9 pays; it is best in every state, since every state is nearer to 9 than an even draw but for
    /// those just after it.
    #[test]
    fn ten_states_with_a_sparse_reward_satisfy_bellmans_equation() {
        let d = 0.9;
        let q = optimal_values(RewardRule::SparseReward, 10, d);
        let v: Vec<f64> =
            q.iter().map(|row| row.iter().copied().fold(f64::MIN, f64::max)).collect();
        let mean = v.iter().sum::<f64>() / 10.0;
        for s in 0..10 {
            let named = if s == 9 { 1.0 + d * v[0] } else { d * v[s + 1] };
            assert!((q[s][s] - named).abs() < 1e-9 && (q[s][(s + 1) % 10] - d * mean).abs() < 1e-9);
        }
        assert!(
            v.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12),
            "nearer to 9 is better: {v:?}"
        );
    }
}
