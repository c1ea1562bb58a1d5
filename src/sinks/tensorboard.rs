//! TensorBoard event files.
//!
//! A file of our own below tensorboard-rs's record writer: its `SummaryWriter` truncates the file
//! of another one opened in the same second, and panics on I/O errors.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use pliant_core::{clock::Clock, error::Result, metrics::Metrics, sink::Sink};
use protobuf::Message;
use serde::{Deserialize, Serialize};
use tensorboard_proto::{
    event::{Event, SessionLog, SessionLog_SessionStatus as SessionStatus},
    summary::{Summary, Summary_Value},
};
use tensorboard_rs::record_writer::RecordWriter;

use super::at;

mod files;
mod hparams;
mod layout;
mod summary;

pub use hparams::{HparamValue, Outcome};
pub use layout::{Band, Category, Chart, Lines};

/// Whether a run begins or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new run.
    Fresh,
    /// A run that goes on from a checkpoint. A TensorBoard that has read points after it drops them. (Its fast
    /// loader, the default, does so series by series, from the first new point on; `--load_fast=false`
    /// drops them all at once.)
    Resumed {
        /// The checkpoint's frames.
        frames: u64,
    },
}

/// How far a run's event files were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The name of the newest one.
    pub file: String,
    /// Its length.
    pub bytes: u64,
}

/// The event files in `dir` that end in `.NAME`.
fn named(dir: &Path, name: &str) -> Result<impl Iterator<Item = PathBuf>> {
    let ending = format!(".{name}");
    Ok(files::names(dir)?.filter(move |file| file.ends_with(&ending)).map(|file| dir.join(file)))
}

/// Takes out of a run's own event files what was written after a position; without one, all.
pub fn cut(dir: &Path, position: Option<&Position>) -> Result<()> {
    files::cut(dir, position.map(|position| (&*position.file, position.bytes)))
}

/// Writes one event file. The step of its points is the clock's frames.
pub struct TensorBoardSink {
    records: RecordWriter<Counted>,
    path: PathBuf,
    written: Arc<AtomicU64>,
    /// Where this file begins.
    first_step: i64,
}

impl TensorBoardSink {
    /// Opens a new event file in `dir`, which is made if it is not there; files that are there
    /// stay as they are.
    pub fn create(dir: &Path, started: Start) -> Result<Self> {
        let first_step = match started {
            Start::Fresh => 0,
            // TensorBoard drops the points at the step of a START too; those of the checkpoint's
            // own frame were written before it was taken.
            Start::Resumed { frames } => step(frames).saturating_add(1),
        };
        let mut sink = Self::open(dir, "", first_step)?;
        // In a fresh run too: TensorBoard takes the first START of a folder for the beginning, and
        // only later ones for a restart.
        let mut log = SessionLog::new();
        log.set_status(SessionStatus::START);
        let mut start = Event::new();
        start.set_session_log(log);
        sink.write_event(first_step, start)?;
        sink.flush()?;
        Ok(sink)
    }

    /// Opens an event file for further measurements of the run in `dir`, beside its own: it ends in `.NAME`.
    pub fn beside(dir: &Path, name: &str) -> Result<Self> {
        Self::open(dir, &format!(".{name}"), 0)
    }

    /// True if there is one of this name.
    pub fn is_beside(dir: &Path, name: &str) -> Result<bool> {
        Ok(named(dir, name)?.next().is_some())
    }

    /// Moves one of this name into `dir`, where it takes the place of those that are there.
    pub fn put_beside(path: &Path, dir: &Path, name: &str) -> Result<()> {
        let former: Vec<PathBuf> = named(dir, name)?.collect();
        let place = dir.join(path.file_name().unwrap_or_default());
        fs::rename(path, &place).map_err(at(path))?;
        let former = former.iter().filter(|former| **former != place);
        former.into_iter().try_for_each(|path| fs::remove_file(path).map_err(at(path)))?;
        Ok(())
    }

    fn open(dir: &Path, ending: &str, first_step: i64) -> Result<Self> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let (file, path) = files::create(dir, ending, unix_seconds() as u64)?;
        let written = Arc::default();
        let records = RecordWriter::new(Counted {
            file: BufWriter::new(file),
            written: Arc::clone(&written),
        });
        let mut sink = Self { records, path, written, first_step };
        let mut version = Event::new();
        version.set_file_version("brain.Event:2".to_owned());
        sink.write_event(first_step, version)?;
        Ok(sink)
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it has been written.
    pub fn position(&self) -> Position {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Position { file, bytes: self.written.load(Ordering::Relaxed) }
    }

