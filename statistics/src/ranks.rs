//! Ranks, and what two rankings have in common.

/// The rank of each value from 1 on; values that tie share the mean of their ranks.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = start as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|index| ranks[*index] = mean);
        start += tied.len();
    }
    ranks
}

/// Pearson's correlation; `None` if one side is constant.
pub(crate) fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let centred = |values: &[f64]| -> Vec<f64> {
        let mean = crate::average::mean(values);
        values.iter().map(|value| value - mean).collect()
    };
    let (x, y) = (centred(x), centred(y));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (product(&x, &x) * product(&y, &y)).sqrt();
    (scale > 0.0).then(|| (product(&x, &y) / scale).clamp(-1.0, 1.0))
}

/// Kendall's tau-b: pairs in the same order less pairs in the opposite one, over the geometric mean of the pairs
/// that do not tie in x and those that do not tie in y; `None` if one side is constant.
pub(crate) fn tau_b(x: &[f64], y: &[f64]) -> Option<f64> {
    let (mut agreement, mut untied_x, mut untied_y) = (0i64, 0i64, 0i64);
    for i in 0..x.len() {
        for j in 0..i {
            let (of_x, of_y) = (order(x[i], x[j]), order(y[i], y[j]));
            agreement += of_x * of_y;
            untied_x += of_x.abs();
            untied_y += of_y.abs();
        }
    }
    let scale = (untied_x as f64 * untied_y as f64).sqrt();
    (scale > 0.0).then(|| (agreement as f64 / scale).clamp(-1.0, 1.0))
}

fn order(a: f64, b: f64) -> i64 {
    i64::from(a > b) - i64::from(a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[30.0, 10.0, 20.0, 10.0]), [4.0, 1.5, 3.0, 1.5]);
        assert_eq!(ranks(&[0.0, -0.0, 0.0]), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn four_points_by_hand() {
        let (x, y) = ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]);
        // Spearman: 1 - 6 (0 + 1 + 1 + 0) / (4 x 15). Kendall: five pairs of six in order.
        assert!((pearson(&x, &y).expect("both vary") - 0.8).abs() < 1e-15);
        assert!((tau_b(&x, &y).expect("both vary") - 4.0 / 6.0).abs() < 1e-15);
        // A tie in x: of six pairs five do not tie in x, six not in y; four in order, one not.
        let tied = tau_b(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 2.5]).expect("both vary");
        assert!((tied - 3.0 / 30f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_constant_has_no_correlation() {
        assert_eq!(pearson(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(tau_b(&[1.0, 2.0], &[1.0, 1.0]), None);
    }
}
