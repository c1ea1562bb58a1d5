//! One number per seed of one condition, and how it spreads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    average::{mean, standard_deviation},
    bootstrap::Bootstrap,
    error::{Error, Result, check_count, check_finite},
    estimate::Estimate,
};

/// One finite number for each seed that finished, in the order of seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Seeded {
    name: String,
    values: BTreeMap<u64, f64>,
}

impl Seeded {
    /// Under the name of the condition.
    ///
    /// # Errors
    /// No seed, a seed twice, or a value that is not finite.
    pub fn new(
        name: impl Into<String>,
        values: impl IntoIterator<Item = (u64, f64)>,
    ) -> Result<Self> {
        let mut seeded = Self { name: name.into(), values: BTreeMap::new() };
        let place = format!("`{}`", seeded.name);
        for (seed, value) in values {
            check_finite(&[value], |_| format!("{place}, seed {seed}"))?;
            if seeded.values.insert(seed, value).is_some() {
                return Err(Error::Twice { place, what: format!("seed {seed}") });
            }
        }
        check_count(&place, "seeds", seeded.values.len(), 1)?;
        Ok(seeded)
    }

    /// The condition.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a seed.
    pub fn get(&self, seed: u64) -> Option<f64> {
        self.values.get(&seed).copied()
    }

    /// The seeds, ascending.
    pub fn seeds(&self) -> impl Iterator<Item = u64> {
        self.values.keys().copied()
    }

    /// The values, in the order of seeds.
    pub fn values(&self) -> Vec<f64> {
        self.values.values().copied().collect()
    }

    /// Mean with a bootstrap interval, spread and extremes over seeds.
    ///
    /// # Errors
    /// A setting of the bootstrap out of range.
    pub fn summary(&self, bootstrap: &Bootstrap) -> Result<Summary> {
        let values = self.values();
        Ok(Summary {
            mean: mean_estimate(self.name.clone(), &values, bootstrap)?,
            standard_deviation: standard_deviation(&values),
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// What is said of one condition over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The mean over seeds.
    pub mean: Estimate,
    /// Spread of single seeds, with the divisor n - 1; `None` of a single one. Not to be taken for the uncertainty of
    /// the mean, which is sqrt(n) times smaller.
    pub standard_deviation: Option<f64>,
    /// The lowest seed.
    pub least: f64,
    /// The highest seed.
    pub most: f64,
}

/// The mean of observations with a bootstrap interval; none of a single observation.
pub(crate) fn mean_estimate(
    name: String,
    values: &[f64],
    bootstrap: &Bootstrap,
) -> Result<Estimate> {
    bootstrap.check()?;
    let n = values.len();
    let of_drawn = |drawn: &[usize], out: &mut [f64]| {
        out[0] = drawn.iter().map(|index| values[*index]).sum::<f64>() / n as f64;
    };
    let interval = match n {
        1 => None,
        _ => bootstrap.of_observations(n, 1, of_drawn)?.pop(),
    };
    Ok(Estimate { name, estimate: mean(values), interval, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seeds_by_hand() {
        let seeded = Seeded::new("redo", [(2, 3.0), (0, 1.0), (1, 8.0)]).expect("good");
        assert_eq!(seeded.values(), [1.0, 8.0, 3.0]);
        let summary = seeded.summary(&Bootstrap::new(0)).expect("good settings");
        // 9 + 16 + 1 over 2.
        assert_eq!(summary.standard_deviation, Some(13f64.sqrt()));
        assert_eq!((summary.mean.estimate, summary.least, summary.most), (4.0, 1.0, 8.0));
        // All three the lowest, or all the highest, each 1 of 27: beyond the tails of 2.5 %. So the ends are the
        // extremes themselves.
        assert_eq!((summary.mean.low(), summary.mean.high()), (Some(1.0), Some(8.0)));
        assert_eq!((summary.mean.name.as_str(), summary.mean.n), ("redo", 3));
    }

    #[test]
    fn a_single_seed_has_neither_interval_nor_spread() {
        let summary = Seeded::new("a", [(7, 2.5)]).expect("good").summary(&Bootstrap::new(0));
        let summary = summary.expect("good settings");
        assert_eq!((summary.mean.interval, summary.standard_deviation), (None, None));
        assert_eq!((summary.mean.estimate, summary.least, summary.most), (2.5, 2.5, 2.5));
    }

    #[test]
    fn errors_name_condition_and_seed() {
        let message = |values: &[(u64, f64)]| {
            Seeded::new("redo", values.iter().copied()).expect_err("bad").to_string()
        };
        assert_eq!(message(&[]), "`redo`: 0 seeds, expected at least 1");
        assert_eq!(message(&[(4, f64::INFINITY)]), "`redo`, seed 4: inf, expected a finite number");
        assert_eq!(
            message(&[(4, 1.0), (4, 1.0)]),
            "`redo`: seed 4 is there twice, expected each once"
        );
    }
}
