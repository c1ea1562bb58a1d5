//! Curves that probes measured, of several conditions or at several times.

use std::path::{Path, PathBuf};

use pliant_core::metrics::Line;
use pliant_statistics::{
    curve::{Curve, Point},
    series::{Series, measured_grid},
};

use super::{
    Section, curves, escaped,
    figure::{self, Figure},
    file_name, titled,
    words::of_intervals,
};
use crate::{
    failure::{Failure, Outcome},
    sinks::figures::read_first_line,
    study::{Common, Group, Measured, Results, SnapshotSpec, When},
};

/// Times of which there are lines, where there are more: evenly chosen, with the first and the last.
const MOST_TIMES: usize = 6;

/// The curves of a condition, or of a time, with the number of its seeds.
struct Shown {
    curve: Curve,
    seeds: usize,
}

/// A figure for each combination of the axes that are not lines.
pub fn sections(
    spec: &SnapshotSpec,
    results: &Results<'_>,
    folder: &Path,
) -> Outcome<Vec<Section>> {
    let by_common: Vec<(Common, Vec<Shown>)> = match &spec.lines {
        Some(axis) => by_condition(spec, axis, results)?,
        None => by_time(spec, results)?,
    };
    by_common.iter().map(|(common, shown)| section(spec, common, shown, folder)).collect()
}

fn by_condition(
    spec: &SnapshotSpec,
    axis: &str,
    results: &Results<'_>,
) -> Outcome<Vec<(Common, Vec<Shown>)>> {
    let mut found = Vec::new();
    for group in results.along(Some(axis)) {
        let mut shown = Vec::new();
        for member in &group.members {
            let file = |run: &&Measured<'_>| {
                Some(run.figure(&spec.tag, "csv", spec.at.unwrap_or_default())?.1)
            };
            let lines = member.runs.iter().filter_map(|run| read_first_line(&file(run)?));
            shown.extend(averaged(member.label(), &lines.collect::<Vec<_>>())?);
        }
        found.push((group.common, shown));
    }
    Ok(found)
}

fn by_time(spec: &SnapshotSpec, results: &Results<'_>) -> Outcome<Vec<(Common, Vec<Shown>)>> {
    let mut found = Vec::new();
    for Group { common, members } in results.along(None) {
        let runs = members.iter().flat_map(|member| &member.runs);
        let measured: Vec<_> = runs.map(|run| run.figures(&spec.tag, "csv")).collect();
        let updates: Vec<u64> =
            measured.first().into_iter().flatten().map(|(updates, _)| *updates).collect();
        let mut shown = Vec::new();
        for updates in chosen(&updates) {
            let of_run = |files: &Vec<(u64, PathBuf)>| {
                read_first_line(&files.iter().find(|(at, _)| *at == updates)?.1)
            };
            let lines: Vec<Line> = measured.iter().filter_map(of_run).collect();
            shown.extend(averaged(&format!("update {updates}"), &lines)?);
        }
        found.push((common, shown));
    }
    Ok(found)
}

fn chosen(updates: &[u64]) -> Vec<u64> {
    let count = updates.len().min(MOST_TIMES);
    let at = |index: usize| index * (updates.len() - 1) / count.saturating_sub(1).max(1);
    (0..count).map(|index| updates[at(index)]).collect()
}

/// The mean over seeds where all were measured at the same places; otherwise the first seed's, as peaks would be lost
/// between them. `None` of nothing.
fn averaged(name: &str, lines: &[Line]) -> Outcome<Option<Shown>> {
    let places = |line: &Line| line.points.iter().map(|(x, _)| *x).collect::<Vec<f64>>();
    let Some(first) = lines.first() else { return Ok(None) };
    let is_mean = lines.len() > 1 && lines.iter().all(|line| places(line) == places(first));
    if !is_mean {
        let point = |(x, y): &(f64, f64)| Point { x: *x, estimate: *y, interval: None, n: 1 };
        let points = first.points.iter().map(point).collect();
        return Ok(Some(Shown { curve: Curve { name: name.to_owned(), points }, seeds: 1 }));
    }
    let failed = |error| Failure::Run(format!("snapshots of {name}: {error}"));
    let series = |line: &Line| Series::new(name, line.points.clone()).map_err(failed);
    let series: Vec<Series> = lines.iter().map(series).collect::<Result<_, _>>()?;
    let curve = curves::curve_at(name, &series, measured_grid(&series)).map_err(failed)?;
    Ok(Some(Shown { curve, seeds: lines.len() }))
}

fn section(
    spec: &SnapshotSpec,
    common: &Common,
    shown: &[Shown],
    folder: &Path,
) -> Outcome<Section> {
    let curves: Vec<Curve> = shown.iter().map(|shown| shown.curve.clone()).collect();
    let count = |shown: &Shown| format!("{}: {}", escaped(&shown.curve.name), shown.seeds);
    let counts: Vec<String> = shown.iter().map(count).collect();
    let at = match (&spec.lines, spec.at.unwrap_or_default()) {
        (None, _) => "at several times",
        (Some(_), When::First) => "as it was measured first",
        (Some(_), When::Last) => "as it was measured last",
    };
    let figure = Figure {
        name: file_name(&spec.name, common),
        title: titled(&spec.title, common),
        drawn: figure::lines(
            figure::axis(&spec.x_label, spec.log_x),
            figure::axis(&spec.tag, spec.log_y),
            &curves,
        ),
        csv: figure::curves_csv(&curves),
        caption: format!(
            "<code>{}</code>, {at}: the mean over seeds where all were measured at the same places, else one seed; {}. \
             Seeds: {}.",
            escaped(&spec.tag),
            of_intervals(shown.iter().map(|shown| shown.seeds).max().unwrap_or(0)),
            counts.join(", ")
        ),
        of: spec.tag.clone(),
    };
    figure.write(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line {
        Line { points: points.to_vec(), ..Line::default() }
    }

    #[test]
    fn times_are_chosen_evenly_with_both_ends() {
        assert_eq!(chosen(&[]), [0u64; 0]);
        assert_eq!(chosen(&[7]), [7]);
        assert_eq!(chosen(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(chosen(&(0..=50).collect::<Vec<u64>>()), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn curves_at_the_same_places_are_averaged_and_others_are_not() {
        let same = [line(&[(0.0, 1.0), (1.0, 2.0)]), line(&[(0.0, 3.0), (1.0, 6.0)])];
        let mean = averaged("a", &same).expect("finite").expect("two");
        let estimates: Vec<f64> = mean.curve.points.iter().map(|point| point.estimate).collect();
        assert_eq!((estimates, mean.seeds), (vec![2.0, 4.0], 2));
        let other = [line(&[(0.0, 1.0)]), line(&[(0.5, 3.0)])];
        let first = averaged("a", &other).expect("finite").expect("two");
        assert_eq!((first.curve.points[0].estimate, first.seeds), (1.0, 1));
        assert!(averaged("a", &[]).expect("nothing").is_none());
    }
}
