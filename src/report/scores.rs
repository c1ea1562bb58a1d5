//! Algorithms over tasks, as the field compares them (Agarwal et al., 2021).

mod aggregates;
mod comparable;
mod improvements;
mod profiles;

use std::path::Path;

use pliant_envs::env::ReferenceScores;
use pliant_statistics::{error::Error, seeded::Seeded};

use super::{Section, words::of_member};
use crate::{
    config::Config,
    failure::{Failure, Outcome},
    study::{Grid, Member, Results, Row, ScoresSpec},
};

/// An algorithm's scores.
struct Algorithm<'a> {
    name: &'a str,
    label: &'a str,
    tasks: Vec<Task<'a>>,
}

/// One of its tasks.
struct Task<'a> {
    member: &'a Member<'a>,
    /// A number for each seed; `None` if no run has it.
    seeded: Option<Seeded>,
    /// `None` if there is no human to compare with.
    reference: Option<ReferenceScores>,
}

/// Sections for each combination of conditions on the axes that are neither tasks nor algorithms.
pub fn sections(spec: &ScoresSpec, results: &Results<'_>, folder: &Path) -> Outcome<Vec<Section>> {
    let mut sections = Vec::new();
    for grid in results.across(Some(&spec.algorithms), &spec.tasks) {
        let failed = |error| Failure::Run(format!("scores {}: {error}", spec.name));
        let algorithms = algorithms(spec, &grid).map_err(failed)?;
        sections.extend(improvements::sections(spec, &grid.common, &algorithms, folder)?);
        sections.extend(aggregates::sections(spec, &grid.common, &algorithms, folder)?);
    }
    Ok(sections)
}

fn algorithms<'a>(spec: &ScoresSpec, grid: &'a Grid<'a>) -> Result<Vec<Algorithm<'a>>, Error> {
    let of_row = |row: &'a Row<'a>| {
        let tasks = row.members.iter().map(|member| task(spec, member));
        let condition = row.condition.expect("rows are an axis' conditions");
        let tasks = tasks.collect::<Result<_, Error>>()?;
        Ok(Algorithm { name: &condition.name, label: condition.label(), tasks })
    };
    grid.rows.iter().map(of_row).collect()
}

fn task<'a>(spec: &ScoresSpec, member: &'a Member<'a>) -> Result<Task<'a>, Error> {
    let seeded = of_member(member, &spec.tag, spec.take)?;
    let config = member.runs.first().map(|measured| &measured.run.config);
    Ok(Task { member, seeded, reference: config.and_then(reference) })
}

#[cfg(feature = "atari")]
fn reference(config: &Config) -> Option<ReferenceScores> {
    let game = config.env.settings.get("game")?.as_str()?;
    (config.env.kind == "atari").then(|| pliant_envs::ale::reference_scores(game))?
}

#[cfg(not(feature = "atari"))]
fn reference(_config: &Config) -> Option<ReferenceScores> {
    None
}
