//! Rank correlation of two measurements over runs, as figure 3 of Lyle et al. (2023) asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::Bootstrap,
    effect::{Effect, points_needed},
    error::{Error, Result, check_count, check_finite},
    estimate::{Estimate, Interval},
    permutation::by_order,
    ranks::{pearson, ranks, tau_b},
};

/// How far two measurements agree in order; -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankCorrelation {
    /// Spearman's rho: the correlation of the ranks, ties sharing theirs (`scipy.stats.spearmanr`).
    Spearman,
    /// Kendall's tau-b (`scipy.stats.kendalltau`).
    Kendall,
}

/// One point per run: what is held against what.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Points {
    /// Of a group; `name` says of what.
    ///
    /// # Errors
    /// Fewer than three points, as two always correlate in full; a number that is not finite; a side that is
    /// constant, with which nothing correlates.
    pub fn new(
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<Self> {
        let name = name.into();
        let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        check_count(&format!("`{name}`"), "points", x.len(), 3)?;
        for (side, values) in [("x", &x), ("y", &y)] {
            check_finite(values, |point| format!("`{name}`, {side} of point {point}"))?;
            check_varies(format!("{side} of `{name}`"), values)?;
        }
        Ok(Self { name, x, y })
    }
}

fn check_varies(place: String, values: &[f64]) -> Result<()> {
    if values.iter().any(|value| *value != values[0]) {
        return Ok(());
    }
    Err(Error::Constant { place, count: values.len(), value: values[0] })
}

impl RankCorrelation {
    /// The correlation of the points.
    pub fn of(self, points: &Points) -> f64 {
        // Neither side is constant, which `Points` sees to.
        self.compute(&points.x, &points.y).unwrap_or(0.0)
    }

    /// The correlation under the points' name, with a bootstrap interval over points and the p-value of a
    /// permutation test (exact up to `replicates` orders).
    ///
    /// A resample in which one side is constant says nothing: it counts as -1 at the lower end and as 1 at the upper.
    /// So a handful of points, or a measurement that hardly varies, has a wide interval rather than one made of the
    /// resamples that happened to suit.
    ///
    /// # Errors
    /// A setting of the bootstrap out of range.
    pub fn effect(self, points: &Points, bootstrap: &Bootstrap) -> Result<Effect> {
        let n = points.x.len();
        let estimate = Estimate {
            name: points.name.clone(),
            estimate: self.of(points),
            interval: Some(self.interval(points, bootstrap)?),
            n,
        };
        Ok(Effect {
            estimate,
            null: 0.0,
            p_value: self.p_value(points, bootstrap),
            needed: points_needed(bootstrap.confidence),
            confidence: bootstrap.confidence,
        })
    }

    fn interval(self, points: &Points, bootstrap: &Bootstrap) -> Result<Interval> {
        let drawn = |side: &[f64], indices: &[usize]| -> Vec<f64> {
            indices.iter().map(|index| side[*index]).collect()
        };
        let intervals = bootstrap.of_observations(points.x.len(), 2, |indices, out| {
            let found = self.compute(&drawn(&points.x, indices), &drawn(&points.y, indices));
            out[0] = found.unwrap_or(-1.0);
            out[1] = found.unwrap_or(1.0);
        })?;
        Ok(Interval { low: intervals[0].low, ..intervals[1] })
    }

    fn p_value(self, points: &Points, bootstrap: &Bootstrap) -> f64 {
        // Ranks do not change with their order.
        let (x, y) = (ranks(&points.x), ranks(&points.y));
        by_order(x.len(), bootstrap, |order| {
            let y: Vec<f64> = order.iter().map(|index| y[*index]).collect();
            let found = match self {
                Self::Spearman => pearson(&x, &y),
                Self::Kendall => tau_b(&x, &y),
            };
            found.unwrap_or(0.0)
        })
    }

    /// `None` if one side is constant.
    fn compute(self, x: &[f64], y: &[f64]) -> Option<f64> {
        match self {
            Self::Spearman => pearson(&ranks(x), &ranks(y)),
            Self::Kendall => tau_b(x, y),
        }
    }
}

/// As an axis says it: `Spearman's rho`.
impl fmt::Display for RankCorrelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spearman => "Spearman's rho",
            Self::Kendall => "Kendall's tau-b",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Verdict;

    const BOTH: [RankCorrelation; 2] = [RankCorrelation::Spearman, RankCorrelation::Kendall];

    fn rising(n: u32) -> Points {
        let points = (0..n).map(|i| (f64::from(i), f64::from(i).exp()));
        Points::new("rising", points).expect("good points")
    }

    #[test]
    fn order_is_all_that_counts() {
        for kind in BOTH {
            assert_eq!(kind.of(&rising(9)), 1.0);
        }
    }

    /// All four in order: a resample is in order too, or constant (4 of 256, less than a tail).
    #[test]
    fn four_points_in_order_claim_nothing_and_five_do() {
        for kind in BOTH {
            let effect = |n| kind.effect(&rising(n), &Bootstrap::new(0)).expect("good settings");
            assert_eq!(effect(4).estimate.low(), Some(1.0));
            assert_eq!(effect(4).p_value, 2.0 / 24.0);
            assert_eq!(effect(4).verdict(), Verdict::TooFew { found: 4, needed: 5 });
            assert_eq!(effect(5).p_value, 2.0 / 120.0);
            assert_eq!(effect(5).verdict(), Verdict::Above);
        }
    }

    /// One run of ten has dead units at all: it is left out of a third of the resamples.
    #[test]
    fn what_hardly_varies_has_an_interval_of_everything() {
        let points = (0..10).map(|i| (f64::from(i), f64::from(u8::from(i == 9))));
        let points = Points::new("dead units", points).expect("good points");
        for kind in BOTH {
            let effect = kind.effect(&points, &Bootstrap::new(0)).expect("good settings");
            assert_eq!((effect.estimate.low(), effect.estimate.high()), (Some(-1.0), Some(1.0)));
            assert_eq!(effect.verdict(), Verdict::Unclear);
        }
    }

    #[test]
    fn errors_name_group_side_and_point() {
        let message = |points: &[(f64, f64)]| {
            Points::new("cnn", points.iter().copied()).expect_err("bad points").to_string()
        };
        assert_eq!(message(&[(1.0, 2.0), (2.0, 3.0)]), "`cnn`: 2 points, expected at least 3");
        assert_eq!(
            message(&[(1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0)]),
            "`cnn`, y of point 1: NaN, expected a finite number"
        );
        assert_eq!(
            message(&[(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)]),
            "x of `cnn`: all 3 values are 0, expected some that differ: a correlation with a constant is undefined"
        );
    }
}
