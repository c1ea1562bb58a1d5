//! Who looks on while probes measure.

use std::sync::atomic::{AtomicBool, Ordering};

use pliant_core::probe::Watch;

use crate::sinks::Progress;

/// Shows how far a measurement is, and ends it when the program is to stop.
pub struct Onlooker<'a> {
    /// Where it is shown.
    pub progress: &'a Progress,
    /// Raised by whoever wants an end of it.
    pub stop: &'a AtomicBool,
}

impl Watch for Onlooker<'_> {
    fn progress(&self, name: &str, done: u64, total: u64) {
        self.progress.beside(name, done, total);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
