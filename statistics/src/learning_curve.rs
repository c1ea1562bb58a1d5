//! Learning curves over seeds, and over seeds of many tasks.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Aggregate,
    average::{interquartile_mean, mean, median, standard_deviation},
    bootstrap::Bootstrap,
    curve::{Curve, Point},
    error::{Error, Result, check_count, check_increasing},
    estimate::{Band, Interval},
    scores::Scores,
    series::{Interpolation, Series},
};

/// How a curve is made of runs.
///
/// Runs that end early, or begin late, count where they have a value: [`Point::n`] says how many do. Where n changes
/// a curve may jump though no run did.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningCurve {
    /// Where the curve has its points, increasing: [`measured_grid`](crate::series::measured_grid) or
    /// [`even_grid`](crate::series::even_grid).
    pub grid: Vec<f64>,
    /// What runs are between their measurements.
    pub interpolation: Interpolation,
}

/// What the curve of one task's seeds shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// The mean over seeds.
    Mean,
    /// The median over seeds.
    Median,
    /// The interquartile mean over seeds: of fewer than four the mean.
    Iqm,
}

/// What the band around a curve is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Percentiles over resampled seeds.
    Bootstrap(Bootstrap),
    /// So many standard errors to either side of a mean.
    StandardErrors(f64),
}

impl LearningCurve {
    /// The curve of one task's seeds; no point where no run has a value, no interval where a single one has.
    ///
    /// # Errors
    /// No run, or none with a value on the grid; a grid that does not increase; a setting of the bootstrap out of
    /// range; standard errors that are not of a mean, or not a positive number of them.
    pub fn of_seeds(
        &self,
        name: impl Into<String>,
        runs: &[Series],
        average: Average,
        spread: Spread,
    ) -> Result<Curve> {
        let name = name.into();
        check_increasing("grid", &self.grid)?;
        check_count(&format!("`{name}`"), "runs", runs.len(), 1)?;
        spread.check(average)?;
        let point = |x: &f64| {
            let values = self.values(runs, *x);
            (!values.is_empty()).then(|| spread.point(*x, &values, average))
        };
        let points: Vec<Point> = self.grid.iter().filter_map(point).collect::<Result<_>>()?;
        check_count(&format!("`{name}`"), "points on the grid", points.len(), 1)?;
        Ok(Curve { name, points })
    }

    /// The curve of an aggregate over tasks, each with its runs; no point where a task has no run with a value, nor
    /// where runs are pooled and tasks have different numbers of them.
    ///
    /// # Errors
    /// No task, a task twice, a task without runs; a grid that does not increase; no x at which there is a point; as
    /// [`Aggregate::of`]; a setting of the bootstrap out of range.
    pub fn of_tasks(
        &self,
        name: impl Into<String>,
        tasks: &[(String, Vec<Series>)],
        aggregate: Aggregate,
        bootstrap: &Bootstrap,
    ) -> Result<Curve> {
        let name = name.into();
        check_increasing("grid", &self.grid)?;
        let mut points = Vec::new();
        let mut last_refusal = None;
        for x in &self.grid {
            let at = tasks.iter().map(|(task, runs)| (task.as_str(), self.values(runs, *x)));
            match Scores::new(name.clone(), at).and_then(|all| aggregate.check(&all).map(|()| all))
            {
                Ok(scores) => points.push(of_scores(*x, &scores, aggregate, bootstrap)?),
                Err(error) => last_refusal = Some(error),
            }
        }
        match last_refusal {
            Some(error) if points.is_empty() => Err(error),
            _ => Ok(Curve { name, points }),
        }
    }

    fn values(&self, runs: &[Series], x: f64) -> Vec<f64> {
        runs.iter().filter_map(|run| run.at(x, self.interpolation)).collect()
    }
}

