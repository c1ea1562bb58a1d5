//! Updates, and what becomes of those whose numbers go wrong: the same for every agent.

use pliant_core::{
    clock::Clock,
    error::{Error, Result},
    intervention::Interventions,
    learner::Learner,
    metrics::Metrics,
    not_finite::{FailedUpdate, NotFinite},
    probe::Transitions,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

/// What is done about an update whose loss, gradients or parameters are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNotFinite {
    /// The run ends, with a dump of the update and a checkpoint from before it.
    #[default]
    Stop,
    /// The update is left out and counted in `train/skipped_updates`.
    Skip,
}

/// Updates that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skipped {
    /// Since the run began.
    pub total: u64,
    /// Since the last one that was made.
    pub in_a_row: u64,
}

/// What an agent does about updates that go wrong, and what it has done.
#[derive(Debug)]
pub(crate) struct Failing {
    answer: OnNotFinite,
    max_skipped_in_a_row: u64,
    pub skipped: Skipped,
    /// The one that the run ended at.
    pub failed: Option<FailedUpdate>,
}

impl Failing {
    pub fn new(answer: OnNotFinite, max_skipped_in_a_row: u64) -> Self {
        Self { answer, max_skipped_in_a_row, skipped: Skipped::default(), failed: None }
    }

    pub fn record(&self, metrics: &mut Metrics) {
        if self.answer == OnNotFinite::Skip {
            metrics.scalar("train/skipped_updates", self.skipped.total as f64);
        }
    }

    /// True if one more may be left out, which is then counted.
    fn skips(&mut self) -> bool {
        let most = match self.answer {
            OnNotFinite::Stop => 0,
            OnNotFinite::Skip => self.max_skipped_in_a_row,
        };
        let may = self.skipped.in_a_row < most;
        if may {
            self.skipped.in_a_row += 1;
            self.skipped.total += 1;
        }
        may
    }
}

/// What an update may change of an agent.
pub(crate) struct Changed<'a> {
    pub learner: &'a mut Learner,
    pub dropout: &'a mut Stream,
    pub failing: &'a mut Failing,
}

/// An agent that learns from batches.
pub(crate) trait Attempt {
    /// What an update that was made leaves behind.
    type Made;

    /// One training pass and the update on its loss.
    fn pass(
        &mut self,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<Self::Made>;

    /// What [`Self::pass`] may change.
    fn changed(&mut self) -> Changed<'_>;

    /// One update on these transitions. Where numbers go wrong all is as before.
    fn attempt(
        &mut self,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<Self::Made> {
        let passed = Passed::before(&self.changed());
        let made = self.pass(batch, clock, interventions, metrics);
        if let Err(Error::NotFinite(_)) = made {
            passed.restore(self.changed());
        }
        made
    }

    /// The same; `None` if numbers went wrong and the update may be left out. Otherwise it is kept, and its error says
    /// where the numbers come from.
    fn attempt_or_skip(
        &mut self,
        batch: Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<Option<Self::Made>> {
        match self.attempt(&batch, clock, interventions, metrics) {
            Ok(made) => {
                self.changed().failing.skipped.in_a_row = 0;
                Ok(Some(made))
            }
            Err(Error::NotFinite(_)) if self.changed().failing.skips() => Ok(None),
            Err(Error::NotFinite(found)) => {
                let found = self.trace(*found, &batch, clock, interventions)?;
                // Its place may be used again.
                let failed = FailedUpdate { found: found.clone(), batch: batch.copied() };
                self.changed().failing.failed = Some(failed);
                Err(Error::NotFinite(Box::new(found)))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the update once more, slowly, to learn where the numbers come from. All is as before afterwards.
    fn trace(
        &mut self,
        found: NotFinite,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
    ) -> Result<NotFinite> {
        let Changed { learner, dropout, .. } = self.changed();
        let (learner, dropout, time) = (learner.fork(), dropout.clone(), *clock);
        let mut saved = StateDict::default();
        interventions.save(&mut saved);
        interventions.watch();
        let again = self.attempt(batch, clock, interventions, &mut Metrics::default());
        interventions.unwatch();
        match again {
            Err(Error::NotFinite(traced)) => Ok(*traced),
            Err(other) => Err(other),
            Ok(_) => {
                let changed = self.changed();
                (*changed.learner, *changed.dropout, *clock) = (learner, dropout, time);
                interventions.load(&saved)?;
                Ok(NotFinite { by: Some(ONCE.to_owned()), ..found })
            }
        }
    }
}

/// Stands for whose the numbers are where they do not come again.
const ONCE: &str = "what did not happen when the same update was made once more (faulty memory, or a device \
                    that adds in no fixed order)";

/// What a training pass changes: the stream of dropout, running statistics.
struct Passed {
    dropout: Stream,
    statistics: Vec<(String, Tensor)>,
}

impl Passed {
    fn before(changed: &Changed<'_>) -> Self {
        let variables = changed.learner.online.variables().iter();
        let statistics =
            variables.filter(|(_, tensor)| !tensor.requires_grad() && tensor.dim() == 1);
        let copy = |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.copy());
        Self { dropout: changed.dropout.clone(), statistics: statistics.map(copy).collect() }
    }

    fn restore(self, changed: Changed<'_>) {
        let Changed { learner, dropout, .. } = changed;
        *dropout = self.dropout;
        for (name, before) in &self.statistics {
            if let Some(tensor) = learner.online.variables().get(name) {
                no_grad(|| tensor.shallow_clone().copy_(before));
            }
        }
    }
}
