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
    disk,
    failure::{Failure, Outcome},
    run_dir::{LOCK, Lock, lock},
    sinks::{CsvSink, FigureSink, TensorBoardSink},
};

/// The sinks of each probe, opened with its first measurement. What an earlier call measured with a probe of that name
/// is replaced when all checkpoints are measured; until then the new measurements lie in `reprobe/unfinished/PROBE/`.
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
    /// Held, where something of an earlier call is there.
    aside: Option<(PathBuf, Lock)>,
}

impl<'a> Outputs<'a> {
    /// Into a run directory.
    pub(super) fn new(run: &'a Path, log: &'a LogSection) -> Self {
        Self { run, log, by_probe: BTreeMap::new() }
    }

    /// Writes what `probe` measured of a checkpoint, below `reprobe/`.
    pub(super) fn write(&mut self, probe: &str, of: &Loaded, metrics: &Metrics) -> Outcome {
        if !self.by_probe.contains_key(probe) {
            let opened = open(self.run, self.log, probe)?;
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
            if let Some((aside, _lock)) = of.aside {
                let replaced = replace(self.run, &aside, &probe, of.events.as_deref());
                replaced.map_err(failed(self.run))?;
            }
        }
        Ok(())
    }

    /// Where measurements lie that have not taken the place of former ones; `None` if there are none.
    pub(super) fn aside(&self) -> Option<PathBuf> {
        self.by_probe.values().any(|of| of.aside.is_some()).then(|| unfinished(self.run))
    }
}

fn failed<E: std::fmt::Display>(run: &Path) -> impl Fn(E) -> Failure {
    let what = format!("cannot write measurements into {}", run.display());
    move |error| Failure::while_doing(&what, error)
}

fn unfinished(run: &Path) -> PathBuf {
    run.join("reprobe/unfinished")
}

fn table(probe: &str) -> String {
    format!("{probe}.csv")
}

fn ending(probe: &str) -> String {
    format!("reprobe-{probe}")
}

/// As far as the run's own log is kept: `reprobe/PROBE.csv`, an event file, figures.
fn open(run: &Path, log: &LogSection, probe: &str) -> Outcome<Of> {
    let has_former = has_former(run, log, probe).map_err(failed(run))?;
    if !has_former {
        return sinks(run, &run.join("reprobe"), log, probe, None).map_err(failed(run));
    }
    let aside = unfinished(run).join(probe);
    fs::create_dir_all(&aside).map_err(failed(run))?;
    let held = lock(&aside, "measurements", "measuring with this probe")?;
    clear(&aside).map_err(failed(run))?;
    sinks(&aside, &aside, log, probe, Some((aside.clone(), held))).map_err(failed(run))
}

/// True if an earlier call with a probe of this name has left something.
fn has_former(run: &Path, log: &LogSection, probe: &str) -> Result<bool> {
    let has_table = log.csv && run.join("reprobe").join(table(probe)).exists();
    Ok(has_table || (log.tensorboard && TensorBoardSink::is_beside(run, &ending(probe))?))
}

/// Removes what a call that was stopped left; the lock is ours.
fn clear(aside: &Path) -> io::Result<()> {
    let files = disk::files(aside)?;
    files
        .iter()
        .filter(|path| **path != Path::new(LOCK))
        .try_for_each(|path| fs::remove_file(aside.join(path)))
}

/// `run` has event files and `figures/`, `tables` the CSV.
fn sinks(
    run: &Path,
    tables: &Path,
    log: &LogSection,
    probe: &str,
    aside: Option<(PathBuf, Lock)>,
) -> Result<Of> {
    let mut of = Of { sinks: Vec::new(), events: None, aside };
    if log.csv {
        fs::create_dir_all(tables)?;
        of.sinks.push(Box::new(CsvSink::create(&tables.join(table(probe)))?));
    }
    if log.tensorboard {
        let sink = TensorBoardSink::beside(run, &ending(probe))?;
        of.events = Some(sink.path().to_owned());
        of.sinks.push(Box::new(sink));
    }
    if log.figures {
        of.sinks.push(Box::new(FigureSink::new(run)));
    }
    Ok(of)
}

/// Moves what lies aside to where the former is.
fn replace(run: &Path, aside: &Path, probe: &str, events: Option<&Path>) -> Result<()> {
    let figures = Path::new("figures");
    for path in disk::files(aside)?.iter().filter(|path| path.starts_with(figures)) {
        disk::move_into(aside, run, path)?;
    }
    let table = PathBuf::from(table(probe));
    if aside.join(&table).exists() {
        disk::move_into(aside, &run.join("reprobe"), &table)?;
    }
    if let Some(events) = events {
        TensorBoardSink::put_beside(events, run, &ending(probe))?;
    }
    fs::remove_dir_all(aside)?;
    let _others_are_there = fs::remove_dir(unfinished(run));
    Ok(())
}