fn of_scores(
    x: f64,
    scores: &Scores,
    aggregate: Aggregate,
    bootstrap: &Bootstrap,
) -> Result<Point> {
    let estimate = aggregate.estimate(scores, bootstrap)?;
    Ok(Point { x, estimate: estimate.estimate, interval: estimate.interval, n: estimate.n })
}

impl Average {
    fn of(self, values: &mut [f64]) -> f64 {
        match self {
            Self::Mean => mean(values),
            Self::Median => median(values),
            Self::Iqm => interquartile_mean(values),
        }
    }
}

impl Spread {
    fn check(self, average: Average) -> Result<()> {
        let wrong = |value, expected| Err(Error::Setting { name: "spread", value, expected });
        match self {
            Self::Bootstrap(bootstrap) => bootstrap.check(),
            Self::StandardErrors(_) if average != Average::Mean => {
                wrong("standard errors".to_owned(), "a bootstrap, as the average is not the mean")
            }
            Self::StandardErrors(count) if !(count > 0.0 && count.is_finite()) => {
                wrong(format!("{count} standard errors"), "a positive number of them")
            }
            Self::StandardErrors(_) => Ok(()),
        }
    }

    fn point(self, x: f64, values: &[f64], average: Average) -> Result<Point> {
        let interval = match self {
            _ if values.len() == 1 => None,
            Self::Bootstrap(bootstrap) => resampled(values, average, &bootstrap)?,
            Self::StandardErrors(count) => standard_errors(values, count),
        };
        let estimate = average.of(&mut values.to_vec());
        Ok(Point { x, estimate, interval, n: values.len() })
    }
}

fn resampled(values: &[f64], average: Average, bootstrap: &Bootstrap) -> Result<Option<Interval>> {
    let of_drawn = |drawn: &[usize], out: &mut [f64]| {
        let mut drawn: Vec<f64> = drawn.iter().map(|index| values[*index]).collect();
        out[0] = average.of(&mut drawn);
    };
    Ok(bootstrap.of_observations(values.len(), 1, of_drawn)?.pop())
}

