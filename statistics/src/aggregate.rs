//! What is said of an algorithm over all tasks in one number (Agarwal et al., 2021, section 4).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    average::{interquartile_mean, mean, median},
    bootstrap::Bootstrap,
    error::{Error, Result},
    estimate::Estimate,
    scores::Scores,
};

/// A number for all runs of all tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Mean over tasks of the mean over runs (`rliable.metrics.aggregate_mean`).
    Mean,
    /// Median over tasks of the mean over runs (`aggregate_median`).
    Median,
    /// Interquartile mean: the mean of the middle half of all runs of all tasks (`aggregate_iqm`). As many runs of
    /// every task.
    Iqm,
    /// How far the scores fall short of `gamma` on average, where more than `gamma` does not count
    /// (`aggregate_optimality_gap`): lower is better. As many runs of every task.
    OptimalityGap {
        /// The score beyond which nothing is gained: 1 for human-normalised scores.
        gamma: f64,
    },
}

impl Aggregate {
    /// The four that rliable plots.
    pub const FIELD: [Self; 4] =
        [Self::Median, Self::Iqm, Self::Mean, Self::OptimalityGap { gamma: 1.0 }];

    /// Its value of the scores as they are.
    ///
    /// # Errors
    /// A `gamma` that is not finite; where runs are pooled, different numbers of runs.
    pub fn of(self, scores: &Scores) -> Result<f64> {
        self.check(scores)?;
        Ok(self.compute(scores))
    }

    /// Its value with a stratified bootstrap interval.
    ///
    /// # Errors
    /// As [`Aggregate::of`], or a setting of the bootstrap out of range.
    pub fn estimate(self, scores: &Scores, bootstrap: &Bootstrap) -> Result<Estimate> {
        Ok(estimates(&[self], scores, bootstrap)?.remove(0))
    }

    pub(crate) fn check(self, scores: &Scores) -> Result<()> {
        match self {
            Self::Mean | Self::Median => Ok(()),
            Self::OptimalityGap { gamma } if !gamma.is_finite() => Err(Error::Setting {
                name: "gamma",
                value: gamma.to_string(),
                expected: "a finite score",
            }),
            Self::Iqm | Self::OptimalityGap { .. } => scores.check_equal_runs(),
        }
    }

    /// Its value of scores that [`Aggregate::check`] has passed.
    pub(crate) fn compute(self, scores: &Scores) -> f64 {
        match self {
            Self::Mean => mean(&scores.task_means()),
            Self::Median => median(&mut scores.task_means()),
            Self::Iqm => interquartile_mean(&mut scores.values().to_vec()),
            Self::OptimalityGap { gamma } => {
                let capped = scores.values().iter().map(|score| score.min(gamma));
                gamma - capped.sum::<f64>() / scores.values().len() as f64
            }
        }
    }
}

/// As a figure's title says it: `IQM`.
impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Median => f.write_str("median"),
            Self::Iqm => f.write_str("IQM"),
            Self::OptimalityGap { gamma: 1.0 } => f.write_str("optimality gap"),
            Self::OptimalityGap { gamma } => write!(f, "optimality gap to {gamma}"),
        }
    }
}

/// Several aggregates of the same resamples. The names are `SCORES: AGGREGATE`; no interval where some task has a
/// single run, whose resamples are all alike.
///
/// # Errors
/// As [`Aggregate::estimate`].
pub fn estimates(
    aggregates: &[Aggregate],
    scores: &Scores,
    bootstrap: &Bootstrap,
) -> Result<Vec<Estimate>> {
    bootstrap.check()?;
    aggregates.iter().try_for_each(|aggregate| aggregate.check(scores))?;
    let all = |scores: &Scores, out: &mut [f64]| {
        out.iter_mut().zip(aggregates).for_each(|(out, one)| *out = one.compute(scores));
    };
    let n = scores.fewest_runs();
    let intervals = match n {
        1 => vec![None; aggregates.len()],
        _ => {
            let intervals = bootstrap.of_scores(scores, aggregates.len(), all)?;
            intervals.into_iter().map(Some).collect()
        }
    };
    let named = aggregates.iter().zip(intervals).map(|(aggregate, interval)| Estimate {
        name: format!("{}: {aggregate}", scores.name()),
        estimate: aggregate.compute(scores),
        interval,
        n,
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(tasks: &[(&str, &[f64])]) -> Scores {
        let tasks = tasks.iter().map(|(task, runs)| (*task, runs.to_vec()));
        Scores::new("dqn", tasks).expect("good scores")
    }

    #[test]
    fn two_runs_of_two_tasks_by_hand() {
        // Means 0.5 and 3. All sorted: 0, 1, 2, 4; the middle half is 1, 2. Capped at 1: 0, 1, 1, 1.
        let scores = scores(&[("a", &[0.0, 1.0]), ("b", &[4.0, 2.0])]);
        let of = |aggregate: Aggregate| aggregate.of(&scores).expect("as many runs of both");
        assert_eq!(of(Aggregate::Mean), 1.75);
        assert_eq!(of(Aggregate::Median), 1.75);
        assert_eq!(of(Aggregate::Iqm), 1.5);
        assert_eq!(of(Aggregate::OptimalityGap { gamma: 1.0 }), 0.25);
        assert_eq!(of(Aggregate::OptimalityGap { gamma: 4.0 }), 2.25);
    }

    #[test]
    fn a_game_with_a_huge_score_moves_the_mean_alone() {
        let with = |huge: f64| {
            let tasks = [("a", 0.1), ("b", 0.5), ("c", 0.9), ("d", huge)];
            let scores = Scores::new("dqn", tasks.map(|(task, score)| (task, vec![score; 3])));
            let scores = scores.expect("good scores");
            Aggregate::FIELD.map(|aggregate| aggregate.of(&scores).expect("as many runs"))
        };
        let [small, large] = [with(2.0), with(200.0)];
        let moved: Vec<bool> = small.iter().zip(large).map(|(a, b)| (a - b).abs() > 1e-9).collect();
        assert_eq!(moved, [false, false, true, false]);
    }

    #[test]
    fn pooled_statistics_refuse_different_numbers_of_runs() {
        let ragged = scores(&[("a", &[1.0, 2.0]), ("b", &[1.0, 2.0, 3.0])]);
        assert_eq!(Aggregate::Mean.of(&ragged), Ok(1.75));
        assert_eq!(Aggregate::Median.of(&ragged), Ok(1.75));
        for aggregate in [Aggregate::Iqm, Aggregate::OptimalityGap { gamma: 1.0 }] {
            assert_eq!(
                aggregate.of(&ragged).expect_err("ragged").to_string(),
                "`dqn`: 3 runs of `b` but 2 of `a`, expected as many of each (mean and median do without)"
            );
        }
        let gap = Aggregate::OptimalityGap { gamma: f64::NAN };
        assert_eq!(
            gap.of(&ragged).expect_err("no number").to_string(),
            "`gamma` is NaN, expected a finite score"
        );
    }

    #[test]
    fn a_single_run_has_no_interval() {
        let single = scores(&[("a", &[1.0]), ("b", &[2.0, 3.0])]);
        let estimate = Aggregate::Mean.estimate(&single, &Bootstrap::new(0)).expect("good");
        assert_eq!((estimate.interval, estimate.n), (None, 1));
        assert_eq!(estimate.name, "dqn: mean");
    }
}
