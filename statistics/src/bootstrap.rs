//! Intervals by resampling (Efron, 1979), stratified by task as rliable does it (Agarwal et al., 2021).

use std::thread;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    average::quantile,
    error::{Error, Result, check_finite},
    estimate::{Band, Interval},
    scores::Scores,
};

/// How intervals are made. The k-th replicate is drawn from a random stream of its own, so the numbers depend on
/// `seed` alone, whatever the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Resamples, at least 100; rliable's default is 50,000, for profiles 2000.
    pub replicates: usize,
    /// Share of the replicates that the interval holds, above 0 and below 1.
    pub confidence: f64,
    /// Of the random draws.
    pub seed: u64,
    /// Threads that compute, at least 1.
    pub threads: usize,
}

impl Bootstrap {
    /// 50,000 replicates, 95 % intervals, one thread.
    pub fn new(seed: u64) -> Self {
        Self { replicates: 50_000, confidence: 0.95, seed, threads: 1 }
    }

    /// With another number of replicates.
    pub fn with_replicates(self, replicates: usize) -> Self {
        Self { replicates, ..self }
    }

    /// With a confidence that holds for this many comparisons at once (Bonferroni): 0.95 becomes 0.975 of each of two.
    pub fn among(self, comparisons: usize) -> Self {
        let confidence = 1.0 - (1.0 - self.confidence) / comparisons.max(1) as f64;
        Self { confidence, ..self }
    }

    /// Intervals of a function of scores that writes `width` numbers: runs are drawn within each task
    /// (`rliable.library.StratifiedBootstrap`).
    ///
    /// # Errors
    /// A setting out of range, or a replicate that is not finite.
    pub fn of_scores(
        &self,
        scores: &Scores,
        width: usize,
        statistic: impl Fn(&Scores, &mut [f64]) + Sync,
    ) -> Result<Vec<Interval>> {
        let start = || scores.clone();
        self.intervals(width, start, |drawn, random, out| {
            scores.resample(drawn, random);
            statistic(drawn, out);
        })
    }

    /// Intervals of a function of two sets of scores, each resampled by itself
    /// (`rliable.library.StratifiedIndependentBootstrap`).
    ///
    /// # Errors
    /// As [`Bootstrap::of_scores`].
    pub fn of_pair(
        &self,
        x: &Scores,
        y: &Scores,
        width: usize,
        statistic: impl Fn(&Scores, &Scores, &mut [f64]) + Sync,
    ) -> Result<Vec<Interval>> {
        let start = || (x.clone(), y.clone());
        self.intervals(width, start, |(drawn_x, drawn_y), random, out| {
            x.resample(drawn_x, random);
            y.resample(drawn_y, random);
            statistic(drawn_x, drawn_y, out);
        })
    }

    /// Intervals of a function of `n` observations, by the indices of those drawn: what belongs to one
    /// observation (both sides of a pair) stays together.
    ///
    /// # Errors
    /// As [`Bootstrap::of_scores`], or no observation.
    pub fn of_observations(
        &self,
        n: usize,
        width: usize,
        statistic: impl Fn(&[usize], &mut [f64]) + Sync,
    ) -> Result<Vec<Interval>> {
        crate::error::check_count("bootstrap", "observations", n, 1)?;
        self.intervals(
            width,
            || vec![0; n],
            |indices: &mut Vec<usize>, random, out| {
                indices.fill_with(|| random.random_range(0..n));
                statistic(indices, out);
            },
        )
    }

    /// `draw` makes one replicate of `width` numbers, in a state of its thread.
    fn intervals<S>(
        &self,
        width: usize,
        start: impl Fn() -> S + Sync,
        draw: impl Fn(&mut S, &mut ChaCha8Rng, &mut [f64]) + Sync,
    ) -> Result<Vec<Interval>> {
        self.check()?;
        let rows = self.replicate(width, Draws::Resamples, start, draw);
        (0..width).map(|column| self.interval_of_column(&rows, width, column)).collect()
    }

    fn interval_of_column(&self, rows: &[f64], width: usize, column: usize) -> Result<Interval> {
        let mut values: Vec<f64> = rows.iter().skip(column).step_by(width).copied().collect();
        check_finite(&values, |replicate| {
            format!("number {column} of bootstrap replicate {replicate}")
        })?;
        let tail = (1.0 - self.confidence) / 2.0;
        let (low, high) = (quantile(&mut values, tail), quantile(&mut values, 1.0 - tail));
        Ok(Interval { low, high, band: Band::Bootstrap { confidence: self.confidence } })
    }

    /// `replicates` rows of `width` numbers, in order.
    pub(crate) fn replicate<S>(
        &self,
        width: usize,
        draws: Draws,
        start: impl Fn() -> S + Sync,
        draw: impl Fn(&mut S, &mut ChaCha8Rng, &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let mut rows = vec![0.0; self.replicates * width];
        let rows_per_thread = self.replicates.div_ceil(self.threads);
        let root = ChaCha8Rng::seed_from_u64(self.seed);
        let fill = |first: usize, rows: &mut [f64]| {
            let mut state = start();
            for (row, replicate) in rows.chunks_mut(width).zip(first..) {
                let mut random = root.clone();
                random.set_stream(draws.stream(replicate));
                draw(&mut state, &mut random, row);
            }
        };
        let mut chunks = rows.chunks_mut((rows_per_thread * width).max(1)).enumerate();
        let own = chunks.next();
        thread::scope(|scope| {
            for (index, chunk) in chunks {
                scope.spawn(move || fill(index * rows_per_thread, chunk));
            }
            own.into_iter().for_each(|(_, chunk)| fill(0, chunk));
        });
        rows
    }

    /// An error if a setting is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |name, value, expected| Err(Error::Setting { name, value, expected });
        if self.replicates < 100 {
            return wrong("replicates", self.replicates.to_string(), "at least 100");
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            let expected = "a share above 0 and below 1, such as 0.95";
            return wrong("confidence", self.confidence.to_string(), expected);
        }
        if self.threads == 0 {
            return wrong("threads", "0".to_owned(), "at least 1");
        }
        Ok(())
    }
}

