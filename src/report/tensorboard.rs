//! A study for TensorBoard: the numbers of its tables beside the conditions of each run (HPARAMS), and learning curves
//! with bands (CUSTOM SCALARS).

use std::path::Path;

use pliant_core::{clock::Clock, error::Result, metrics::Metrics, sink::Sink as _};

use super::curves::Drawn;
use crate::{
    failure::{Failure, Outcome},
    sinks::tensorboard::{
        Band, Category, Chart, HparamValue, Lines, Outcome as End, Start, TensorBoardSink,
    },
    study::{Measured, Results, StudyFile},
};

/// Writes both below `folder`.
pub fn write(file: &StudyFile, results: &Results<'_>, drawn: &[Drawn], folder: &Path) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Run(format!("cannot write {}: {error}", folder.display()))
    };
    let runs = results.runs().iter().try_for_each(|measured| {
        numbers(file, measured, &folder.join("runs").join(measured.run.name()))
    });
    runs.and_then(|()| curves(drawn, &folder.join("means"))).map_err(|error| failed(&error))
}

/// A row of the table: conditions, seed, and the number of each of the study's tables.
fn numbers(file: &StudyFile, measured: &Measured<'_>, folder: &Path) -> Result<()> {
    let mut metrics = Metrics::default();
    for spec in &file.tables {
        if let Some(number) = measured.taken(&spec.tag, spec.take) {
            metrics.scalar(format!("study/{}", spec.name), number);
        }
    }
    let conditions = file.axes.iter().zip(&measured.run.conditions);
    let mut hparams: Vec<(String, HparamValue)> = conditions
        .map(|(axis, name)| (axis.name.clone(), HparamValue::Text(name.clone())))
        .collect();
    hparams.push(("seed".to_owned(), HparamValue::Number(measured.run.seed as f64)));
    let tags: Vec<String> = file.tables.iter().map(|spec| format!("study/{}", spec.name)).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let mut sink = TensorBoardSink::create(folder, Start::Fresh)?;
    sink.write_hparams(&hparams, &tags)?;
    sink.write(&Clock::default(), 0.0, &metrics)?;
    sink.write_outcome(&Clock::default(), End::Done)?;
    sink.flush()
}

/// Means and both ends of their intervals as scalars, a chart of bands for each figure.
fn curves(drawn: &[Drawn], folder: &Path) -> Result<()> {
    if drawn.is_empty() {
        return Ok(());
    }
    let mut sink = TensorBoardSink::create(folder, Start::Fresh)?;
    let charts = drawn.iter().map(chart).collect();
    sink.write_layout(&[Category { title: "learning curves".to_owned(), charts }])?;
    for figure in drawn {
        for curve in &figure.curves {
            let [value, lower, upper] = tags(figure, &curve.name);
            for point in &curve.points {
                let ends = point.interval.map(|it| (it.low, it.high));
                let (low, high) = ends.unwrap_or((point.estimate, point.estimate));
                let mut metrics = Metrics::default();
                metrics.scalar(value.clone(), point.estimate);
                metrics.scalar(lower.clone(), low);
                metrics.scalar(upper.clone(), high);
                let clock = Clock { frames: point.x.round() as u64, ..Clock::default() };
                sink.write(&clock, 0.0, &metrics)?;
            }
        }
    }
    sink.flush()
}

fn chart(figure: &Drawn) -> Chart {
    let band = |name: &str| {
        let [value, lower, upper] = tags(figure, name);
        Band { value, lower, upper }
    };
    let bands = figure.curves.iter().map(|curve| band(&curve.name)).collect();
    Chart { title: figure.title.clone(), lines: Lines::Bands(bands) }
}

fn tags(figure: &Drawn, line: &str) -> [String; 3] {
    let line = if line.is_empty() { "all" } else { line };
    ["mean", "low", "high"].map(|end| format!("{}/{line}/{end}", figure.name))
}
