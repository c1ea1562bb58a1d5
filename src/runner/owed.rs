//! What a step leaves to do once its clock has moved: measurements, rows of the log, an evaluation. A stop may come in the
//! middle; what is then not done is owed, goes into the checkpoint, and is done when the run goes on.

use pliant_core::{
    clock::{Clock, Every},
    metrics::Metrics,
};
use serde::{Deserialize, Serialize};

use super::Runner;
use crate::{config::Config, failure::Outcome};

/// In the order in which it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owed {
    /// The probes that came due since this clock.
    pub measure_since: Option<Clock>,
    /// The averages since the last log.
    pub log: bool,
    /// An evaluation.
    pub evaluate: bool,
}

impl Owed {
    /// What came due between two readings of the clock.
    pub fn since(before: &Clock, now: &Clock, config: &Config) -> Self {
        let is_due = |every_frames| Every::Frames(every_frames).is_due(before, now);
        Self {
            measure_since: Some(*before),
            log: is_due(config.log.every_frames),
            evaluate: is_due(config.eval.every_frames) && now.frames < config.run.budget_frames,
        }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Runner {
    /// Does what is owed, until it is done or a stop comes.
    pub(super) fn settle(&mut self) -> Outcome {
        if let Some(before) = self.owed.measure_since {
            let mut metrics = Metrics::default();
            let is_whole = self.measure(&before, &mut metrics)?;
            self.write_metrics(&metrics)?;
            if !is_whole {
                return Ok(());
            }
            self.owed.measure_since = None;
        }
        if self.owed.log {
            self.log()?;
            self.owed.log = false;
        }
        if self.owed.evaluate {
            self.owed.evaluate = self.evaluate()?.is_none();
        }
        Ok(())
    }
}
