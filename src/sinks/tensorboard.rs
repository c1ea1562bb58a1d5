//! TensorBoard event files.
//!
//! A file of our own below tensorboard-rs's record writer: its `SummaryWriter` truncates the file
//! of another one opened in the same second, and panics on I/O errors.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use pliant_core::{clock::Clock, error::Result, metrics::Metrics, sink::Sink};
use protobuf::Message;
use tensorboard_proto::{
    event::{Event, SessionLog, SessionLog_SessionStatus as SessionStatus},
    summary::{Summary, Summary_Value},
};
use tensorboard_rs::record_writer::RecordWriter;

use super::at;

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
    /// A run that goes on from a checkpoint: TensorBoard drops the points after it that the
    /// earlier files hold. (Its fast loader, the default, does so series by series, from the first
    /// new point on; `--load_fast=false` drops them all at once.)
    Resumed {
        /// The checkpoint's frames.
        frames: u64,
    },
}

/// Writes one event file. The step of its points is the clock's frames.
pub struct TensorBoardSink {
    records: RecordWriter<BufWriter<File>>,
    path: PathBuf,
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

    /// Opens an event file for further measurements of the run in `dir`, beside its own: it ends in
    /// `.NAME` and takes the place of those that do.
    pub fn beside(dir: &Path, name: &str) -> Result<Self> {
        let ending = format!(".{name}");
        let sink = Self::open(dir, &ending, 0)?;
        for former in event_files(dir)?.filter(|file| file.ends_with(&ending)) {
            let path = dir.join(former);
            if path != sink.path {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(sink)
    }

    fn open(dir: &Path, ending: &str, first_step: i64) -> Result<Self> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let (file, path) = create_event_file(dir, ending)?;
        let records = RecordWriter::new(BufWriter::new(file));
        let mut sink = Self { records, path, first_step };
        let mut version = Event::new();
        version.set_file_version("brain.Event:2".to_owned());
        sink.write_event(first_step, version)?;
        Ok(sink)
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
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

/// Names with later seconds are nobody's clock; with ten digits names are in the order of their seconds.
const LAST_SECOND: u64 = 9_999_999_998;

/// What the names of event files begin with.
const PREFIX: &str = "events.out.tfevents.";

/// Creates `events.out.tfevents.<unix seconds>.<host>.<pid>.<n><ending>`.
///
/// TensorBoard reads a folder's files in the order of their names, so a new one comes at least a
/// second after those that are there, however the machine's clock was set.
fn create_event_file(dir: &Path, ending: &str) -> Result<(File, PathBuf)> {
    let seconds_of = |name: String| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok();
    let known = event_files(dir)?.filter_map(seconds_of).filter(|seconds| *seconds <= LAST_SECOND);
    let newest: u64 = known.max().unwrap_or(0);
    let seconds = (unix_seconds() as u64).max(newest + 1);
    let host = gethostname::gethostname();
    let host = host.to_string_lossy().replace(['/', '\\'], "-");
    let pid = std::process::id();
    let mut n = 0;
    loop {
        let path = dir.join(format!("{PREFIX}{seconds:010}.{host}.{pid}.{n}{ending}"));
        match File::create_new(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(at(&path)(error).into()),
        }
    }
}

/// The names of a folder's event files.
fn event_files(dir: &Path) -> Result<impl Iterator<Item = String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        names.extend(entry.map_err(at(dir))?.file_name().into_string());
    }
    Ok(names.into_iter().filter(|name| name.starts_with(PREFIX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_comes_after_those_that_are_there() {
        let dir = tempfile::tempdir().expect("a folder");
        // From a machine whose clock is ahead.
        let ahead = dir.path().join("events.out.tfevents.9000000000.zzz.1.0");
        fs::write(&ahead, "").expect("a file");
        let sink = || TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink");
        let files = [ahead, sink().path, sink().path];
        assert!(files.is_sorted_by(|a, b| a < b), "{files:?}");
    }

    pliant_fuzzing::surfaces! { folders_of_damaged_event_files_are_gone_on_with: 3_000 }

    fn folders_of_damaged_event_files_are_gone_on_with(cases: std::ops::Range<u64>) {
        pliant_fuzzing::Surface::new("event files").check(cases, |damage| {
            let dir = tempfile::tempdir().expect("a folder");
            let first = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink").path;
            let whole = fs::read(&first).expect("a file");
            let name = first.file_name().and_then(|name| name.to_str()).expect("a name");
            let name: String = damage.text(name).chars().filter(|letter| !"/\0".contains(*letter)).take(80).collect();
            let damaged = dir.path().join(format!("{PREFIX}{name}"));
            let torn = damage.bytes(&whole, &[]);
            fs::write(&damaged, &torn).expect("written");
            let sink = TensorBoardSink::create(dir.path(), Start::Resumed { frames: u64::MAX });
            let path = sink.map(|sink| sink.path().to_owned());
            assert!(fs::read(&damaged).expect("still there") == torn, "an earlier file was changed");
            path.map_err(|error| crate::failure::legible(&error.to_string())).into()
        });
    }

    #[test]
    fn further_measurements_take_the_place_of_their_own_former_ones() {
        let dir = tempfile::tempdir().expect("a folder");
        let own = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink").path;
        let beside = |name: &str| TensorBoardSink::beside(dir.path(), name).expect("a sink").path;
        let (units, again, rank) = (beside("units"), beside("units"), beside("rank"));
        assert!(!units.exists(), "{}", units.display());
        assert!([own, again, rank].iter().all(|path| path.exists()));
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
