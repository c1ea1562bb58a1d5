//! Numbers against the values of an axis.

use std::path::Path;

use pliant_statistics::{
    bootstrap::Bootstrap,
    curve::{Curve, Point},
    error::Error,
};

use super::{
    Section, escaped,
    figure::{self, Figure},
    file_name, seeds, titled,
    words::{found, of_intervals, of_log_axis, of_member, said_of},
};
use crate::{
    failure::{Failure, Outcome},
    study::{Grid, Member, Results, Row, TrendSpec},
};

/// A figure for each combination of the axes that are neither lines nor values.
pub fn sections(spec: &TrendSpec, results: &Results<'_>, folder: &Path) -> Outcome<Vec<Section>> {
    let grids = results.across(spec.lines.as_deref(), &spec.x);
    grids.iter().map(|grid| section(spec, grid, folder)).collect()
}

fn section(spec: &TrendSpec, grid: &Grid<'_>, folder: &Path) -> Outcome<Section> {
    let curves: Vec<Curve> = grid
        .rows
        .iter()
        .map(|row| curve(spec, row.label(), &row.members))
        .collect::<Result<_, Error>>()
        .map_err(|error| Failure::Run(format!("trend {}: {error}", spec.name)))?;
    let y = format!("{}, {}", spec.tag, said_of(spec.take));
    let (x, y) = (figure::axis(&spec.x, spec.log_x), figure::axis(&y, spec.log_y));
    let figure = Figure {
        name: file_name(&spec.name, &grid.common),
        title: titled(&spec.title, &grid.common),
        drawn: figure::lines(x, y, &curves),
        csv: figure::curves_csv(&curves),
        caption: format!(
            "The {} value of <code>{}</code>, mean over seeds; {}.{} Seeds at each value: {}.",
            said_of(spec.take),
            escaped(&spec.tag),
            of_intervals(figure::most_seeds(&curves)),
            of_log_axis(spec.log_y),
            escaped(&counts(spec, grid))
        ),
        of: spec.tag.clone(),
    };
    figure.write(folder)
}

fn curve(spec: &TrendSpec, label: &str, members: &[Member<'_>]) -> Result<Curve, Error> {
    let mut points = Vec::new();
    for member in members {
        let Some(seeded) = of_member(member, &spec.tag, spec.take)? else { continue };
        let mean = seeded.summary(&Bootstrap::new(0))?.mean;
        let x = member.condition.and_then(|condition| condition.value).expect("was checked");
        points.push(Point { x, estimate: mean.estimate, interval: mean.interval, n: mean.n });
    }
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Ok(Curve { name: label.to_owned(), points })
}

/// `1: 3, 3 of 4 (1 failed); ..`
fn counts(spec: &TrendSpec, grid: &Grid<'_>) -> String {
    let of_member = |member: &Member<'_>| {
        let found = of_member(member, &spec.tag, spec.take).ok().flatten();
        seeds(self::found(found.as_ref()), member)
    };
    let of_row = |row: &Row<'_>| {
        let counts: Vec<String> = row.members.iter().map(of_member).collect();
        let label = row.label();
        let colon = if label.is_empty() { "" } else { ": " };
        format!("{label}{colon}{}", counts.join(", "))
    };
    grid.rows.iter().map(of_row).collect::<Vec<_>>().join("; ")
}
