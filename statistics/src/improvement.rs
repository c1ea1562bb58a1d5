//! The probability that one algorithm beats another.

use crate::{
    average::mean, bootstrap::Bootstrap, error::Result, estimate::Estimate, scores::Scores,
};

/// P(x > y) of a run of each on the same task, averaged over tasks: the Mann-Whitney statistic over the number of
/// pairs, with ties counted half (`rliable.metrics.probability_of_improvement`). How much better does not matter.
///
/// # Errors
/// Scores that are not of the same tasks.
pub fn probability_of_improvement(x: &Scores, y: &Scores) -> Result<f64> {
    Ok(compute(x, &y.in_order_of(x)?))
}

/// The probability with an interval; x and y are resampled by themselves. A coin has 0.5. No interval where some task
/// has a single run.
///
/// # Errors
/// As [`probability_of_improvement`], or a setting of the bootstrap out of range.
pub fn improvement(x: &Scores, y: &Scores, bootstrap: &Bootstrap) -> Result<Estimate> {
    bootstrap.check()?;
    let y = &y.in_order_of(x)?;
    let n = x.fewest_runs().min(y.fewest_runs());
    let interval = match n {
        1 => None,
        _ => bootstrap.of_pair(x, y, 1, |x, y, out| out[0] = compute(x, y))?.pop(),
    };
    let name = format!("P({} > {})", x.name(), y.name());
    Ok(Estimate { name, estimate: compute(x, y), interval, n })
}

fn compute(x: &Scores, y: &Scores) -> f64 {
    let tasks: Vec<f64> = x.runs().zip(y.runs()).map(|(x, y)| of_task(x, y)).collect();
    mean(&tasks)
}

fn of_task(x: &[f64], y: &[f64]) -> f64 {
    let won = |x: f64, y: f64| if x > y { 1.0 } else { 0.5 * f64::from(u8::from(x == y)) };
    let wins: f64 = x.iter().map(|x| y.iter().map(|y| won(*x, *y)).sum::<f64>()).sum();
    wins / (x.len() * y.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(name: &str, a: &[f64], b: &[f64]) -> Scores {
        Scores::new(name, [("a", a.to_vec()), ("b", b.to_vec())]).expect("good scores")
    }

    #[test]
    fn two_runs_of_two_tasks_by_hand() {
        // a: 3 beats 1 and 2, 2 beats 1 and ties with 2: 3.5 of 4. b: 0 loses to both, 5 beats both: 2 of 4.
        let (x, y) = (scores("x", &[3.0, 2.0], &[0.0, 5.0]), scores("y", &[1.0, 2.0], &[1.0, 4.0]));
        assert_eq!(probability_of_improvement(&x, &y), Ok((3.5 / 4.0 + 2.0 / 4.0) / 2.0));
        assert_eq!(probability_of_improvement(&y, &x), Ok(1.0 - (3.5 / 4.0 + 2.0 / 4.0) / 2.0));
        assert_eq!(probability_of_improvement(&x, &x), Ok(0.5));
    }

    #[test]
    fn numbers_of_runs_may_differ_and_the_fewest_count() {
        let (x, y) =
            (scores("x", &[3.0, 2.0, 1.0], &[1.0, 1.0]), scores("y", &[0.0; 5], &[0.0; 9]));
        let estimate = improvement(&x, &y, &Bootstrap::new(0)).expect("same tasks");
        assert_eq!((estimate.estimate, estimate.n), (1.0, 2));
        assert_eq!((estimate.low(), estimate.high()), (Some(1.0), Some(1.0)));
        assert_eq!(estimate.name, "P(x > y)");
        let turned = improvement(&y, &x, &Bootstrap::new(0)).expect("same tasks");
        assert_eq!((turned.estimate, turned.n), (0.0, 2));
    }
}
