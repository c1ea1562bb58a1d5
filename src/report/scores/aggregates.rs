//! All tasks in a few numbers, and as performance profiles.

use std::path::Path;

use pliant_statistics::{
    aggregate::Aggregate, bootstrap::Bootstrap, curve::Curve, error::Error,
    improvement::improvement, profile::Profile, scores::Scores, series::even_grid,
};

use super::{Algorithm, Task};
use crate::{
    failure::{Failure, Outcome},
    report::{
        Section, escaped,
        figure::{self, Figure, quoted},
        file_name, titled,
        words::{said, shown},
    },
    run_dir::write_whole,
    study::ScoresSpec,
};

/// rliable's for profiles; more than enough for what a table shows.
const REPLICATES: usize = 2000;
/// Points of a profile.
const TAUS: usize = 101;

/// The tasks that all algorithms have as many seeds of.
struct Common {
    scores: Vec<Scores>,
    is_normalised: bool,
    left_out: Vec<String>,
}

/// A table and the profiles; nothing where no task is left or none can be normalised.
pub(super) fn sections(
    spec: &ScoresSpec,
    others: &[String],
    algorithms: &[Algorithm<'_>],
    folder: &Path,
) -> Outcome<Vec<Section>> {
    let failed = |error: Error| Failure::Run(format!("scores {}: {error}", spec.name));
    let Some(common) = common(algorithms).map_err(failed)? else { return Ok(Vec::new()) };
    let table = table(spec, others, algorithms, &common, folder)?;
    let profiles = profiles(&common.scores).map_err(failed)?;
    let tau = if common.is_normalised { "human-normalised score" } else { "score" };
    let profile = Figure {
        name: file_name(&format!("{}-profile", spec.name), others),
        title: titled(&format!("{}: performance profiles", spec.title), others),
        drawn: figure::lines(
            figure::axis(tau, false),
            figure::axis("share of runs above it", false),
            &profiles,
        ),
        csv: figure::curves_csv(&profiles),
        caption: "The share of runs of all tasks with more than a score; bands are 95 % stratified bootstrap intervals."
            .to_owned(),
        of: spec.tag.clone(),
    };
    Ok(vec![table, profile.write(folder)?])
}

/// `None` if there is no such task.
fn common(algorithms: &[Algorithm<'_>]) -> Result<Option<Common>, Error> {
    let Some(first) = algorithms.first() else { return Ok(None) };
    let of_all = |name: &str| -> Vec<&Task<'_>> {
        let of = |algorithm: &'_ Algorithm<'_>| {
            algorithm.tasks.iter().position(|task| task.member.name() == name)
        };
        algorithms.iter().filter_map(|one| of(one).map(|at| &one.tasks[at])).collect()
    };
    let most = algorithms.iter().flat_map(|one| &one.tasks).map(count).max().unwrap_or(0);
    let is_common = |name: &str| {
        let tasks = of_all(name);
        tasks.len() == algorithms.len() && tasks.iter().all(|task| count(task) == most)
    };
    let names: Vec<&str> = first.tasks.iter().map(|task| task.member.name()).collect();
    let (kept, left_out): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| is_common(name));
    if most == 0 || kept.is_empty() {
        return Ok(None);
    }
    let is_normalised =
        kept.iter().all(|name| of_all(name).iter().all(|task| task.reference.is_some()));
    let scores = |algorithm: &Algorithm<'_>| {
        let of_task = |name: &&str| {
            let task = algorithm.tasks.iter().find(|task| task.member.name() == *name)?;
            let values = task.seeded.as_ref()?.values();
            let normalised = |value: f64| match task.reference.filter(|_| is_normalised) {
                Some(reference) => reference.human_normalised(value),
                None => value,
            };
            Some(((*name).to_owned(), values.into_iter().map(normalised).collect::<Vec<f64>>()))
        };
        Scores::new(algorithm.label, kept.iter().filter_map(of_task))
    };
    let scores = algorithms.iter().map(scores).collect::<Result<_, Error>>()?;
    let left_out = left_out.into_iter().map(str::to_owned).collect();
    Ok(Some(Common { scores, is_normalised, left_out }))
}

