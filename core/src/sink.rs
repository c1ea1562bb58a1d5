//! Where metrics go: event files, tables, the terminal.

use crate::{clock::Clock, error::Result, metrics::Metrics};

/// A destination of metrics.
pub trait Sink {
    /// Takes in measurements made at `clock`, `wall_s` seconds into the run.
    fn write(&mut self, clock: &Clock, wall_s: f64, metrics: &Metrics) -> Result<()>;

    /// Makes what was written visible to readers.
    fn flush(&mut self) -> Result<()>;
}