fn standard_errors(values: &[f64], count: f64) -> Option<Interval> {
    let centre = mean(values);
    let reach = count * standard_deviation(values)? / (values.len() as f64).sqrt();
    let band = Band::StandardErrors { count };
    Some(Interval { low: centre - reach, high: centre + reach, band })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Series {
        Series::new("seed", points.iter().copied()).expect("good points")
    }

    fn linear(grid: &[f64]) -> LearningCurve {
        LearningCurve { grid: grid.to_vec(), interpolation: Interpolation::Linear }
    }

    fn runs() -> [Series; 3] {
        [
            series(&[(0.0, 0.0), (10.0, 10.0), (20.0, 20.0)]),
            series(&[(0.0, 2.0), (10.0, 4.0)]),
            series(&[(5.0, 1.0), (20.0, 1.0)]),
        ]
    }

    #[test]
    fn each_point_counts_the_runs_that_have_a_value_there() {
        let curve = linear(&[-1.0, 0.0, 5.0, 10.0, 15.0, 20.0, 30.0]);
        let spread = Spread::StandardErrors(1.0);
        let curve = curve.of_seeds("redo", &runs(), Average::Mean, spread).expect("good");
        let seen: Vec<_> = curve.points.iter().map(|p| (p.x, p.estimate, p.n)).collect();
        let expected =
            [(0.0, 1.0, 2), (5.0, 3.0, 3), (10.0, 5.0, 3), (15.0, 8.0, 2), (20.0, 10.5, 2)];
        assert_eq!(seen, expected);
        // At 5: 5, 3, 1. A standard deviation of 2, three runs.
        let interval = curve.points[1].interval.expect("three runs");
        assert!((interval.low - (3.0 - 2.0 / 3f64.sqrt())).abs() < 1e-15);
        assert!((interval.high - (3.0 + 2.0 / 3f64.sqrt())).abs() < 1e-15);
    }

    #[test]
    fn averages_differ_where_a_seed_is_far_off() {
        let runs: Vec<Series> = [0.0, 1.0, 2.0, 3.0, 94.0].map(|y| series(&[(0.0, y)])).to_vec();
        let spread = Spread::Bootstrap(Bootstrap::new(0).with_replicates(1000));
        let at = |average| {
            let curve = linear(&[0.0]).of_seeds("a", &runs, average, spread).expect("good");
            curve.points[0]
        };
        assert_eq!(at(Average::Mean).estimate, 20.0);
        assert_eq!(at(Average::Median).estimate, 2.0);
        assert_eq!(at(Average::Iqm).estimate, 2.0);
        let interval = at(Average::Iqm).interval.expect("five runs");
        assert!(interval.contains(2.0) && interval.low >= 0.0 && interval.high > 3.0);
    }

    #[test]
    fn a_single_run_has_a_curve_without_a_band() {
        let spread = Spread::Bootstrap(Bootstrap::new(0));
        let curve = linear(&[0.0, 20.0]).of_seeds("a", &runs()[..1], Average::Mean, spread);
        let points = curve.expect("good").points;
        assert!(points.iter().all(|point| point.interval.is_none() && point.n == 1));
    }

    #[test]
    fn a_grid_beyond_all_runs_is_an_error() {
        let spread = Spread::StandardErrors(1.0);
        let refused = linear(&[30.0, 40.0]).of_seeds("redo", &runs(), Average::Mean, spread);
        assert_eq!(
            refused.expect_err("nothing there").to_string(),
            "`redo`: 0 points on the grid, expected at least 1"
        );
    }

    #[test]
    fn standard_errors_are_of_means() {
        let message = |average, count| {
            let spread = Spread::StandardErrors(count);
            let refused = linear(&[0.0]).of_seeds("a", &runs(), average, spread);
            refused.expect_err("refused").to_string()
        };
        assert_eq!(
            message(Average::Median, 1.0),
            "`spread` is standard errors, expected a bootstrap, as the average is not the mean"
        );
        assert_eq!(
            message(Average::Mean, 0.0),
            "`spread` is 0 standard errors, expected a positive number of them"
        );
    }

    #[test]
    fn tasks_count_where_all_of_them_have_a_value() {
        let bootstrap = Bootstrap::new(0).with_replicates(500);
        let [first, short, late] = runs();
        let tasks =
            [("a".to_owned(), vec![first, short]), ("b".to_owned(), vec![late.clone(), late])];
        let points = |aggregate| {
            let curve = linear(&[0.0, 5.0, 10.0, 20.0, 25.0]);
            curve.of_tasks("redo", &tasks, aggregate, &bootstrap).expect("good").points
        };
        let seen = |aggregate| -> Vec<_> {
            points(aggregate).iter().map(|p| (p.x, p.estimate, p.n)).collect()
        };
        // Task a: 5 and 3, then 10 and 4, then 20 alone; task b: 1.
        assert_eq!(seen(Aggregate::Mean), [(5.0, 2.5, 2), (10.0, 4.0, 2), (20.0, 10.5, 1)]);
        // 1, 1, 3, 5 and 1, 1, 4, 10; at 20 task a has one run and task b two.
        assert_eq!(seen(Aggregate::Iqm), [(5.0, 2.0, 2), (10.0, 2.5, 2)]);
        assert_eq!(points(Aggregate::Mean)[2].interval, None);
    }

    #[test]
    fn a_curve_without_any_point_says_why() {
        let tasks = [("a".to_owned(), vec![series(&[(0.0, 1.0)])]), ("b".to_owned(), Vec::new())];
        let curve = linear(&[0.0]);
        let refused = curve.of_tasks("redo", &tasks, Aggregate::Mean, &Bootstrap::new(0));
        assert_eq!(
            refused.expect_err("no run of b").to_string(),
            "`redo`, task `b`: 0 runs, expected at least 1"
        );
    }
}
