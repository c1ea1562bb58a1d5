//! What an algorithm gains on each task over another.

use std::{fmt::Write as _, path::Path};

use pliant_envs::env::ReferenceScores;
use pliant_statistics::{
    bootstrap::Bootstrap, estimate::Estimate, paired::paired_difference, seeded::Seeded,
};

use super::{Algorithm, Task};
use crate::{
    failure::Outcome,
    plot::{self, Forest},
    report::{
        Section, escaped,
        figure::{Figure, quoted},
        file_name, seeds as words, titled,
        words::{found, of_paired_intervals, said_of},
    },
    sinks::console::numbers::short,
    study::{Common, ScoresSpec},
};

/// A task on which both have scores.
struct Gain<'a> {
    task: &'a str,
    label: &'a str,
    /// Means over the seeds that both have.
    base: f64,
    treated: f64,
    /// As a share of [`scale`], seed by seed.
    gain: Estimate,
    pairs: usize,
    /// How many either has.
    seeds: [String; 2],
    published: Option<f64>,
}

/// A section for each algorithm beside the one it is compared with.
pub(super) fn sections(
    spec: &ScoresSpec,
    common: &Common,
    algorithms: &[Algorithm<'_>],
    folder: &Path,
) -> Outcome<Vec<Section>> {
    let Some(base) = algorithms.iter().find(|algorithm| algorithm.name == spec.against) else {
        return Ok(Vec::new());
    };
    let treated = algorithms.iter().filter(|algorithm| algorithm.name != spec.against);
    treated.map(|treated| section(spec, common, base, treated, folder)).collect()
}

fn section(
    spec: &ScoresSpec,
    common: &Common,
    base: &Algorithm<'_>,
    treated: &Algorithm<'_>,
    folder: &Path,
) -> Outcome<Section> {
    let pair = |treated: &'_ Task<'_>| {
        let name = treated.member.name();
        base.tasks.iter().find(|base| base.member.name() == name)
    };
    let mut gains: Vec<Gain<'_>> =
        treated.tasks.iter().filter_map(|treated| gain(spec, pair(treated)?, treated)).collect();
    gains.sort_by(|a, b| b.gain.estimate.total_cmp(&a.gain.estimate));
    let rows = gains.iter().map(row).collect();
    let is_shown = |task: &&Task<'_>| gains.iter().any(|gain| gain.task == task.member.name());
    let is_scaled = base.tasks.iter().filter(is_shown).all(|task| task.reference.is_some());
    let label = if is_scaled { "human-normalised improvement" } else { "improvement, relative" };
    let figure = Figure {
        name: file_name(&format!("{}~{}", spec.name, treated.name), common),
        title: titled(&format!("{}: {}", spec.title, treated.label), common),
        drawn: plot::Figure::Forest(Forest { label: label.to_owned(), rows }),
        csv: csv(&gains),
        caption: format!(
            "The {} value of <code>{}</code>: {} less {}, over the larger of a human's score and that of {}, both less a \
             random policy's (without a human: over the latter's score alone); {}.{}{}",
            said_of(spec.take),
            escaped(&spec.tag),
            escaped(treated.label),
            escaped(base.label),
            escaped(base.label),
            of_paired_intervals(gains.iter().map(|gain| gain.pairs).max().unwrap_or(0)),
            without(treated, &gains),
            table(base, treated, &gains)
        ),
        of: spec.tag.clone(),
    };
    figure.write(folder)
}

/// What a gain is a share of: the way from a random policy to a human, or to the base where that is further.
fn scale(base: f64, reference: Option<ReferenceScores>) -> f64 {
    match reference {
        Some(ReferenceScores { random, human }) => human.max(base) - random,
        None => base.abs(),
    }
}

/// `None` unless both have seeds in common.
fn gain<'a>(spec: &ScoresSpec, base: &'a Task<'a>, treated: &'a Task<'a>) -> Option<Gain<'a>> {
    let (base_scores, treated_scores) = (base.seeded.as_ref()?, treated.seeded.as_ref()?);
    let difference = paired_difference(base_scores, treated_scores, &Bootstrap::new(0)).ok()?;
    let seeds: Vec<u64> = difference.differences.iter().map(|(seed, _)| *seed).collect();
    let mean = |scores: &Seeded| {
        seeds.iter().filter_map(|seed| scores.get(*seed)).sum::<f64>() / seeds.len() as f64
    };
    let (of_base, of_treated) = (mean(base_scores), mean(treated_scores));
    let scale = scale(of_base, base.reference);
    let mut gain = difference.effect.estimate;
    gain.estimate /= scale;
    if let Some(interval) = &mut gain.interval {
        (interval.low, interval.high) = (interval.low / scale, interval.high / scale);
    }
    gain.estimate.is_finite().then(|| Gain {
        task: treated.member.name(),
        label: treated.member.label(),
        base: of_base,
        treated: of_treated,
        gain,
        pairs: seeds.len(),
        seeds: [base, treated].map(|task| words(found(task.seeded.as_ref()), task.member)),
        published: spec.published.get(treated.member.name()).copied(),
    })
}

/// The tasks of which there is no pair.
fn without(treated: &Algorithm<'_>, gains: &[Gain<'_>]) -> String {
    let is_there = |task: &&Task<'_>| gains.iter().any(|gain| gain.task == task.member.name());
    let missing = treated.tasks.iter().filter(|task| !is_there(task));
    let labels: Vec<&str> = missing.map(|task| task.member.label()).collect();
    match labels.is_empty() {
        true => String::new(),
        false => format!(
            " Without a seed of both, or with a score of 0 to divide by: {}.",
            escaped(&labels.join(", "))
        ),
    }
}

