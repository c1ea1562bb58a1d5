//! Two algorithms over the same tasks, without pairs.

use crate::{
    aggregate::Aggregate,
    bootstrap::Bootstrap,
    effect::{Effect, runs_needed},
    error::Result,
    estimate::Estimate,
    permutation::by_dealing,
    scores::Scores,
};

/// `TREATED - CONTROL: AGGREGATE`, each side resampled by itself. The p-value is of a permutation test: if nothing
/// is going on, the runs of a task might as well be dealt to the two sides another way. No interval where some task
/// has a single run.
///
/// # Errors
/// Scores that are not of the same tasks; as [`Aggregate::of`]; a setting of the bootstrap out of range.
pub fn aggregate_difference(
    control: &Scores,
    treated: &Scores,
    aggregate: Aggregate,
    bootstrap: &Bootstrap,
) -> Result<Effect> {
    bootstrap.check()?;
    let treated = &treated.in_order_of(control)?;
    aggregate.check(control)?;
    aggregate.check(treated)?;
    let between = |control: &Scores, treated: &Scores| {
        aggregate.compute(treated) - aggregate.compute(control)
    };
    let n = control.fewest_runs().min(treated.fewest_runs());
    let interval = match n {
        1 => None,
        _ => bootstrap.of_pair(control, treated, 1, |x, y, out| out[0] = between(x, y))?.pop(),
    };
    let name = format!("{} - {}: {aggregate}", treated.name(), control.name());
    Ok(Effect {
        estimate: Estimate { name, estimate: between(control, treated), interval, n },
        null: 0.0,
        p_value: by_dealing(control, treated, bootstrap, between),
        needed: runs_needed(bootstrap.confidence, control.task_count()),
        confidence: bootstrap.confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Verdict;

    fn scores(name: &str, tasks: &[&[f64]]) -> Scores {
        let tasks = tasks.iter().enumerate();
        Scores::new(name, tasks.map(|(task, runs)| (format!("task {task}"), runs.to_vec())))
            .expect("good scores")
    }

    fn difference(control: &[&[f64]], treated: &[&[f64]]) -> Effect {
        let (control, treated) = (scores("dqn", control), scores("redo", treated));
        let bootstrap = Bootstrap::new(0).with_replicates(20_000);
        aggregate_difference(&control, &treated, Aggregate::Mean, &bootstrap).expect("same tasks")
    }

    #[test]
    fn four_runs_that_all_beat_four_are_one_of_35() {
        let effect = difference(&[&[1.0, 2.0, 3.0, 4.0]], &[&[5.0, 6.0, 7.0, 8.0]]);
        assert_eq!(effect.estimate.estimate, 4.0);
        assert_eq!(effect.estimate.name, "redo - dqn: mean");
        // 2 of C(8, 4) = 70 deals: 0.0286, with a standard deviation of 0.0012; 1 in 10^6 by chance.
        assert!((effect.p_value - 2.0 / 70.0).abs() < 5.0 * 0.0012, "{}", effect.p_value);
        assert_eq!(effect.verdict(), Verdict::Above);
    }

    #[test]
    fn three_runs_of_one_task_claim_nothing_and_three_of_two_do() {
        let (low, high): (&[f64], &[f64]) = (&[1.0, 2.0, 3.0], &[7.0, 8.0, 9.0]);
        let effect = difference(&[low], &[high]);
        assert_eq!(effect.verdict(), Verdict::TooFew { found: 3, needed: 4 });
        assert_eq!(difference(&[high, high], &[low, low]).verdict(), Verdict::Below);
    }

    #[test]
    fn tasks_of_other_scales_are_not_mixed_by_the_test() {
        // Within each task all runs of the one beat all of the other; the tasks lie far apart.
        let control: [&[f64]; 2] = [&[1.0, 2.0, 3.0], &[1001.0, 1002.0, 1003.0]];
        let treated: [&[f64]; 2] = [&[4.0, 5.0, 6.0], &[1004.0, 1005.0, 1006.0]];
        // 2 of 20 x 20 deals: 0.005, with a standard deviation of 0.0005.
        let p = difference(&control, &treated).p_value;
        assert!((p - 0.005).abs() < 5.0 * 0.0005, "{p}");
    }

    #[test]
    fn the_number_of_threads_changes_no_p_value() {
        let (x, y) = (scores("x", &[&[1.0, 2.0, 5.0]]), scores("y", &[&[2.0, 3.0, 4.0, 9.0]]));
        let with = |threads| {
            let bootstrap = Bootstrap { threads, ..Bootstrap::new(0).with_replicates(500) };
            aggregate_difference(&x, &y, Aggregate::Median, &bootstrap).expect("same task")
        };
        assert_eq!(with(1), with(7));
    }

    #[test]
    fn a_single_run_has_no_interval() {
        let effect = difference(&[&[1.0], &[2.0]], &[&[2.0], &[3.0]]);
        assert_eq!(effect.estimate.interval, None);
        assert!(matches!(effect.verdict(), Verdict::TooFew { found: 1, .. }));
    }
}
