//! Bins for raw values, as TensorBoard draws them.

/// How many bins TensorBoard uses itself.
pub const BINS: usize = 30;

/// `count` values lie in `[left, right)`; in the last bin, `[left, right]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Lower edge.
    pub left: f64,
    /// Upper edge.
    pub right: f64,
    /// How many values.
    pub count: u64,
}

/// Values sorted into bins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// [`BINS`] bins of one width from the smallest to the largest value; one bin of no width if
    /// all values are equal; none if there are no values.
    pub bins: Vec<Bin>,
    /// Values left out: NaN, infinite, or beyond the range of 32-bit floats.
    pub dropped: u64,
}

impl Histogram {
    /// Sorts values into bins.
    pub fn of(values: &[f64]) -> Self {
        let kept = || values.iter().copied().filter(|&value| is_binnable(value));
        let dropped = (values.len() - kept().count()) as u64;
        let Some((min, max)) = range(kept()) else {
            return Self { bins: Vec::new(), dropped };
        };
        let width = (max - min) / BINS as f64;
        if width == 0.0 {
            let count = values.len() as u64 - dropped;
            return Self { bins: vec![Bin { left: min, right: max, count }], dropped };
        }
        let mut bins = empty_bins(min, max);
        for value in kept() {
            let index = ((value - min) / width) as usize;
            bins[index.min(BINS - 1)].count += 1;
        }
        Self { bins, dropped }
    }
}

/// Measured values come from 32-bit floats; within their range no difference overflows.
fn is_binnable(value: f64) -> bool {
    value.abs() <= f64::from(f32::MAX)
}

fn range(mut values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(min, max), value| (min.min(value), max.max(value))))
}

fn empty_bins(min: f64, max: f64) -> Vec<Bin> {
    let edge = |index: usize| match index {
        BINS => max,
        _ => min + (max - min) * (index as f64 / BINS as f64),
    };
    (0..BINS).map(|index| Bin { left: edge(index), right: edge(index + 1), count: 0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_equal_bins_span_the_values_and_the_largest_is_in_the_last() {
        let values: Vec<f64> = (0..=60).map(f64::from).collect();
        let bins = Histogram::of(&values).bins;
        assert_eq!(bins.len(), 30);
        assert_eq!(bins[0], Bin { left: 0.0, right: 2.0, count: 2 });
        assert_eq!(bins[1].count, 2);
        assert_eq!(bins[29], Bin { left: 58.0, right: 60.0, count: 3 });
    }

    #[test]
    fn what_cannot_be_drawn_is_dropped_and_counted() {
        let values = [1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 3.0];
        let histogram = Histogram::of(&values);
        assert_eq!(histogram.dropped, 4);
        assert_eq!(histogram.bins.iter().map(|bin| bin.count).sum::<u64>(), 2);
        assert_eq!((histogram.bins[0].left, histogram.bins[29].right), (1.0, 3.0));
        assert_eq!(Histogram::of(&[f64::NAN]), Histogram { bins: vec![], dropped: 1 });
    }

    #[test]
    fn equal_values_make_one_bin() {
        let expected = Bin { left: 0.5, right: 0.5, count: 3 };
        assert_eq!(Histogram::of(&[0.5; 3]).bins, [expected]);
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let far = f64::from(f32::MAX);
        let bins = Histogram::of(&[-f64::MAX, -far, 0.0, far, f64::MAX]).bins;
        assert!(bins.iter().all(|bin| bin.left.is_finite() && bin.right.is_finite()));
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), 3);
    }
}
