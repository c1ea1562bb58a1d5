//! What can be put into one number: the tasks and seeds that all algorithms have.

use std::collections::BTreeSet;

use pliant_statistics::{error::Error, scores::Scores};

use super::{Algorithm, Task};
use crate::report::words::lost_of;

/// The same seeds of the same tasks of all algorithms.
pub(super) struct Comparable {
    /// Of each algorithm, in their order; human-normalised where all tasks have a human.
    pub scores: Vec<Scores>,
    /// Whether they are.
    pub is_normalised: bool,
    pub seeds: Vec<u64>,
    /// Labels of the tasks that not all have these seeds of.
    pub left_out: Vec<String>,
    /// Whether any seed failed or has no finite number, of what is left out too: a task that an algorithm never survives
    /// would else speak for it by its absence.
    pub has_losses: bool,
}

/// `None` if no task has a seed of all algorithms.
pub(super) fn comparable(algorithms: &[Algorithm<'_>]) -> Result<Option<Comparable>, Error> {
    let Some(first) = algorithms.first() else { return Ok(None) };
    let names: Vec<&str> = first.tasks.iter().map(|task| task.member.name()).collect();
    let of_all: Vec<(&str, BTreeSet<u64>)> =
        names.iter().map(|name| (*name, seeds_of_all(algorithms, name))).collect();
    let Some(seeds) = best(&of_all) else { return Ok(None) };
    let (kept, left_out): (Vec<_>, Vec<_>) =
        of_all.iter().partition(|(_, all)| seeds.is_subset(all));
    let kept: Vec<&str> = kept.into_iter().map(|(name, _)| *name).collect();
    let is_kept = |task: &&Task<'_>| kept.contains(&task.member.name());
    let all = || algorithms.iter().flat_map(|one| one.tasks.iter().filter(is_kept));
    let is_normalised = all().all(|task| task.reference.is_some());
    let label = |(name, _): &(&str, _)| {
        let task = first.tasks.iter().find(|task| task.member.name() == *name);
        task.map_or(String::new(), |task| task.member.label().to_owned())
    };
    Ok(Some(Comparable {
        scores: algorithms
            .iter()
            .map(|one| scores(one, &kept, &seeds, is_normalised))
            .collect::<Result<_, Error>>()?,
        is_normalised,
        has_losses: algorithms
            .iter()
            .flat_map(|one| &one.tasks)
            .any(|task| lost_of(task.member, task.seeded.as_ref()) > 0),
        left_out: left_out.into_iter().map(label).collect(),
        seeds: seeds.into_iter().collect(),
    }))
}

/// The seeds that every algorithm has of a task.
fn seeds_of_all(algorithms: &[Algorithm<'_>], name: &str) -> BTreeSet<u64> {
    let of = |algorithm: &Algorithm<'_>| -> BTreeSet<u64> {
        let task = algorithm.tasks.iter().find(|task| task.member.name() == name);
        let seeded = task.and_then(|task| task.seeded.as_ref());
        seeded.map(|seeded| seeded.seeds().collect()).unwrap_or_default()
    };
    let all = algorithms.iter().map(of);
    all.reduce(|a, b| a.intersection(&b).copied().collect()).unwrap_or_default()
}

/// Of the seeds that some task has those with which the most runs can be compared.
fn best(of_all: &[(&str, BTreeSet<u64>)]) -> Option<BTreeSet<u64>> {
    let runs = |seeds: &BTreeSet<u64>| {
        let tasks = of_all.iter().filter(|(_, all)| seeds.is_subset(all)).count();
        (tasks * seeds.len(), tasks)
    };
    let pairs = of_all.iter().flat_map(|(_, a)| of_all.iter().map(move |(_, b)| (a, b)));
    let candidates = pairs.map(|(a, b)| a.intersection(b).copied().collect::<BTreeSet<u64>>());
    candidates.filter(|seeds| !seeds.is_empty()).max_by_key(runs)
}

fn scores(
    algorithm: &Algorithm<'_>,
    kept: &[&str],
    seeds: &BTreeSet<u64>,
    is_normalised: bool,
) -> Result<Scores, Error> {
    let of_task = |name: &&str| {
        let task = algorithm.tasks.iter().find(|task| task.member.name() == *name)?;
        let normalised = |value: f64| match task.reference.filter(|_| is_normalised) {
            Some(reference) => reference.human_normalised(value),
            None => value,
        };
        let seeded = task.seeded.as_ref()?;
        let values = seeds.iter().filter_map(|seed| seeded.get(*seed)).map(normalised);
        Some(((*name).to_owned(), values.collect::<Vec<f64>>()))
    };
    Scores::new(algorithm.label, kept.iter().filter_map(of_task))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(of_all: &[&[u64]]) -> Option<Vec<u64>> {
        let of_all: Vec<(&str, BTreeSet<u64>)> =
            of_all.iter().map(|seeds| ("task", seeds.iter().copied().collect())).collect();
        best(&of_all).map(|seeds| seeds.into_iter().collect())
    }

    #[test]
    fn a_seed_more_or_less_of_one_task_does_not_decide_what_is_compared() {
        assert_eq!(chosen(&[&[0, 1, 2], &[0, 1, 2, 3], &[0, 1, 2]]), Some(vec![0, 1, 2]));
        // Three tasks of two seeds each rather than two of two, or one of three.
        assert_eq!(chosen(&[&[0, 1, 2], &[0, 1], &[1, 0]]), Some(vec![0, 1]));
        // Four tasks of three rather than five of two.
        let (all, less): (&[u64], &[u64]) = (&[0, 1, 2], &[0, 2]);
        assert_eq!(chosen(&[all, all, all, all, less]), Some(vec![0, 1, 2]));
        assert_eq!(chosen(&[&[], &[]]), None);
    }
}