fn count(task: &Task<'_>) -> usize {
    task.seeded.as_ref().map_or(0, |seeded| seeded.seeds().count())
}

fn profiles(scores: &[Scores]) -> Result<Vec<Curve>, Error> {
    let all = || scores.iter().flat_map(Scores::values).copied();
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::MIN, f64::max));
    if low == high {
        return Ok(Vec::new());
    }
    let taus = even_grid(low.min(0.0), high, TAUS)?;
    let bootstrap = Bootstrap::new(0).with_replicates(REPLICATES);
    scores.iter().map(|scores| Profile::Runs.of(scores, &taus, &bootstrap)).collect()
}

fn table(
    spec: &ScoresSpec,
    others: &[String],
    algorithms: &[Algorithm<'_>],
    common: &Common,
    folder: &Path,
) -> Outcome<Section> {
    let failed = |error: Error| Failure::Run(format!("scores {}: {error}", spec.name));
    let bootstrap = Bootstrap::new(0).with_replicates(REPLICATES);
    let base = algorithms.iter().position(|algorithm| algorithm.name == spec.against);
    let base = base.map(|at| &common.scores[at]);
    let (mut rows, mut csv) = (String::new(), String::from("algorithm,what,estimate,low,high,n\n"));
    for (algorithm, scores) in algorithms.iter().zip(&common.scores) {
        let mut cells = Vec::new();
        for aggregate in Aggregate::FIELD {
            let estimate = aggregate.estimate(scores, &bootstrap).map_err(failed)?;
            cells.push(shown(&estimate));
            csv += &line(algorithm.label, &aggregate.to_string(), &estimate);
        }
        let against = base.filter(|_| algorithm.name != spec.against);
        match against
            .map(|base| improvement(scores, base, &bootstrap))
            .transpose()
            .map_err(failed)?
        {
            None => cells.push(String::new()),
            Some(effect) => {
                cells.push(format!("{}, {}", shown(&effect.estimate), said(effect.verdict())));
                csv += &line(algorithm.label, "probability of improvement", &effect.estimate);
            }
        }
        let cells: String = cells.iter().map(|it| format!("<td>{}</td>", escaped(it))).collect();
        rows += &format!("<tr><th>{}</th>{cells}</tr>", escaped(algorithm.label));
    }
    let name = file_name(&format!("{}-aggregates", spec.name), others);
    write_whole(&folder.join(format!("{name}.csv")), csv.as_bytes())?;
    let heads: String = Aggregate::FIELD.iter().map(|it| format!("<th>{it}</th>")).collect();
    let scores = &common.scores[0];
    let left_out = match common.left_out.is_empty() {
        true => String::new(),
        false => format!(
            " Left out, as not all have as many seeds of them: {}.",
            escaped(&common.left_out.join(", "))
        ),
    };
    let body = format!(
        "<p class=\"note\">{} scores of {} tasks with {} seeds each; 95 % stratified bootstrap intervals.{left_out}</p>\
         <table><thead><tr><th></th>{heads}<th>P(better than {})</th></tr></thead><tbody>{rows}</tbody></table>\
         <p class=\"note\"><a href=\"{name}.csv\">CSV</a></p>",
        if common.is_normalised { "Human-normalised" } else { "Plain" },
        scores.task_count(),
        scores.fewest_runs(),
        escaped(&spec.against)
    );
    Ok(Section { title: titled(&format!("{}: over all tasks", spec.title), others), body })
}

fn line(algorithm: &str, what: &str, estimate: &pliant_statistics::estimate::Estimate) -> String {
    let end = |end: Option<f64>| end.map(|end| end.to_string()).unwrap_or_default();
    let (low, high) = (end(estimate.low()), end(estimate.high()));
    format!(
        "{},{},{},{low},{high},{}\n",
        quoted(algorithm),
        quoted(what),
        estimate.estimate,
        estimate.n
    )
}
