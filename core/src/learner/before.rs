//! What there was before an update, to go back to.

use super::Learner;
use crate::{
    error::Result, intervention::Interventions, seeds::Stream, state::Checkpoint, state::StateDict,
};

/// A learner and its interventions before an update, as far as the update may change them.
///
/// Most updates change nothing until the loss and the gradients are known to be finite, and sound gradients
/// make sound steps: of those nothing is copied but the state of random streams.
pub(super) struct Before {
    learner: Option<Learner>,
    interventions: Option<StateDict>,
    streams: Vec<Stream>,
    clock_updates: u64,
}

impl Before {
    /// With everything, or with streams alone.
    pub(super) fn of(
        learner: &Learner,
        interventions: &Interventions,
        clock_updates: u64,
        with_everything: bool,
    ) -> Self {
        let state = || {
            let mut state = StateDict::default();
            interventions.save(&mut state);
            state
        };
        Self {
            learner: with_everything.then(|| learner.fork()),
            interventions: with_everything.then(state),
            streams: interventions.streams(),
            clock_updates,
        }
    }

    /// True if a step can be taken back.
    pub(super) fn has_learner(&self) -> bool {
        self.learner.is_some()
    }

    /// Copies the learner late, directly before a step.
    pub(super) fn add_learner(&mut self, learner: &Learner) {
        self.learner = Some(learner.fork());
    }

    /// Makes all of it as it was.
    pub(super) fn restore(
        self,
        learner: &mut Learner,
        interventions: &mut Interventions,
        clock_updates: &mut u64,
    ) -> Result<()> {
        if let Some(before) = self.learner {
            *learner = before;
        }
        if let Some(before) = self.interventions {
            interventions.load(&before)?;
        }
        interventions.set_streams(self.streams);
        *clock_updates = self.clock_updates;
        Ok(())
    }
}
