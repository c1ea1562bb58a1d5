//! One update, and what becomes of it where numbers went wrong.

use pliant_core::{
    clock::Clock,
    error::{Error, Result},
    head::{Target, select_action},
    intervention::{Interventions, UpdateBatch},
    learner::{Learner, Losses},
    metrics::Metrics,
    network::Taps,
    not_finite::{FailedUpdate, NotFinite},
    probe::Transitions,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use super::{DoubleDqn, double_q};

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
pub(super) struct Skipped {
    /// Since the run began.
    pub total: u64,
    /// Since the last one that was made.
    pub in_a_row: u64,
}

/// An update that was made.
pub(super) struct Made {
    pub losses: Losses,
    pub target: Target,
    /// The Q-values of the actions taken, f32 `[batch]`.
    pub q_a_tm1: Tensor,
}

impl DoubleDqn {
    /// One update on these transitions. Where numbers go wrong all is as before.
    pub(super) fn attempt(
        &mut self,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
        metrics: &mut Metrics,
    ) -> Result<Made> {
        let passed = Passed::before(&self.learner, &self.dropout);
        let (mut taps, device) = (Taps::default(), self.learner.online.device());
        let Self { learner, dropout, precision, .. } = self;
        let target = precision.compute(device, || double_q(learner, batch));
        let outputs = precision.compute(device, || {
            learner.online.forward_training(&batch.s_tm1, dropout, Some(&mut taps))
        });
        let head = self.learner.online.head();
        let losses = head.loss(&outputs, &batch.a_tm1, &target, self.config.td_loss);
        let q_tm1 = head.q_values(&outputs.detach());
        let period = self.config.target_period_updates;
        let loss = losses.mean(Kind::Float);
        let seen = UpdateBatch { observations: &batch.s_tm1, taps: &taps };
        let made = self.learner.update(loss, &seen, period, interventions, clock, metrics);
        if let Err(Error::NotFinite(_)) = made {
            passed.restore(&self.learner, &mut self.dropout);
        }
        let q_a_tm1 = select_action(&q_tm1, &batch.a_tm1);
        made.map(|losses| Made { losses, target, q_a_tm1 })
    }

    /// After an update that went wrong: nothing, if it may be left out, else the error.
    pub(super) fn skip_or_fail(
        &mut self,
        found: NotFinite,
        batch: Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
    ) -> Result<()> {
        let most = match self.config.non_finite {
            OnNotFinite::Stop => 0,
            OnNotFinite::Skip => self.config.max_skipped_in_a_row,
        };
        if self.skipped.in_a_row < most {
            self.skipped.in_a_row += 1;
            self.skipped.total += 1;
            return Ok(());
        }
        let found = self.trace(found, &batch, clock, interventions)?;
        self.failed = Some(FailedUpdate { found: found.clone(), batch });
        Err(Error::NotFinite(Box::new(found)))
    }

    /// Makes the update once more, slowly, to learn where the numbers come from. All is as before afterwards.
    fn trace(
        &mut self,
        found: NotFinite,
        batch: &Transitions,
        clock: &mut Clock,
        interventions: &mut Interventions,
    ) -> Result<NotFinite> {
        let (learner, mut saved) = (self.learner.fork(), StateDict::default());
        interventions.save(&mut saved);
        let (dropout, time) = (self.dropout.clone(), *clock);
        interventions.watch();
        let again = self.attempt(batch, clock, interventions, &mut Metrics::default());
        interventions.unwatch();
        match again {
            Err(Error::NotFinite(traced)) => Ok(*traced),
            Err(other) => Err(other),
            Ok(_) => {
                (self.learner, self.dropout, *clock) = (learner, dropout, time);
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
    fn before(learner: &Learner, dropout: &Stream) -> Self {
        let variables = learner.online.variables().iter();
        let statistics =
            variables.filter(|(_, tensor)| !tensor.requires_grad() && tensor.dim() == 1);
        let copy = |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.copy());
        Self { dropout: dropout.clone(), statistics: statistics.map(copy).collect() }
    }

    fn restore(self, learner: &Learner, dropout: &mut Stream) {
        *dropout = self.dropout;
        for (name, before) in &self.statistics {
            if let Some(tensor) = learner.online.variables().get(name) {
                no_grad(|| tensor.shallow_clone().copy_(before));
            }
        }
    }
}
