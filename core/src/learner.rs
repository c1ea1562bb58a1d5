//! All that learning changes, and one learning step.

mod before;

use before::Before;
use pliant_torch_ext::magnitude;
use tch::{Kind, Tensor, no_grad};

use crate::{
    clock::{Clock, crossings},
    error::{Error, Result},
    intervention::{Context, Interventions, UpdateBatch},
    metrics::Metrics,
    network::Model,
    not_finite::{BadTensor, NotFinite, Stage, learned},
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
    /// Returns the losses, which have been read anyway. An error if an intervention fails, or if the loss,
    /// gradients or parameters are not finite numbers ([`Error::NotFinite`]): the learner and the
    /// interventions are then what they were before.
    ///
    /// The device is waited for once, after the backward pass; once more at the end where the learner
    /// was copied before the step, because it is not sure that it leaves finite numbers
    /// ([`Intervention::is_risky`], [`Optimizer::safe_gradient`]).
    ///
    /// [`Intervention::is_risky`]: crate::intervention::Intervention::is_risky
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
        let is_risky = interventions.are_risky(self.updates + 1, ends_in_target_update);
        let mut before = Before::of(self, interventions, clock.updates, is_risky);
        let round = Round { batch, ends_in_target_update, update: self.updates + 1 };
        let made = self.attempt(loss, &round, &mut before, interventions, clock, metrics);
        if let Err(Error::NotFinite(_)) = made {
            before.restore(self, interventions, &mut clock.updates)?;
        }
        made
    }

    fn attempt(
        &mut self,
        loss: Tensor,
        round: &Round<'_>,
        before: &mut Before,
        interventions: &mut Interventions,
        clock: &mut Clock,
        metrics: &mut Metrics,
    ) -> Result<Losses> {
        let &Round { batch, ends_in_target_update, update } = round;
        let mut context = Context { update, clock, batch, metrics, ends_in_target_update };
        let penalties = interventions.penalties(self, &mut context)?;
        self.online.variables().zero_grad();
        let terms = penalties.iter().map(|(_, penalty)| penalty);
        let primary = loss.detach();
        terms.fold(loss, |total, penalty| total + penalty).backward();
        interventions.look(self, update, "the backward pass")?;
        let hooked = interventions
            .call(self, &mut context, |part, own, hook| part.after_backward(own, hook));
        let (losses, size) = Losses::read(&primary, &penalties, &magnitude(&self.gradients()));
        losses.check(update)?; // before a hook's error: it may be a consequence
        hooked?;
        self.check_gradients(size, update)?;
        if size >= self.optimizer.safe_gradient() {
            before.add_everything(self, interventions);
        }
        interventions.call(self, &mut context, |part, own, hook| part.before_step(own, hook))?;
        self.optimizer.step(self.online.variables());
        self.updates += 1;
        clock.updates += 1;
        interventions.look(self, update, "the step of the optimizer")?;
        let mut context = Context { update, clock, batch, metrics, ends_in_target_update };
        interventions
            .call_in_reverse(self, &mut context, |part, own, hook| part.after_step(own, hook))?;
        interventions.call(self, &mut context, |part, own, hook| part.after_update(own, hook))?;
        self.online.follow_parameters();
        if ends_in_target_update {
            self.target.variables().copy_from(self.online.variables());
            interventions
                .call(self, &mut context, |part, own, hook| part.on_target_update(own, hook))?;
        }
        if before.has_everything() {
            self.check_learned(update, None)?;
        }
        Ok(losses)
    }

    fn gradients(&self) -> Vec<Tensor> {
        self.online.variables().with_gradients().map(|(_, variable)| variable.grad()).collect()
    }

    /// An error if gradients whose magnitude is `size` are not finite.
    fn check_gradients(&self, size: f64, update: u64) -> Result<()> {
        if size.is_finite() { Ok(()) } else { self.examine_gradients(update, None) }
    }

    /// An error if gradients, parameters or moments are not finite.
    pub(crate) fn look(&self, update: u64, by: &str) -> Result<()> {
        self.examine_gradients(update, Some(by))?;
        self.check_learned(update, Some(by))
    }

    fn examine_gradients(&self, update: u64, by: Option<&str>) -> Result<()> {
        let named = self.online.variables().with_gradients();
        let named: Vec<(String, Tensor)> =
            named.map(|(name, variable)| (format!("`{name}`"), variable.grad())).collect();
        NotFinite::check(update, Stage::Gradients, by, &named)
    }

    /// An error if parameters or moments are not finite.
    fn check_learned(&self, update: u64, by: Option<&str>) -> Result<()> {
        let named = learned(self);
        let all: Vec<Tensor> = named.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
        if magnitude(&all).double_value(&[]).is_finite() {
            return Ok(());
        }
        NotFinite::check(update, Stage::Parameters, by, &named)
    }
}

/// What is the same all through an update.
struct Round<'a> {
    batch: &'a UpdateBatch<'a>,
    ends_in_target_update: bool,
    update: u64,
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

    /// Waits for the device once, and reads one number more with the losses.
    fn read(primary: &Tensor, penalties: &[(String, Tensor)], more: &Tensor) -> (Self, f64) {
        let all = penalties.iter().map(|(_, penalty)| penalty);
        let all: Vec<Tensor> = [primary, more]
            .into_iter()
            .chain(all)
            .map(|loss| loss.to_device(primary.device()).to_kind(Kind::Double))
            .collect();
        let all = no_grad(|| Tensor::stack(&all, 0));
        let mut values = Vec::<f64>::try_from(&all).expect("one number each").into_iter();
        let mut next = || values.next().expect("one number each");
        let (primary, more) = (next(), next());
        let names = penalties.iter().map(|(name, _)| name.clone());
        (Self { primary, penalties: names.zip(values).collect() }, more)
    }

    /// An error unless all are finite, that says which is not.
    fn check(&self, update: u64) -> Result<()> {
        let terms = self.penalties.iter().map(|(name, value)| (Some(name), *value));
        let mut all = std::iter::once((None, self.primary)).chain(terms);
        let Some((by, value)) = all.find(|(_, value)| !value.is_finite()) else { return Ok(()) };
        let tensors = BadTensor::of(value.to_string(), &Tensor::from(value)).into_iter().collect();
        let (stage, by) = (Stage::Loss, by.cloned());
        Err(Error::NotFinite(Box::new(NotFinite { update, stage, by, tensors })))
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