/// What random streams are for, so that tests and intervals of one seed share none.
#[derive(Clone, Copy)]
pub(crate) enum Draws {
    Resamples,
    Permutations,
}

impl Draws {
    fn stream(self, replicate: usize) -> u64 {
        2 * replicate as u64 + u64::from(matches!(self, Self::Permutations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::average::mean;

    fn scores() -> Scores {
        Scores::new("a", [("x", vec![1.0, 2.0]), ("y", vec![10.0, 20.0, 60.0])]).expect("good")
    }

    fn mean_of_task_means(scores: &Scores, out: &mut [f64]) {
        out[0] = mean(&scores.task_means());
    }

    #[test]
    fn the_number_of_threads_changes_no_number() {
        let with = |threads| {
            let bootstrap = Bootstrap { threads, ..Bootstrap::new(3).with_replicates(1001) };
            bootstrap.of_scores(&scores(), 1, mean_of_task_means).expect("finite")
        };
        let one = with(1);
        for threads in [2, 3, 16, 2000] {
            assert_eq!(with(threads), one, "{threads}");
        }
    }

    /// Two runs 0 and 1: the mean of a resample is 0, 1/2 or 1 with a probability of 1/4, 1/2, 1/4.
    #[test]
    fn two_runs_by_hand() {
        let two = Scores::new("a", [("x", vec![0.0, 1.0])]).expect("good");
        let at = |confidence| {
            let bootstrap = Bootstrap { confidence, ..Bootstrap::new(0) };
            let interval = bootstrap.of_scores(&two, 1, mean_of_task_means).expect("finite")[0];
            (interval.low, interval.high)
        };
        // Tails of 0.2 lie in the outer quarters, tails of 0.3 beyond them; 1/4 has a standard deviation of 0.002.
        assert_eq!(at(0.6), (0.0, 1.0));
        assert_eq!(at(0.4), (0.5, 0.5));
    }

    #[test]
    fn no_two_replicates_share_a_stream_nor_do_intervals_and_tests() {
        let of = |draws: Draws| (0..100).map(move |replicate| draws.stream(replicate));
        let mut streams: Vec<u64> = of(Draws::Resamples).chain(of(Draws::Permutations)).collect();
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), 200);
    }

    #[test]
    fn runs_stay_within_their_task() {
        let least = |scores: &Scores, out: &mut [f64]| {
            let runs: Vec<&[f64]> = scores.runs().collect();
            out[0] = f64::from(u8::from(runs[0].iter().all(|run| *run < 5.0)));
            out[1] = f64::from(u8::from(runs[1].iter().all(|run| *run > 5.0)));
        };
        let intervals = Bootstrap::new(0).of_scores(&scores(), 2, least).expect("finite");
        assert!(intervals.iter().all(|interval| (interval.low, interval.high) == (1.0, 1.0)));
    }

    #[test]
    fn many_comparisons_take_wider_intervals_and_more_pairs() {
        let (one, many) = (Bootstrap::new(0), Bootstrap::new(0).among(28));
        assert!((1.0 - many.confidence - 0.05 / 28.0).abs() < 1e-12);
        assert_eq!(one.among(1), one.among(0));
        let needed = |bootstrap: Bootstrap| crate::effect::pairs_needed(bootstrap.confidence);
        // 2/2^10 = 0.00195, 2/2^11 = 0.00098; 0.05/28 = 0.00179.
        assert_eq!((needed(one), needed(many)), (6, 11));
        let width = |bootstrap: Bootstrap| {
            bootstrap.of_scores(&scores(), 1, mean_of_task_means).expect("finite")[0].width()
        };
        assert!(width(many) > width(one));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let message = |bootstrap: Bootstrap| {
            let refused = bootstrap.of_scores(&scores(), 1, mean_of_task_means);
            refused.expect_err("out of range").to_string()
        };
        let good = Bootstrap::new(0);
        assert_eq!(message(good.with_replicates(99)), "`replicates` is 99, expected at least 100");
        assert_eq!(
            message(Bootstrap { threads: 0, ..good }),
            "`threads` is 0, expected at least 1"
        );
        for confidence in [0.0, 1.0, 95.0, f64::NAN] {
            let message = message(Bootstrap { confidence, ..good });
            assert!(message.contains("expected a share above 0 and below 1"), "{message}");
        }
    }

    #[test]
    fn a_replicate_that_is_not_finite_is_named() {
        let nan = |_: &Scores, out: &mut [f64]| out.fill(f64::NAN);
        let message = Bootstrap::new(0).of_scores(&scores(), 1, nan).expect_err("not finite");
        assert_eq!(
            message.to_string(),
            "number 0 of bootstrap replicate 0: NaN, expected a finite number"
        );
    }
}
