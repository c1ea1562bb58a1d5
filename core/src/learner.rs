//! All that learning changes, and one learning step.

use tch::{Kind, Tensor, no_grad};

use crate::{
    clock::{Clock, crossings},
    error::{Error, Result},
    intervention::{Context, Interventions, UpdateBatch},
    metrics::Metrics,
    network::Model,
    optimizer::Optimizer,
    state::{Checkpoint, StateDict},
};

/// Online and target network and the optimiser.
pub struct Learner {
    /// The network that is trained and acts.
    pub online: Model,
    /// The lagged copy that values next states.
    pub target: Model,
    /// Changes the online network.
    pub optimizer: Box<dyn Optimizer>,
    /// Optimiser steps made.
    pub updates: u64,
}

impl Learner {
    /// A learner whose target network starts equal to the online network.
    pub fn new(online: Model, optimizer: Box<dyn Optimizer>) -> Self {
        let target = online.fork();
        Self { online, target, optimizer, updates: 0 }
    }

    /// A deep copy that shares nothing: whatever is done to it leaves this one as it is.
    pub fn fork(&self) -> Self {
        Self {
            online: self.online.fork(),
            target: self.target.fork(),
            optimizer: self.optimizer.fork(),
            updates: self.updates,
        }
    }

    /// One update: extra losses, backward, hooks, optimiser step, and every `target_period_updates`
    /// the copy to the target network. `loss` is a scalar tensor, computed on `batch`.
    ///
    /// Returns the losses, which have been read anyway. An error if one is not a finite number (no
    /// parameter has changed then), or if an intervention fails.
    pub fn update(
        &mut self,
        loss: Tensor,
        batch: &UpdateBatch<'_>,
        target_period_updates: u64,
        interventions: &mut Interventions,
        clock: &mut Clock,
        metrics: &mut Metrics,
    ) -> Result<Losses> {
        let ends_in_target_update =
            crossings(target_period_updates, self.updates, self.updates + 1) > 0;
        let mut context = Context { clock, batch, metrics, ends_in_target_update };
        let penalties = interventions.penalties(self, &mut context)?;
        let losses = Losses::read(&loss, &penalties);
        losses.check(self.updates + 1)?;
        self.online.variables().zero_grad();
        penalties.into_iter().fold(loss, |total, (_, penalty)| total + penalty).backward();
        interventions.call(&mut context, |part, hook| part.after_backward(self, hook))?;
        interventions.call(&mut context, |part, hook| part.before_step(self, hook))?;
        self.optimizer.step(self.online.variables());
        self.updates += 1;
        clock.updates += 1;
        let mut context = Context { clock, batch, metrics, ends_in_target_update };
        interventions.call_in_reverse(&mut context, |part, hook| part.after_step(self, hook))?;
        interventions.call(&mut context, |part, hook| part.after_update(self, hook))?;
        self.online.follow_parameters();
        if ends_in_target_update {
            self.target.variables().copy_from(self.online.variables());
            interventions.call(&mut context, |part, hook| part.on_target_update(self, hook))?;
        }
        Ok(losses)
    }
}

/// The loss of an update, in its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// The agent's own.
    pub primary: f64,
    /// What interventions added, by kind; a second one of a kind has a number behind it.
    pub penalties: Vec<(String, f64)>,
}

impl Losses {
    /// What was stepped on.
    pub fn total(&self) -> f64 {
        self.penalties.iter().fold(self.primary, |total, (_, penalty)| total + penalty)
    }

    /// Waits for the device once.
    fn read(primary: &Tensor, penalties: &[(String, Tensor)]) -> Self {
        let all = penalties.iter().map(|(_, penalty)| penalty);
        let all: Vec<Tensor> = std::iter::once(primary)
            .chain(all)
            .map(|loss| loss.to_device(primary.device()).to_kind(Kind::Double))
            .collect();
        let all = no_grad(|| Tensor::stack(&all, 0));
        let mut values = Vec::<f64>::try_from(&all).expect("one number each").into_iter();
        let primary = values.next().expect("the primary loss comes first");
        let names = penalties.iter().map(|(name, _)| name.clone());
        Self { primary, penalties: names.zip(values).collect() }
    }

    /// An error unless all are finite, that says which is not.
    fn check(&self, update: u64) -> Result<()> {
        if !self.primary.is_finite() {
            return Err(Error::Invalid(format!(
                "the loss of update {update} is {}: the learning rate may be too high",
                self.primary
            )));
        }
        match self.penalties.iter().find(|(_, penalty)| !penalty.is_finite()) {
            None => Ok(()),
            Some((name, penalty)) => Err(Error::Invalid(format!(
                "the term that `{name}` adds to the loss of update {update} is {penalty}"
            ))),
        }
    }
}

impl Checkpoint for Learner {
    fn save(&self, state: &mut StateDict) {
        state.put("updates", &self.updates);
        state.put_part("online", &self.online);
        state.put_part("target", &self.target);
        state.put_part("optimizer", self.optimizer.as_ref());
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.updates = state.count("updates")?;
        state.load_part("online", &mut self.online)?;
        state.load_part("target", &mut self.target)?;
        state.load_part("optimizer", self.optimizer.as_mut())?;
        self.optimizer.moments().check(self.online.variables())?;
        self.optimizer.moments_mut().move_to(self.online.device());
        Ok(())
    }
}
