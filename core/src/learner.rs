//! All that learning changes, and one learning step.

use tch::Tensor;

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
    /// Returns the loss with all extra terms, which has been read anyway. An error if it is not a
    /// finite number (no parameter has changed then), or if an intervention fails.
    pub fn update(
        &mut self,
        loss: Tensor,
        batch: &UpdateBatch<'_>,
        target_period_updates: u64,
        interventions: &mut Interventions,
        clock: &mut Clock,
        metrics: &mut Metrics,
    ) -> Result<f64> {
        let mut context = Context { clock, batch, metrics };
        let loss = interventions.add_losses(loss, self, &mut context)?;
        let value = self.finite_value(&loss)?;
        self.online.variables().zero_grad();
        loss.backward();
        interventions.call(&mut context, |part, hook| part.after_backward(self, hook))?;
        self.optimizer.step(self.online.variables());
        self.updates += 1;
        clock.updates += 1;
        let mut context = Context { clock, batch, metrics };
        interventions.call(&mut context, |part, hook| part.after_update(self, hook))?;
        if crossings(target_period_updates, self.updates - 1, self.updates) > 0 {
            self.target.variables().copy_from(self.online.variables());
            interventions.call(&mut context, |part, hook| part.on_target_update(self, hook))?;
        }
        Ok(value)
    }

    fn finite_value(&self, loss: &Tensor) -> Result<f64> {
        let value = loss.double_value(&[]);
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::Invalid(format!(
            "the loss of update {} is {value}: the learning rate may be too high",
            self.updates + 1
        )))
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
        self.updates = state.get("updates")?;
        state.load_part("online", &mut self.online)?;
        state.load_part("target", &mut self.target)?;
        state.load_part("optimizer", self.optimizer.as_mut())?;
        self.optimizer.moments().check(self.online.variables())?;
        self.optimizer.moments_mut().move_to(self.online.device());
        Ok(())
    }
}
