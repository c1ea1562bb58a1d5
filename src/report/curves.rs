//! Learning curves: the mean over seeds with its interval.

use std::path::Path;

use pliant_statistics::{
    bootstrap::Bootstrap,
    curve::Curve,
    learning_curve::{Average, LearningCurve, Spread},
    series::{Interpolation, Series, even_grid, measured_grid},
};

use super::{
    Section, escaped,
    figure::{self, Figure},
    file_name, seeds, titled,
    words::{of_intervals, of_log_axis},
};
use crate::{
    failure::{Failure, Outcome},
    study::{CurvesSpec, Group, Measured, Member, Results, Units},
};

/// Points of a line, where runs were measured more often.
const MOST_POINTS: usize = 200;
/// Resamples for each point.
const REPLICATES: usize = 2000;

/// The lines of a figure.
pub struct Drawn {
    /// Names it among all figures.
    pub name: String,
    /// Above it.
    pub title: String,
    /// Means with intervals.
    pub curves: Vec<Curve>,
}

/// A figure for each group along the axis that is lines.
pub fn sections(
    spec: &CurvesSpec,
    results: &Results<'_>,
    folder: &Path,
) -> Outcome<Vec<(Section, Drawn)>> {
    results.along(spec.lines.as_deref()).iter().map(|group| section(spec, group, folder)).collect()
}

fn section(spec: &CurvesSpec, group: &Group<'_>, folder: &Path) -> Outcome<(Section, Drawn)> {
    let of_member = |member: &Member<'_>| {
        let series = |run: &&Measured<'_>| {
            let points = run.series(&spec.tag, spec.x);
            Series::new(format!("seed {}", run.run.seed), points).ok()
        };
        curve(member.label(), &member.runs.iter().filter_map(series).collect::<Vec<_>>())
    };
    let curves: Vec<Curve> = (group.members.iter().filter_map(of_member))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Run(format!("curves {}: {error}", spec.name)))?;
    let counts: Vec<String> =
        group.members.iter().map(|member| escaped(&count(member, &curves))).collect();
    let x = match spec.x {
        Units::Frames => "frames",
        Units::AgentSteps => "agent steps",
        Units::Updates => "updates",
    };
    let figure = Figure {
        name: file_name(&spec.name, &group.common),
        title: titled(&spec.title, &group.common),
        drawn: figure::lines(figure::axis(x, false), figure::axis(&spec.tag, spec.log_y), &curves),
        csv: figure::curves_csv(&curves),
        caption: format!(
            "Mean over seeds of <code>{}</code>; {}.{} Seeds: {}.",
            escaped(&spec.tag),
            of_intervals(figure::most_seeds(&curves)),
            of_log_axis(spec.log_y),
            counts.join(", ")
        ),
        of: spec.tag.clone(),
    };
    let drawn = Drawn { name: figure.name.clone(), title: figure.title.clone(), curves };
    Ok((figure.write(folder)?, drawn))
}

/// `LABEL: 4 of 5 (1 failed)`.
fn count(member: &Member<'_>, curves: &[Curve]) -> String {
    let curve = curves.iter().find(|curve| curve.name == member.label());
    let counts = || curve.into_iter().flat_map(|curve| curve.points.iter().map(|point| point.n));
    let found = counts().max();
    let least = counts().min().filter(|least| Some(*least) < found);
    let fewer = least.map(|least| format!(" (at some points {least})")).unwrap_or_default();
    let colon = if member.label().is_empty() { "" } else { ": " };
    format!("{}{colon}{}{fewer}", member.label(), seeds(found.unwrap_or(0), member))
}

/// `None` of no runs.
pub(super) fn curve(
    name: &str,
    runs: &[Series],
) -> Option<Result<Curve, pliant_statistics::error::Error>> {
    if runs.is_empty() {
        return None;
    }
    let mut grid = measured_grid(runs);
    if grid.len() > MOST_POINTS {
        let ends = (grid[0], grid[grid.len() - 1]);
        match even_grid(ends.0, ends.1, MOST_POINTS) {
            Ok(even) => grid = even,
            Err(error) => return Some(Err(error)),
        }
    }
    Some(curve_at(name, runs, grid))
}

/// The same at places of choice.
pub(super) fn curve_at(
    name: &str,
    runs: &[Series],
    grid: Vec<f64>,
) -> Result<Curve, pliant_statistics::error::Error> {
    let learning = LearningCurve { grid, interpolation: Interpolation::Linear };
    let spread = Spread::Bootstrap(Bootstrap::new(0).with_replicates(REPLICATES));
    learning.of_seeds(name, runs, Average::Mean, spread)
}
