//! The probability that one algorithm beats another.

use crate::{
    average::mean,
    bootstrap::Bootstrap,
    effect::{Effect, runs_needed},
    error::Result,
    estimate::Estimate,
    permutation::by_dealing,
    scores::Scores,
};

/// What either has if the two are alike.
const COIN: f64 = 0.5;

/// P(x > y) of a run of each on the same task, averaged over tasks: the Mann-Whitney statistic over the number of
/// pairs, with ties counted half (`rliable.metrics.probability_of_improvement`). How much better does not matter.
///
/// # Errors
/// Scores that are not of the same tasks.
pub fn probability_of_improvement(x: &Scores, y: &Scores) -> Result<f64> {
    Ok(compute(x, &y.in_order_of(x)?))
}

/// The probability with an interval, x and y each resampled by itself, held against a coin's 0.5 by a permutation test:
/// if nothing is going on, the runs of a task might as well be dealt to x and y another way. No interval where some
/// task has a single run.
///
/// # Errors
/// As [`probability_of_improvement`], or a setting of the bootstrap out of range.
pub fn improvement(x: &Scores, y: &Scores, bootstrap: &Bootstrap) -> Result<Effect> {
    bootstrap.check()?;
    let y = &y.in_order_of(x)?;
    let n = x.fewest_runs().min(y.fewest_runs());
    let interval = match n {
        1 => None,
        _ => bootstrap.of_pair(x, y, 1, |x, y, out| out[0] = compute(x, y))?.pop(),
    };
    let name = format!("P({} > {})", x.name(), y.name());
    Ok(Effect {
        estimate: Estimate { name, estimate: compute(x, y), interval, n },
        null: COIN,
        p_value: by_dealing(x, y, bootstrap, |x, y| compute(x, y) - COIN),
        needed: runs_needed(bootstrap.confidence, x.task_count()),
        confidence: bootstrap.confidence,
    })
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
    use crate::effect::Verdict;

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
        let x = scores("x", &[3.0, 2.0, 1.0], &[1.0, 1.0]);
        let y = scores("y", &[0.0; 5], &[0.0; 9]);
        let of = |x, y| improvement(x, y, &Bootstrap::new(0)).expect("same tasks").estimate;
        assert_eq!((of(&x, &y).estimate, of(&x, &y).n), (1.0, 2));
        assert_eq!((of(&x, &y).low(), of(&x, &y).high()), (Some(1.0), Some(1.0)));
        assert_eq!((of(&y, &x).estimate, of(&y, &x).n), (0.0, 2));
        assert_eq!(of(&x, &y).name, "P(x > y)");
    }

    #[test]
    fn three_runs_of_one_task_that_win_them_all_claim_nothing_and_four_do() {
        let of = |x: &[f64], y: &[f64]| {
            let alone = |name, runs: &[f64]| Scores::new(name, [("a", runs.to_vec())]);
            let (x, y) = (alone("x", x).expect("good"), alone("y", y).expect("good"));
            improvement(&x, &y, &Bootstrap::new(0)).expect("same tasks")
        };
        let few = of(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]);
        assert_eq!((few.estimate.low(), few.estimate.estimate), (Some(1.0), 1.0));
        assert_eq!(few.verdict(), Verdict::TooFew { found: 3, needed: 4 });
        let four = of(&[5.0, 6.0, 7.0, 8.0], &[1.0, 2.0, 3.0, 4.0]);
        // 2 of 70 deals; a standard deviation of 0.0007, 1 in 10^6 by chance.
        assert!((four.p_value - 2.0 / 70.0).abs() < 5.0 * 0.00075, "{}", four.p_value);
        assert_eq!(four.verdict(), Verdict::Above);
        let alike = of(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!((alike.p_value, alike.verdict()), (1.0, Verdict::Unclear));
    }
}
