//! An estimate held against what it would be if nothing were going on, and whether the sample can say anything at all.
//!
//! A percentile interval of few observations is too narrow: its ends are resamples of what was seen, so it can be no
//! wider than the data. So a claim takes three things: enough observations, an interval that leaves it out, and
//! an exact test that agrees.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;

/// A difference, a correlation, a probability of improvement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The number, its interval and its sample size.
    pub estimate: Estimate,
    /// What the number is if nothing is going on: 0, and of a probability of improvement 0.5.
    pub null: f64,
    /// Two-sided, of the test by signs or permutations that belongs to it.
    pub p_value: f64,
    /// The fewest observations of which the test can give a p-value of at most `1 - confidence`.
    pub needed: usize,
    /// What a claim must stand up to.
    pub confidence: f64,
}

impl Effect {
    /// What may be said.
    pub fn verdict(&self) -> Verdict {
        let found = self.estimate.n;
        if found < self.needed {
            return Verdict::TooFew { found, needed: self.needed };
        }
        if !is_small(self.p_value, self.confidence) {
            return Verdict::Unclear;
        }
        match self.estimate.interval {
            Some(interval) if interval.low > self.null => Verdict::Above,
            Some(interval) if interval.high < self.null => Verdict::Below,
            _ => Verdict::Unclear,
        }
    }
}

/// Whether a p-value is one to claim something by; but for rounding, as 1 - 0.9 is less than 0.1.
fn is_small(p_value: f64, confidence: f64) -> bool {
    p_value <= (1.0 - confidence) + 1e-12
}

/// What may be said of an [`Effect`]. Which side is better is the reader's knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Greater than if nothing were going on.
    Above,
    /// Less than that.
    Below,
    /// The sample would have been large enough for a large effect; this one it does not tell from none.
    Unclear,
    /// Whatever the numbers are, so few claim nothing.
    TooFew {
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
}

/// As a table says it: `too few (3 of 6)`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above => f.write_str("above"),
            Self::Below => f.write_str("below"),
            Self::Unclear => f.write_str("unclear"),
            Self::TooFew { found, needed } => write!(f, "too few ({found} of {needed})"),
        }
    }
}

/// The fewest pairs that can claim a difference. With n pairs, all differences have one sign by chance with a
/// probability of 2 / 2^n: 6 pairs for 0.95, 8 for 0.99.
pub fn pairs_needed(confidence: f64) -> usize {
    fewest(confidence, |n| 0.5f64.powi(n - 1))
}

/// The fewest points that can claim a rank correlation. All of n are in order, or in reverse, by chance with a
/// probability of 2 / n!: 5 points for 0.95, 6 for 0.99.
pub fn points_needed(confidence: f64) -> usize {
    fewest(confidence, |n| 2.0 / (1..=n).map(f64::from).product::<f64>())
}

/// The fewest runs of each of two algorithms on each of this many tasks that can claim a difference without pairs.
/// All n runs of the one beat all of the other on every task by chance with a probability of 2 / C(2n, n)^tasks: 4
/// runs of a single task for 0.95, 5 for 0.99, never fewer than 2.
pub fn runs_needed(confidence: f64, tasks: usize) -> usize {
    let orders = |n: i32| (1..=n).map(|k| f64::from(n + k) / f64::from(k)).product::<f64>();
    fewest(confidence, |n| 2.0 / orders(n).powi(tasks as i32))
}

/// The least n from 2 on whose smallest p-value is small; `usize::MAX` where none is.
fn fewest(confidence: f64, smallest_p: impl Fn(i32) -> f64) -> usize {
    let found = (2..=1000).find(|n| is_small(smallest_p(*n), confidence));
    found.map_or(usize::MAX, |n| n as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{Band, Interval};

    fn effect(low: f64, high: f64, n: usize, p_value: f64) -> Effect {
        let band = Band::Bootstrap { confidence: 0.95 };
        let interval = Some(Interval { low, high, band });
        let estimate = Estimate { name: "x".to_owned(), estimate: (low + high) / 2.0, interval, n };
        Effect { estimate, null: 0.0, p_value, needed: 6, confidence: 0.95 }
    }

    #[test]
    fn a_claim_takes_enough_pairs_an_interval_and_a_test() {
        assert_eq!(effect(0.1, 0.2, 6, 0.03).verdict(), Verdict::Above);
        assert_eq!(effect(-0.2, -0.1, 6, 0.03).verdict(), Verdict::Below);
        assert_eq!(effect(-0.1, 0.2, 6, 0.03).verdict(), Verdict::Unclear);
        assert_eq!(effect(0.1, 0.2, 6, 0.06).verdict(), Verdict::Unclear);
        let too_few = effect(0.1, 0.2, 5, 0.0).verdict();
        assert_eq!(too_few, Verdict::TooFew { found: 5, needed: 6 });
        assert_eq!(too_few.to_string(), "too few (5 of 6)");
    }

    #[test]
    fn an_end_on_zero_claims_nothing() {
        assert_eq!(effect(0.0, 0.2, 9, 0.01).verdict(), Verdict::Unclear);
        assert_eq!(effect(-0.2, 0.0, 9, 0.01).verdict(), Verdict::Unclear);
    }

    #[test]
    fn a_probability_of_improvement_is_held_against_a_coin() {
        let against = |null| Effect { null, ..effect(0.6, 0.9, 9, 0.01) }.verdict();
        assert_eq!(against(0.5), Verdict::Above);
        assert_eq!(against(0.7), Verdict::Unclear);
        assert_eq!(against(1.0), Verdict::Below);
    }

    #[test]
    fn how_many_it_takes_by_hand() {
        // 2/2^5 = 0.0625, 2/2^6 = 0.03125; 2/2^7 = 0.0156, 2/2^8 = 0.0078.
        assert_eq!((pairs_needed(0.95), pairs_needed(0.99)), (6, 8));
        // 2/4! = 0.083, 2/5! = 0.0167, 2/6! = 0.0028.
        assert_eq!((points_needed(0.95), points_needed(0.99)), (5, 6));
        // C(6, 3) = 20, C(8, 4) = 70, C(10, 5) = 252: 2/20 = 0.1, 2/70 = 0.029, 2/252 = 0.0079.
        assert_eq!((runs_needed(0.9, 1), runs_needed(0.95, 1), runs_needed(0.99, 1)), (3, 4, 5));
        // Two tasks of 3 runs: 2/400; of 2 runs: 2/36. Many tasks: never a single run.
        assert_eq!((runs_needed(0.95, 2), runs_needed(0.9, 2), runs_needed(0.95, 57)), (3, 2, 2));
    }
}