fn row(gain: &Gain<'_>) -> plot::Row {
    let (estimate, ends) = (gain.gain.estimate, gain.gain.low().zip(gain.gain.high()));
    plot::Row {
        label: gain.label.to_owned(),
        estimate,
        interval: ends.unwrap_or((estimate, estimate)),
    }
}

fn table(base: &Algorithm<'_>, treated: &Algorithm<'_>, gains: &[Gain<'_>]) -> String {
    let is_published = gains.iter().any(|gain| gain.published.is_some());
    let row = |gain: &Gain<'_>| {
        let published = gain.published.map(|it| format!("{it:+.1} %")).unwrap_or_default();
        let published = if is_published { format!("<td>{published}</td>") } else { published };
        format!(
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}, {}</td><td>{}</td>{published}</tr>",
            escaped(gain.label),
            short(gain.base),
            short(gain.treated),
            gain.pairs,
            gain.seeds[0],
            gain.seeds[1],
            percent(&gain.gain)
        )
    };
    let rows: String = gains.iter().map(row).collect();
    let published = if is_published { "<th>published</th>" } else { "" };
    format!(
        "<table><thead><tr><th></th><th>{}</th><th>{}</th><th>seeds of both</th><th>of either</th><th>improvement</th>{published}</tr></thead>\
         <tbody>{rows}</tbody></table>",
        escaped(base.label),
        escaped(treated.label)
    )
}

/// `+12.3 % [-4.0, 20.1]`.
fn percent(estimate: &Estimate) -> String {
    let ends = estimate.low().zip(estimate.high());
    let interval = ends.map(|(low, high)| format!(" [{:+.1}, {:+.1}]", 100.0 * low, 100.0 * high));
    format!("{:+.1} %{}", 100.0 * estimate.estimate, interval.unwrap_or_default())
}

fn csv(gains: &[Gain<'_>]) -> String {
    let mut text = String::from("task,base,treated,improvement,low,high,pairs,published_percent\n");
    for gain in gains {
        let shown = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let Gain { task, base, treated, gain, published, .. } = gain;
        let (low, high, n) = (shown(gain.low()), shown(gain.high()), gain.n);
        let (task, published) = (quoted(task), shown(*published));
        writeln!(text, "{task},{base},{treated},{},{low},{high},{n},{published}", gain.estimate)
            .expect("a String takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_a_share_of_the_way_to_a_human_or_to_the_base_where_that_is_further() {
        let breakout = Some(ReferenceScores { random: 1.7, human: 30.5 });
        assert_eq!(scale(20.0, breakout), 30.5 - 1.7);
        assert_eq!(scale(300.0, breakout), 300.0 - 1.7);
        assert_eq!(scale(-0.5, None), 0.5);
    }
}
