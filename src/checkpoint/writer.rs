//! Writes checkpoints while training goes on.

use std::{
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use super::{Contents, durable::Durable, files, manifest::Manifest, shelf};
use crate::run_dir::RunDirectory;

/// Writes a run's checkpoints, at most one at a time.
///
/// What a checkpoint holds is handed to the operating system before [`Self::write`] returns, so training may
/// change it from then on. That it lies on the disk, the checksums, and taking its place are waited for on a
/// thread: a replay of a million frames is several hundred megabytes.
pub struct Writer {
    folder: PathBuf,
    keep: usize,
    /// The run's directory, if the rest of it is to lie on the disk before a checkpoint does.
    run: Option<PathBuf>,
    durable: Durable,
    in_flight: Option<JoinHandle<Result<(), String>>>,
}

impl Writer {
    /// Writes into `folder`, which keeps the newest `keep`.
    pub fn new(folder: PathBuf, keep: usize) -> Self {
        Self { folder, keep, run: None, durable: Durable::default(), in_flight: None }
    }

    /// Writes those of a run, whose metrics, events and figures are on the disk before a checkpoint that counts them.
    pub fn of_run(run: &RunDirectory, keep: usize) -> Self {
        let mut writer = Self::new(run.checkpoints(), keep);
        writer.run = Some(run.path().to_owned());
        writer
    }

    /// Begins a checkpoint, after the one before has taken its place. An error is that of either.
    pub fn write(&mut self, contents: &Contents<'_>) -> Result<(), String> {
        self.wait()?;
        let name = contents.clock.updates.to_string();
        let (folder, keep) = (self.folder.clone(), self.keep);
        let written = shelf::make_room(&folder, &name)
            .map_err(|error| error.to_string())
            .and_then(|aside| files::write(&aside, contents).map(|names| (aside, names)));
        let (aside, names) = written.map_err(|error| given_up(&folder, &name, &error))?;
        let (run, durable) = (self.run.clone(), self.durable.clone());
        let finish = move || {
            let synced = run.map_or(Ok(()), |run| durable.sync(&run));
            synced
                .and_then(|()| finish(&folder, &name, &aside, &names, keep))
                .map_err(|error| given_up(&folder, &name, &error))
        };
        let begun = thread::Builder::new().name("checkpoint".to_owned()).spawn(finish);
        let failed = |error| format!("cannot write a checkpoint: no thread for it: {error}");
        self.in_flight = Some(begun.map_err(failed)?);
        Ok(())
    }

    /// Does what a process that was killed between two steps of this left to do.
    pub fn tidy(&self) {
        shelf::tidy(&self.folder, self.keep);
    }

    /// Waits until the last checkpoint is in its place.
    pub fn wait(&mut self) -> Result<(), String> {
        let panicked = |_| Err("cannot write a checkpoint: its thread panicked".to_owned());
        self.in_flight.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(panicked))
    }
}

impl Drop for Writer {
    /// A run that failed elsewhere still has its last checkpoint; its error is the one that counts.
    fn drop(&mut self) {
        let _ = self.wait();
    }
}

fn finish(
    folder: &Path,
    name: &str,
    aside: &Path,
    names: &[String],
    keep: usize,
) -> Result<(), String> {
    Manifest::of(aside, names)?.write(aside)?;
    shelf::put(folder, name, keep).map(drop).map_err(|error| error.to_string())
}

fn given_up(folder: &Path, name: &str, error: &str) -> String {
    shelf::give_up(folder, name);
    format!("cannot write checkpoint {}: {error}", folder.join(name).display())
}
