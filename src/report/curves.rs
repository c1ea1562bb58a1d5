//! Learning curves: the mean over seeds with its interval.

use std::{fmt::Write as _, path::Path};

use pliant_core::metrics::{Axis, Curves, Line};
use pliant_statistics::{
    bootstrap::Bootstrap,
    curve::Curve,
    learning_curve::{Average, LearningCurve, Spread},
    series::{Interpolation, Series, even_grid, measured_grid},
};

use super::{Section, escaped, file_name, seeds, titled};
use crate::{
    failure::{Failure, Outcome},
    plot,
    run_dir::write_whole,
    sinks::picture,
    study::{CurvesSpec, Group, Member, Results, Units},
};

/// Points of a line, where runs were measured more often.
const MOST_POINTS: usize = 200;
/// Resamples for each point.
const REPLICATES: usize = 2000;

/// A figure for each group along the axis that is lines.
pub fn sections(spec: &CurvesSpec, results: &Results<'_>, folder: &Path) -> Outcome<Vec<Section>> {
    results.along(&spec.lines).iter().map(|group| section(spec, group, folder)).collect()
}

fn section(spec: &CurvesSpec, group: &Group<'_>, folder: &Path) -> Outcome<Section> {
    let title = titled(&spec.title, &group.others);
    let curves: Vec<Curve> = group
        .members
        .iter()
        .filter_map(|Member { label, runs, .. }| {
            let series = |run: &&crate::study::Measured<'_>| {
                let points = run.series(&spec.tag, spec.x);
                Series::new(format!("seed {}", run.run.seed), points).ok()
            };
            curve(label, &runs.iter().filter_map(series).collect::<Vec<_>>())
        })
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Run(format!("curves {}: {error}", spec.name)))?;
    let name = file_name(&spec.name, &group.others);
    write_whole(&folder.join(format!("{name}.csv")), csv(&curves).as_bytes())?;
    let figure = figure(spec, &curves);
    let Some(svg) = plot::curves_svg(&title, &figure) else {
        let body =
            format!("<p>No finished run has measured <code>{}</code>.</p>", escaped(&spec.tag));
        return Ok(Section { title, body });
    };
    write_whole(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
    if let Some(picture) = plot::curves_picture(&title, &figure)? {
        write_whole(&folder.join(format!("{name}.png")), &picture::png(&picture)?)?;
    }
    let counts: Vec<String> =
        group.members.iter().map(|member| escaped(&count(member, &curves))).collect();
    let body = format!(
        "<figure>{svg}<figcaption>Mean over seeds of <code>{}</code>; the band is a 95 % bootstrap interval of the mean. \
         Seeds: {}. <a href=\"{name}.csv\">CSV</a></figcaption></figure>",
        escaped(&spec.tag),
        counts.join(", ")
    );
    Ok(Section { title, body })
}

/// `LABEL: 4 of 5 (1 failed)`.
fn count(member: &Member<'_>, curves: &[Curve]) -> String {
    let points = curves.iter().filter(|curve| curve.name == member.label);
    let found = points.flat_map(|curve| curve.points.iter().map(|point| point.n)).max();
    format!("{}: {}", member.label, seeds(found.unwrap_or(0), member))
}

/// `None` of no runs.
fn curve(name: &str, runs: &[Series]) -> Option<Result<Curve, pliant_statistics::error::Error>> {
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
    let learning = LearningCurve { grid, interpolation: Interpolation::Linear };
    let spread = Spread::Bootstrap(Bootstrap::new(0).with_replicates(REPLICATES));
    Some(learning.of_seeds(name, runs, Average::Mean, spread))
}

fn figure(spec: &CurvesSpec, curves: &[Curve]) -> Curves {
    let x = match spec.x {
        Units::Frames => "frames",
        Units::AgentSteps => "agent steps",
        Units::Updates => "updates",
    };
    let line = |curve: &Curve| {
        let band = |point: &pliant_statistics::curve::Point| {
            point.interval.map_or((point.estimate, point.estimate), |it| (it.low, it.high))
        };
        Line {
            name: curve.name.clone(),
            points: curve.points.iter().map(|point| (point.x, point.estimate)).collect(),
            band: curve.points.iter().map(band).collect(),
        }
    };
    let y = Axis { label: spec.tag.clone(), is_log: spec.log_y };
    Curves { x: Axis::linear(x), y, lines: curves.iter().map(line).collect() }
}

fn csv(curves: &[Curve]) -> String {
    let mut text = String::from("line,x,mean,low,high,seeds\n");
    for curve in curves {
        let name = curve.name.replace('"', "\"\"");
        for point in &curve.points {
            let [low, high] = [point.interval.map(|it| it.low), point.interval.map(|it| it.high)]
                .map(|end| end.map(|end| end.to_string()).unwrap_or_default());
            let (x, mean, n) = (point.x, point.estimate, point.n);
            writeln!(text, "\"{name}\",{x},{mean},{low},{high},{n}").expect("a String takes all");
        }
    }
    text
}
