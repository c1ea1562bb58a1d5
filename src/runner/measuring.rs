//! Probes in a run.

use std::time::Instant;

use pliant_core::{clock::Clock, metrics::Metrics, probe::Subject};

use super::Runner;
use crate::{failure::Outcome, onlooker::Onlooker};

/// Measurements that take longer are told of.
const WORTH_A_WORD_S: f64 = 10.0;

impl Runner {
    /// Lets the probes that came due since `before` measure; false if a stop came first.
    pub(super) fn measure(&mut self, before: &Clock, metrics: &mut Metrics) -> Outcome<bool> {
        let (clock, started) = (self.clock, Instant::now());
        let agent = self.experiment.agent.as_ref();
        let watch = Onlooker { progress: &self.outputs.progress, stop: &self.stop };
        let subject = Subject {
            learner: agent.learner(),
            data: agent.data(),
            states: self.experiment.states.as_deref(),
            clock: &clock,
            watch: &watch,
        };
        let is_whole = self.experiment.probes.measure_due(before, &subject, metrics)?;
        let took_s = started.elapsed().as_secs_f64();
        if took_s >= WORTH_A_WORD_S {
            let updates = clock.updates;
            self.outputs
                .progress
                .println(&format!("probes took {took_s:.0} s at update {updates}"));
        }
        Ok(is_whole)
    }
}
