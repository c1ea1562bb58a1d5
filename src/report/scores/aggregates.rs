//! All tasks in a few numbers.

use std::path::Path;

use pliant_statistics::{
    aggregate::Aggregate, bootstrap::Bootstrap, error::Error, estimate::Estimate,
    improvement::improvement,
};

use super::{
    Algorithm,
    comparable::{Comparable, comparable},
    profiles::profiles,
};
use crate::{
    failure::{Failure, Outcome},
    report::{
        Section, escaped,
        figure::{self, Figure, quoted},
        file_name, titled,
        words::{said, shown},
    },
    run_dir::write_whole,
    study::{Common, ScoresSpec},
};

/// More than enough for what a table shows.
const REPLICATES: usize = 2000;

/// A table and the profiles.
pub(super) fn sections(
    spec: &ScoresSpec,
    common: &Common,
    algorithms: &[Algorithm<'_>],
    folder: &Path,
) -> Outcome<Vec<Section>> {
    let failed = |error: Error| Failure::Run(format!("scores {}: {error}", spec.name));
    let title = titled(&format!("{}: over all tasks", spec.title), common);
    let Some(comparable) = comparable(algorithms).map_err(failed)? else {
        let body = "<p>There is no task of which all have finished the same seed.</p>".to_owned();
        return Ok(vec![Section { title, body }]);
    };
    let (html, csv) = rows(spec, algorithms, &comparable).map_err(failed)?;
    let name = file_name(&format!("{}~~aggregates", spec.name), common);
    write_whole(&folder.join(format!("{name}.csv")), csv.as_bytes())?;
    let has_base = algorithms.iter().any(|algorithm| algorithm.name == spec.against);
    let note = note(&comparable, if has_base { algorithms.len() - 1 } else { 0 });
    let body = format!(
        "<p class=\"note\">{note}</p>{html}<p class=\"note\"><a href=\"{name}.csv\">CSV</a></p>"
    );
    Ok(vec![Section { title, body }, profile(spec, common, &comparable, folder)?])
}

/// What the numbers are of.
fn note(comparable: &Comparable, compared: usize) -> String {
    let seeds: Vec<String> = comparable.seeds.iter().map(u64::to_string).collect();
    let left_out = match comparable.left_out.is_empty() {
        true => String::new(),
        false => format!(
            " Left out, as not all have these seeds of them: {}.",
            escaped(&comparable.left_out.join(", "))
        ),
    };
    let together = match compared {
        0 | 1 => "",
        _ => ", those of probabilities for all algorithms together (Bonferroni)",
    };
    let intervals = match seeds.len() {
        1 => "one seed, hence without intervals".to_owned(),
        _ => format!("95 % stratified bootstrap intervals{together}"),
    };
    format!(
        "{} scores of {} tasks, seeds {}; {intervals}.{left_out}",
        if comparable.is_normalised { "Human-normalised" } else { "Plain" },
        comparable.scores[0].task_count(),
        seeds.join(", ")
    )
}

/// As HTML and as CSV.
fn rows(
    spec: &ScoresSpec,
    algorithms: &[Algorithm<'_>],
    comparable: &Comparable,
) -> Result<(String, String), Error> {
    let bootstrap = Bootstrap::new(0).with_replicates(REPLICATES);
    let base = algorithms.iter().position(|algorithm| algorithm.name == spec.against);
    let base = base.map(|at| &comparable.scores[at]);
    let among = bootstrap.among(algorithms.len() - 1);
    let aggregates = aggregates(comparable);
    let (mut rows, mut csv) = (String::new(), String::from("algorithm,what,estimate,low,high,n\n"));
    for (algorithm, scores) in algorithms.iter().zip(&comparable.scores) {
        let mut cells = Vec::new();
        for aggregate in &aggregates {
            let estimate = aggregate.estimate(scores, &bootstrap)?;
            cells.push(shown(&estimate));
            csv += &line(algorithm.label, &aggregate.to_string(), &estimate);
        }
        let against = base.filter(|_| algorithm.name != spec.against);
        if let Some(effect) = against.map(|base| improvement(scores, base, &among)).transpose()? {
            let verdict = match comparable.has_losses {
                true => "no verdict, as seeds are lost".to_owned(),
                false => said(effect.verdict()),
            };
            cells.push(format!("{}, {verdict}", shown(&effect.estimate)));
            csv += &line(algorithm.label, "probability of improvement", &effect.estimate);
        }
        let cells: String = cells.iter().map(|it| format!("<td>{}</td>", escaped(it))).collect();
        rows += &format!("<tr><th>{}</th>{cells}</tr>", escaped(algorithm.label));
    }
    let heads: String = aggregates.iter().map(|it| format!("<th>{it}</th>")).collect();
    let against =
        algorithms.iter().find(|one| one.name == spec.against).map_or("", |one| one.label);
    let html = format!(
        "<table><thead><tr><th></th>{heads}<th>P(better than {})</th></tr></thead><tbody>{rows}</tbody></table>",
        escaped(against)
    );
    Ok((html, csv))
}

/// How far scores fall short of a human's means nothing of plain ones.
fn aggregates(comparable: &Comparable) -> Vec<Aggregate> {
    let has_sense = |aggregate: &Aggregate| {
        comparable.is_normalised || !matches!(aggregate, Aggregate::OptimalityGap { .. })
    };
    Aggregate::FIELD.into_iter().filter(has_sense).collect()
}

fn profile(
    spec: &ScoresSpec,
    common: &Common,
    comparable: &Comparable,
    folder: &Path,
) -> Outcome<Section> {
    let profiles = profiles(&comparable.scores)
        .map_err(|error| Failure::Run(format!("scores {}: {error}", spec.name)))?;
    let tau = if comparable.is_normalised { "human-normalised score" } else { "score" };
    let (x, y) = (figure::axis(tau, false), figure::axis("share of runs above it", false));
    let figure = Figure {
        name: file_name(&format!("{}~~profile", spec.name), common),
        title: titled(&format!("{}: performance profiles", spec.title), common),
        drawn: figure::lines(x, y, &profiles),
        csv: figure::curves_csv(&profiles),
        caption: "The share of runs of all tasks with more than a score; bands are 95 % stratified bootstrap intervals. \
                  Of 20 runs or more the highest twentieth is not shown."
            .to_owned(),
        of: spec.tag.clone(),
    };
    figure.write(folder)
}

fn line(algorithm: &str, what: &str, estimate: &Estimate) -> String {
    let end = |end: Option<f64>| end.map(|end| end.to_string()).unwrap_or_default();
    let (low, high, value) = (end(estimate.low()), end(estimate.high()), estimate.estimate);
    format!("{},{},{value},{low},{high},{}\n", quoted(algorithm), quoted(what), estimate.n)
}
