//! Where measurements of stored checkpoints go.

use std::{collections::BTreeMap, fs, io, path::Path};

use pliant_core::{metrics::Metrics, sink::Sink};

use crate::{
    checkpoint::Loaded,
    config::LogSection,
    failure::{Failure, Outcome},
    sinks::{CsvSink, FigureSink, TensorBoardSink},
};

/// The sinks of each probe, opened with its first measurement, which takes the place of what an earlier
/// call measured with a probe of that name.
pub(super) struct Outputs<'a> {
    run: &'a Path,
    log: &'a LogSection,
    by_probe: BTreeMap<String, Vec<Box<dyn Sink>>>,
}

impl<'a> Outputs<'a> {
    /// Into a run directory.
    pub(super) fn new(run: &'a Path, log: &'a LogSection) -> Self {
        Self { run, log, by_probe: BTreeMap::new() }
    }

    /// Writes what `probe` measured of a checkpoint, below `reprobe/`.
    pub(super) fn write(&mut self, probe: &str, of: &Loaded, metrics: &Metrics) -> Outcome {
        if !self.by_probe.contains_key(probe) {
            let sinks = open(self.run, self.log, probe).map_err(failed(self.run))?;
            self.by_probe.insert(probe.to_owned(), sinks);
        }
        let mut below = Metrics::default();
        for (tag, value) in metrics.iter() {
            below.add(format!("reprobe/{tag}"), value.clone());
        }
        for sink in self.by_probe.get_mut(probe).into_iter().flatten() {
            sink.write(&of.clock, of.wall_s, &below)
                .and_then(|()| sink.flush())
                .map_err(failed(self.run))?;
        }
        Ok(())
    }
}

fn failed<E: std::fmt::Display>(run: &Path) -> impl Fn(E) -> Failure {
    let what = format!("cannot write measurements into {}", run.display());
    move |error| Failure::while_doing(&what, error)
}

/// As far as the run's own log is kept: `reprobe/PROBE.csv`, an event file, figures.
fn open(
    run: &Path,
    log: &LogSection,
    probe: &str,
) -> pliant_core::error::Result<Vec<Box<dyn Sink>>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if log.csv {
        let folder = run.join("reprobe");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{probe}.csv"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => sinks.push(Box::new(CsvSink::create(&path)?)),
        }
    }
    if log.tensorboard {
        sinks.push(Box::new(TensorBoardSink::beside(run, &format!("reprobe-{probe}"))?));
    }
    if log.figures {
        sinks.push(Box::new(FigureSink::new(run)));
    }
    Ok(sinks)
}
