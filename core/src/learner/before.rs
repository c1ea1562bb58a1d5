//! What there was before an update, to go back to.

use super::Learner;
use crate::{
    error::Result,
    intervention::Interventions,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};

/// A learner and its interventions before an update, as far as the update may change them.
///
/// Most updates change nothing until the loss and the gradients are known to be finite, and sound gradients
/// make sound steps: of those nothing is copied but the state of random streams.
pub(super) struct Before {
    everything: Option<(Learner, StateDict)>,
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
        let mut before = Self { everything: None, streams: interventions.streams(), clock_updates };
        if with_everything {
            before.add_everything(learner, interventions);
        }
        before
    }

    /// Copies learner and interventions if that is not done, while nothing but gradients has changed.
    pub(super) fn add_everything(&mut self, learner: &Learner, interventions: &Interventions) {
        self.everything.get_or_insert_with(|| {
            let mut state = StateDict::default();
            interventions.save(&mut state);
            (learner.fork(), state)
        });
    }

    /// True if a step can be taken back.
    pub(super) fn has_everything(&self) -> bool {
        self.everything.is_some()
    }

    /// Makes all of it as it was.
    pub(super) fn restore(
        self,
        learner: &mut Learner,
        interventions: &mut Interventions,
        clock_updates: &mut u64,
    ) -> Result<()> {
        if let Some((before, state)) = self.everything {
            *learner = before;
            interventions.load(&state)?;
        }
        interventions.set_streams(self.streams);
        *clock_updates = self.clock_updates;
        Ok(())
    }
}
