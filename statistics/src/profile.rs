//! Performance profiles: for each score, how much of what was run is above it (Agarwal et al., 2021, section 4.2).

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::Bootstrap,
    curve::{Curve, Point},
    error::{Result, check_increasing},
    estimate::Interval,
    scores::Scores,
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The share of all runs of all tasks above tau: `create_performance_profile`'s default. As many runs of every
    /// task.
    Runs,
    /// The share of tasks whose mean over runs is above tau (`use_score_distribution=False`).
    Tasks,
}

impl Profile {
    /// The share above each of the increasing `taus`, with stratified bootstrap intervals; no interval where some
    /// task has a single run. 2000 replicates are rliable's default here.
    ///
    /// # Errors
    /// No tau, one that is not finite or not greater than the one before; where runs are pooled, different numbers
    /// of runs; a setting of the bootstrap out of range.
    pub fn of(self, scores: &Scores, taus: &[f64], bootstrap: &Bootstrap) -> Result<Curve> {
        bootstrap.check()?;
        check_increasing("taus", taus)?;
        if self == Self::Runs {
            scores.check_equal_runs()?;
        }
        let mut shares = vec![0.0; taus.len()];
        self.fill(scores, taus, &mut shares);
        let intervals = self.intervals(scores, taus, bootstrap)?;
        let n = scores.fewest_runs();
        let points = taus.iter().zip(shares).zip(intervals);
        let points = points.map(|((x, estimate), interval)| Point { x: *x, estimate, interval, n });
        Ok(Curve { name: scores.name().to_owned(), points: points.collect() })
    }

    fn intervals(
        self,
        scores: &Scores,
        taus: &[f64],
        bootstrap: &Bootstrap,
    ) -> Result<Vec<Option<Interval>>> {
        if scores.fewest_runs() == 1 {
            return Ok(vec![None; taus.len()]);
        }
        let fill = |scores: &Scores, out: &mut [f64]| self.fill(scores, taus, out);
        let intervals = bootstrap.of_scores(scores, taus.len(), fill)?;
        Ok(intervals.into_iter().map(Some).collect())
    }

    fn fill(self, scores: &Scores, taus: &[f64], shares: &mut [f64]) {
        let mut sorted = match self {
            Self::Runs => scores.values().to_vec(),
            Self::Tasks => scores.task_means(),
        };
        sorted.sort_unstable_by(f64::total_cmp);
        for (share, tau) in shares.iter_mut().zip(taus) {
            let above = sorted.len() - sorted.partition_point(|score| score <= tau);
            *share = above as f64 / sorted.len() as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(profile: Profile, taus: &[f64]) -> Vec<f64> {
        let scores = Scores::new("dqn", [("a", vec![0.0, 1.0]), ("b", vec![4.0, 2.0])]);
        let curve = profile.of(&scores.expect("good"), taus, &Bootstrap::new(0));
        curve.expect("increasing taus").points.iter().map(|point| point.estimate).collect()
    }

    #[test]
    fn two_runs_of_two_tasks_by_hand() {
        // Runs 0, 1, 2, 4; means 0.5 and 3. A score of tau is not above it.
        let taus = [-1.0, 0.0, 0.5, 1.5, 3.0, 4.0];
        assert_eq!(shares(Profile::Runs, &taus), [1.0, 0.75, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(shares(Profile::Tasks, &taus), [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn taus_that_do_not_increase_are_refused() {
        let scores = Scores::new("dqn", [("a", vec![0.0, 1.0])]).expect("good");
        let message = |taus: &[f64]| {
            let refused = Profile::Runs.of(&scores, taus, &Bootstrap::new(0));
            refused.expect_err("bad taus").to_string()
        };
        assert_eq!(message(&[]), "taus: 0 values, expected at least 1");
        assert_eq!(message(&[0.0, 1.0, 1.0]), "taus: x 1 after 1, expected increasing x");
        assert_eq!(message(&[0.0, f64::NAN]), "taus, value 1: NaN, expected a finite number");
    }

    #[test]
    fn pooled_runs_must_be_as_many_and_means_need_not() {
        let scores = Scores::new("dqn", [("a", vec![0.0, 1.0]), ("b", vec![1.0, 2.0, 3.0])]);
        let scores = scores.expect("good");
        let of = |profile: Profile| profile.of(&scores, &[0.75], &Bootstrap::new(0));
        assert!(of(Profile::Runs).is_err_and(|error| error.to_string().contains("3 runs of `b`")));
        let point = of(Profile::Tasks).expect("means").points[0];
        assert_eq!((point.estimate, point.n), (0.5, 2));
    }
}
