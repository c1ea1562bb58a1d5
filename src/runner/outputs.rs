//! Where a run's metrics go, and how far they have been written.

use pliant_core::{
    clock::Clock,
    metrics::{Metrics, Value},
    sink::Sink,
};
use serde::{Deserialize, Serialize};

use crate::{
    failure::Outcome,
    sinks::{Progress, TensorBoardSink, tensorboard},
};

/// Where a run's metrics go.
pub struct Outputs {
    /// Take every metric.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Takes in addition what depends on the machine's speed.
    pub tensorboard: Option<TensorBoardSink>,
    /// Shows where the run stands.
    pub progress: Progress,
    /// The frames of the last row, and how many rows have these.
    last_rows: (u64, u64),
}

/// How far a run's files were written when a checkpoint was taken. A run that goes on from it takes what came
/// after out of them, or it would stand there twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Rows of `metrics.csv` at the checkpoint's own frames.
    pub rows: u64,
    /// The event file that was being written.
    pub events: Option<tensorboard::Position>,
}

impl Position {
    /// Of files of which all is to stay: those of a finished run that goes on.
    pub fn end(self) -> Self {
        Self { rows: u64::MAX, events: None }
    }
}

impl Outputs {
    /// Outputs that go on from a checkpoint at `frames`, or begin with the default one.
    pub fn new(
        sinks: Vec<Box<dyn Sink>>,
        tensorboard: Option<TensorBoardSink>,
        progress: Progress,
        (frames, position): (u64, &Position),
    ) -> Self {
        Self { sinks, tensorboard, progress, last_rows: (frames, position.rows) }
    }

    /// Outputs that take nothing.
    pub fn none() -> Self {
        Self::new(Vec::new(), None, Progress::quiet(), (0, &Position::default()))
    }

    /// Writes metrics to all of them.
    pub fn write(&mut self, clock: &Clock, wall_s: f64, metrics: &Metrics) -> Outcome {
        if metrics.is_empty() {
            return Ok(());
        }
        let rows = metrics.iter().filter(|(_, value)| matches!(value, Value::Scalar(_))).count();
        self.last_rows = (clock.frames, self.rows_at(clock).saturating_add(rows as u64));
        for sink in self.all() {
            sink.write(clock, wall_s, metrics)?;
        }
        Ok(())
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> Outcome {
        for sink in self.all() {
            sink.flush()?;
        }
        Ok(())
    }

    /// How far they have been written; to be asked after a flush.
    pub fn position(&self, clock: &Clock) -> Position {
        let events = self.tensorboard.as_ref().map(TensorBoardSink::position);
        Position { rows: self.rows_at(clock), events }
    }

    /// True if they hold what came after the checkpoint that the run goes on from, and keep it.
    pub fn are_ahead(&self) -> bool {
        self.last_rows.1 == u64::MAX
    }

    fn rows_at(&self, clock: &Clock) -> u64 {
        if self.last_rows.0 == clock.frames { self.last_rows.1 } else { 0 }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut dyn Sink> {
        let tensorboard = self.tensorboard.iter_mut().map(|sink| sink as &mut dyn Sink);
        self.sinks.iter_mut().map(|sink| &mut **sink as &mut dyn Sink).chain(tensorboard)
    }
}
