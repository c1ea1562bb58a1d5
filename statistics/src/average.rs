//! Averages and quantiles of plain slices. All are of at least one number.

/// The arithmetic mean.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The middle value, or the mean of the two in the middle; reorders.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The mean of the middle half: of n values the floor(n / 4) lowest and as many highest are left out, as
/// `scipy.stats.trim_mean(values, 0.25)` does; reorders.
pub(crate) fn interquartile_mean(values: &mut [f64]) -> f64 {
    let cut = values.len() / 4;
    if cut == 0 {
        return mean(values);
    }
    let end = values.len() - cut;
    values.select_nth_unstable_by(cut, f64::total_cmp);
    values[cut..].select_nth_unstable_by(end - cut - 1, f64::total_cmp);
    mean(&values[cut..end])
}

/// The quantile at a share in [0, 1], linear between the two values around it (NumPy's default, type 7 of Hyndman
/// & Fan, 1996); reorders.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let index = place.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(index, f64::total_cmp);
    let low = *low;
    let next = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (next - low) * (place - index as f64)
}

/// The standard deviation with the divisor n - 1; `None` of a single value.
pub(crate) fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interquartile_mean_leaves_out_whole_values_only() {
        // floor(3 / 4) = 0, floor(4 / 4) = 1, floor(7 / 4) = 1.
        assert_eq!(interquartile_mean(&mut [9.0, 1.0, 2.0]), 4.0);
        assert_eq!(interquartile_mean(&mut [100.0, 1.0, 3.0, -100.0]), 2.0);
        assert_eq!(interquartile_mean(&mut [7.0, 1.0, 2.0, 6.0, 3.0, 4.0, 5.0]), 4.0);
        assert_eq!(interquartile_mean(&mut [90.0, 0.0, 2.0, 6.0, 3.0, 4.0, 5.0]), 4.0);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours_in_proportion() {
        let mut values = [40.0, 10.0, 20.0, 30.0];
        assert_eq!(quantile(&mut values, 0.0), 10.0);
        assert_eq!(quantile(&mut values, 1.0), 40.0);
        assert_eq!(quantile(&mut values, 0.25), 17.5); // place 0.75
        assert_eq!(median(&mut values), 25.0);
        assert_eq!(quantile(&mut [5.0], 0.7), 5.0);
    }

    #[test]
    fn a_single_value_has_no_spread() {
        assert_eq!(standard_deviation(&[3.0]), None);
        assert_eq!(standard_deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
    }
}
