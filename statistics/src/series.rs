//! One run's measurements over time, and their values in between.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, check_count, check_finite, check_increasing};

/// y at increasing x: a score by frames, of one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
}

/// What a series is between two measurements. At a measured x either is what was measured, and before the first and
/// after the last there is no value: nothing is extrapolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// On the line between the two, as `numpy.interp` and Open RL Benchmark have it. Evaluations at fixed frames.
    Linear,
    /// The last one measured, so that no x knows what came after it. Quantities that stay until they change: the
    /// score of the episode that ended last, a rate that is switched.
    LastValue,
}

impl Series {
    /// Under the name of the run.
    ///
    /// # Errors
    /// No point, a number that is not finite, or an x that is not greater than the one before.
    pub fn new(
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<Self> {
        let name = name.into();
        let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        check_increasing(&format!("`{name}`"), &x)?;
        check_finite(&y, |index| format!("`{name}`, y at x {}", x[index]))?;
        Ok(Self { name, x, y })
    }

    /// The run.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it was measured.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The value at an x; `None` before the first measurement and after the last.
    pub fn at(&self, x: f64, interpolation: Interpolation) -> Option<f64> {
        let after = self.x.partition_point(|measured| *measured <= x);
        let before = after.checked_sub(1)?;
        if self.x[before] == x {
            return Some(self.y[before]);
        }
        let next = *self.x.get(after)?;
        Some(match interpolation {
            Interpolation::LastValue => self.y[before],
            Interpolation::Linear => {
                let share = (x - self.x[before]) / (next - self.x[before]);
                self.y[before] + (self.y[after] - self.y[before]) * share
            }
        })
    }
}

/// Every x at which any of the series was measured, increasing. If all were measured at the same x, nothing is
/// interpolated.
pub fn measured_grid<'a>(series: impl IntoIterator<Item = &'a Series>) -> Vec<f64> {
    let mut grid: Vec<f64> = series.into_iter().flat_map(|one| one.x.iter().copied()).collect();
    grid.sort_unstable_by(f64::total_cmp);
    grid.dedup();
    grid
}

/// `count` values from `first` to `last`, evenly spaced, both included.
///
/// # Errors
/// Fewer than two, or a `last` that is not greater than `first`.
pub fn even_grid(first: f64, last: f64, count: usize) -> Result<Vec<f64>> {
    check_count("grid", "values", count, 2)?;
    check_finite(&[first, last], |_| "grid".to_owned())?;
    if last <= first {
        return Err(Error::Order { place: "grid".to_owned(), previous: first, next: last });
    }
    let share = |index: usize| index as f64 / (count - 1) as f64;
    Ok((0..count).map(|index| first * (1.0 - share(index)) + last * share(index)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interpolation::{LastValue, Linear};

    fn series(points: &[(f64, f64)]) -> Series {
        Series::new("seed 0", points.iter().copied()).expect("good points")
    }

    #[test]
    fn between_two_measurements_by_hand() {
        let series = series(&[(10.0, 1.0), (20.0, 5.0), (40.0, 3.0)]);
        assert_eq!(series.at(12.5, Linear), Some(2.0));
        assert_eq!(series.at(12.5, LastValue), Some(1.0));
        assert_eq!(series.at(30.0, Linear), Some(4.0));
        assert_eq!(series.at(39.9, LastValue), Some(5.0));
    }

    #[test]
    fn a_measured_x_has_the_measured_y_and_beyond_them_is_nothing() {
        let series = series(&[(10.0, 1.0), (20.0, 5.0)]);
        for interpolation in [Linear, LastValue] {
            assert_eq!(series.at(9.9, interpolation), None);
            assert_eq!(series.at(10.0, interpolation), Some(1.0));
            assert_eq!(series.at(20.0, interpolation), Some(5.0));
            assert_eq!(series.at(20.1, interpolation), None);
        }
    }

    #[test]
    fn the_measured_grid_has_each_x_once() {
        let both = [series(&[(0.0, 1.0), (2.0, 1.0)]), series(&[(1.0, 1.0), (2.0, 1.0)])];
        assert_eq!(measured_grid(&both), [0.0, 1.0, 2.0]);
        assert_eq!(even_grid(0.0, 3e8, 4), Ok(vec![0.0, 1e8, 2e8, 3e8]));
    }

    #[test]
    fn errors_name_run_and_x() {
        let message = |points: &[(f64, f64)]| {
            Series::new("seed 0", points.iter().copied()).expect_err("bad points").to_string()
        };
        assert_eq!(message(&[]), "`seed 0`: 0 values, expected at least 1");
        assert_eq!(
            message(&[(1.0, 0.0), (1.0, 0.0)]),
            "`seed 0`: x 1 after 1, expected increasing x"
        );
        assert_eq!(
            message(&[(1.0, 0.0), (5.0, f64::NAN)]),
            "`seed 0`, y at x 5: NaN, expected a finite number"
        );
        let grid = |first, last, count| even_grid(first, last, count).expect_err("bad").to_string();
        assert_eq!(grid(0.0, 1.0, 1), "grid: 1 values, expected at least 2");
        assert_eq!(grid(1.0, 0.0, 5), "grid: x 0 after 1, expected increasing x");
    }
}
