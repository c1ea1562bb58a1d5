//! Where measurements of stored checkpoints go.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use pliant_core::{error::Result, metrics::Metrics, sink::Sink};

use crate::{
    checkpoint::Loaded,
    config::LogSection,
    failure::{Failure, Outcome},
    sinks::{CsvSink, FigureSink, TensorBoardSink},
};

/// The sinks of each probe, opened with its first measurement. What an earlier call measured with a probe of that name
/// is replaced when all checkpoints are measured; until then the new measurements lie in `reprobe/unfinished/`.
pub(super) struct Outputs<'a> {
    run: &'a Path,
    log: &'a LogSection,
    by_probe: BTreeMap<String, Of>,
}

/// What is open for a probe.
struct Of {
    sinks: Vec<Box<dyn Sink>>,
    /// The event file, if there is one.
    events: Option<PathBuf>,
    /// Whether something of an earlier call is there.
    has_former: bool,
}

impl<'a> Outputs<'a> {
    /// Into a run directory.
    pub(super) fn new(run: &'a Path, log: &'a LogSection) -> Self {
        Self { run, log, by_probe: BTreeMap::new() }
    }

    /// Writes what `probe` measured of a checkpoint, below `reprobe/`.
    pub(super) fn write(&mut self, probe: &str, of: &Loaded, metrics: &Metrics) -> Outcome {
        if !self.by_probe.contains_key(probe) {
            if self.by_probe.is_empty() {
                remove(&unfinished(self.run)).map_err(failed(self.run))?;
            }
            let opened = open(self.run, self.log, probe).map_err(failed(self.run))?;
            self.by_probe.insert(probe.to_owned(), opened);
        }
        let mut below = Metrics::default();
        for (tag, value) in metrics.iter() {
            below.add(format!("reprobe/{tag}"), value.clone());
        }
        for sink in self.by_probe.get_mut(probe).into_iter().flat_map(|of| &mut of.sinks) {
            sink.write(&of.clock, of.wall_s, &below)
                .and_then(|()| sink.flush())
                .map_err(failed(self.run))?;
        }
        Ok(())
    }

    /// All checkpoints are measured: the new takes the place of the former.
    pub(super) fn replace_former(&mut self) -> Outcome {
        for (probe, of) in std::mem::take(&mut self.by_probe) {
            drop(of.sinks);
            if of.has_former {
                replace(self.run, &probe, of.events.as_deref()).map_err(failed(self.run))?;
            }
        }
        remove(&unfinished(self.run)).map_err(failed(self.run))
    }

    /// Where measurements lie that have not taken the place of former ones; `None` if there are none.
    pub(super) fn aside(&self) -> Option<PathBuf> {
        self.by_probe.values().any(|of| of.has_former).then(|| unfinished(self.run))
    }
}

fn failed<E: std::fmt::Display>(run: &Path) -> impl Fn(E) -> Failure {
    let what = format!("cannot write measurements into {}", run.display());
    move |error| Failure::while_doing(&what, error)
}

fn unfinished(run: &Path) -> PathBuf {
    run.join("reprobe/unfinished")
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn table(probe: &str) -> String {
    format!("{probe}.csv")
}

fn ending(probe: &str) -> String {
    format!("reprobe-{probe}")
}

/// As far as the run's own log is kept: `reprobe/PROBE.csv`, an event file, figures.
fn open(run: &Path, log: &LogSection, probe: &str) -> Result<Of> {
    let tables = run.join("reprobe");
    let has_former = (log.csv && tables.join(table(probe)).exists())
        || (log.tensorboard && TensorBoardSink::is_beside(run, &ending(probe))?);
    let (tables, events) = match has_former {
        true => (unfinished(run), unfinished(run)),
        false => (tables, run.to_owned()),
    };
    let mut of = Of { sinks: Vec::new(), events: None, has_former };
    if log.csv {
        fs::create_dir_all(&tables)?;
        of.sinks.push(Box::new(CsvSink::create(&tables.join(table(probe)))?));
    }
    if log.tensorboard {
        let sink = TensorBoardSink::beside(&events, &ending(probe))?;
        of.events = Some(sink.path().to_owned());
        of.sinks.push(Box::new(sink));
    }
    if log.figures {
        of.sinks.push(Box::new(FigureSink::new(run)));
    }
    Ok(of)
}

/// Moves what lies aside to where the former is.
fn replace(run: &Path, probe: &str, events: Option<&Path>) -> Result<()> {
    let aside = unfinished(run).join(table(probe));
    if aside.exists() {
        fs::rename(aside, run.join("reprobe").join(table(probe)))?;
    }
    if let Some(events) = events {
        TensorBoardSink::put_beside(events, run, &ending(probe))?;
    }
    Ok(())
}