    /// Writes the run's settings for the HPARAMS page.
    ///
    /// TensorBoard's table has a column per setting and per metric. With `metric_tags` the first
    /// run it finds in a folder decides which: settings that only later runs have are not shown.
    /// With none it collects both from all runs and shows every scalar as a metric.
    pub fn write_hparams(
        &mut self,
        hparams: &[(String, HparamValue)],
        metric_tags: &[&str],
    ) -> Result<()> {
        let values = hparams::session_start(hparams, metric_tags, unix_seconds());
        self.write_values(self.first_step, values)
    }

    /// Writes how the run ended, for the HPARAMS page.
    pub fn write_outcome(&mut self, clock: &Clock, outcome: Outcome) -> Result<()> {
        let value = hparams::session_end(outcome, unix_seconds());
        self.write_values(step(clock.frames), vec![value])
    }

    /// Writes which charts the CUSTOM SCALARS page shows.
    pub fn write_layout(&mut self, categories: &[Category]) -> Result<()> {
        self.write_values(self.first_step, vec![layout::layout(categories)?])
    }

    fn write_values(&mut self, step: i64, values: Vec<Summary_Value>) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut summary = Summary::new();
        summary.set_value(values.into());
        let mut event = Event::new();
        event.set_summary(summary);
        self.write_event(step, event)
    }

    fn write_event(&mut self, step: i64, mut event: Event) -> Result<()> {
        event.set_step(step);
        event.set_wall_time(unix_seconds());
        let bytes = event.write_to_bytes().map_err(io::Error::other)?;
        Ok(self.records.write(&bytes).map_err(at(&self.path))?)
    }
}

impl Sink for TensorBoardSink {
    fn write(&mut self, clock: &Clock, _wall_s: f64, metrics: &Metrics) -> Result<()> {
        let mut values = Vec::new();
        for (tag, value) in metrics.iter() {
            summary::append(&mut values, tag, value)?;
        }
        self.write_values(step(clock.frames), values)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.records.flush().map_err(at(&self.path))?)
    }
}

fn step(frames: u64) -> i64 {
    i64::try_from(frames).unwrap_or(i64::MAX)
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Counts what is written; tensorboard-rs's writer does not hand out the file below it.
struct Counted {
    file: BufWriter<File>,
    written: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_a_position_is_taken_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut sink = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink");
        let write = |sink: &mut TensorBoardSink| {
            let mut metrics = Metrics::default();
            metrics.scalar("loss", 1.0);
            sink.write(&Clock::default(), 0.0, &metrics)
                .and_then(|()| sink.flush())
                .expect("a row");
            (sink.path.clone(), fs::read(&sink.path).expect("a file"))
        };
        let (first, early) = write(&mut sink);
        let position = sink.position();
        assert_eq!(position.bytes, early.len() as u64);
        write(&mut sink);
        let resumed = Start::Resumed { frames: 0 };
        let mut second = TensorBoardSink::create(dir.path(), resumed).expect("a sink");
        let (second, _) = write(&mut second);
        let beside = TensorBoardSink::beside(dir.path(), "rank").expect("a sink").path;
        cut(dir.path(), Some(&position)).expect("cut");
        assert_eq!(fs::read(&first).expect("a file"), early);
        assert!(!second.exists() && beside.exists());
        cut(dir.path(), None).expect("cut");
        assert!(!first.exists() && beside.exists());
    }

    #[test]
    fn further_measurements_take_the_place_of_their_own_former_ones() {
        let dir = tempfile::tempdir().expect("a folder");
        let own = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink").path;
        let beside = |name: &str| TensorBoardSink::beside(dir.path(), name).expect("a sink").path;
        let (units, rank) = (beside("units"), beside("rank"));
        assert!(TensorBoardSink::is_beside(dir.path(), "units").expect("a folder"));
        assert!(!TensorBoardSink::is_beside(dir.path(), "nits").expect("a folder"));
        let aside = dir.path().join("aside");
        let again = TensorBoardSink::beside(&aside, "units").expect("a sink").path;
        assert!(units.exists(), "until it is put there");
        fs::write(&units, "former").expect("writable");
        TensorBoardSink::put_beside(&again, dir.path(), "units").expect("moved");
        let place = dir.path().join(again.file_name().expect("a name"));
        assert_ne!(fs::read(&place).expect("there"), b"former");
        assert!(place == units || !units.exists(), "{}", units.display());
        assert!([own, rank].iter().all(|path| path.exists()) && !again.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("a file");
        let error = TensorBoardSink::create(&file.join("tb"), Start::Fresh).map(|_| ());
        let message = error.expect_err("a file is no folder").to_string();
        assert!(message.contains("file/tb"), "{message}");
    }
}
