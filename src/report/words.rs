//! Numbers of seeds, and how they are told.

use pliant_statistics::{effect::Verdict, error::Error, estimate::Estimate, seeded::Seeded};

use super::lost;
use crate::{
    sinks::console::numbers::short,
    study::{Measured, Member, Take},
};

/// A number of each seed; `None` if no run has it.
pub(super) fn of_member(
    member: &Member<'_>,
    tag: &str,
    take: Take,
) -> Result<Option<Seeded>, Error> {
    let of_run = |measured: &&Measured<'_>| Some((measured.run.seed, measured.taken(tag, take)?));
    let values: Vec<(u64, f64)> = member.runs.iter().filter_map(of_run).collect();
    if values.is_empty() { Ok(None) } else { Seeded::new(member.label(), values).map(Some) }
}

/// How many seeds there are.
pub(super) fn found(seeded: Option<&Seeded>) -> usize {
    seeded.map_or(0, |seeded| seeded.seeds().count())
}

/// How many seeds a condition lost.
pub(super) fn lost_of(member: &Member<'_>, seeded: Option<&Seeded>) -> usize {
    lost(found(seeded), member)
}

/// `0.51 [0.47, 0.56]`.
pub(super) fn shown(estimate: &Estimate) -> String {
    let ends = estimate.low().zip(estimate.high());
    let interval = ends.map(|(low, high)| format!(" [{}, {}]", short(low), short(high)));
    short(estimate.estimate) + &interval.unwrap_or_default()
}

/// What the intervals of a figure or table are, where no number is of more seeds than these.
pub(super) fn of_intervals(seeds: usize) -> &'static str {
    match seeds {
        0 => "nothing was measured",
        1 => "one seed, hence without an interval",
        2 => {
            "intervals are 95 % bootstrap intervals of the mean, which of two seeds are the two themselves and say nothing \
             of others"
        }
        _ => "intervals are 95 % bootstrap intervals of the mean",
    }
}

/// The same of differences, where no task has more pairs of seeds than these.
pub(super) fn of_paired_intervals(pairs: usize) -> &'static str {
    match pairs {
        0 => "no seed is a pair",
        1 => "one pair of seeds, hence without an interval",
        2 => {
            "pairs of seeds, 95 % bootstrap intervals, which of two pairs are the two themselves and say nothing of others; \
             they take what is divided by as given"
        }
        _ => "pairs of seeds, 95 % bootstrap intervals that take what is divided by as given",
    }
}

/// What cannot be shown where powers of ten are equally far apart.
pub(super) fn of_log_axis(is_log: bool) -> &'static str {
    match is_log {
        true => {
            " What is not above 0 has no place on the axis, and intervals that reach there end at the least that is shown; the \
             CSV has all."
        }
        false => "",
    }
}

/// What may be said of a difference.
pub(super) fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Above => "higher".to_owned(),
        Verdict::Below => "lower".to_owned(),
        other => other.to_string(),
    }
}

/// Which number of a series: `last`, as in "the last value of".
pub(super) fn said_of(take: Take) -> &'static str {
    match take {
        Take::Last => "last",
        Take::First => "first",
        Take::Change => "last less first",
        Take::Mean => "mean",
        Take::Max => "largest",
        Take::Min => "smallest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_few_seeds_are_told_for_what_they_are() {
        assert!(of_intervals(1).contains("without an interval"));
        assert!(of_intervals(2).contains("say nothing of others"));
        assert_eq!(of_intervals(3), "intervals are 95 % bootstrap intervals of the mean");
        assert!(of_paired_intervals(1).contains("without an interval"));
        assert!(of_paired_intervals(2).contains("say nothing of others"));
        assert!(!of_paired_intervals(3).contains("say nothing of others"));
    }
}
