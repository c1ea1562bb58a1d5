//! All that learning changes, and one learning step.

mod before;

use before::Before;
use pliant_torch_ext::{magnitude, set_gradient};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    clock::{Clock, crossings},
    error::{Error, Result},
    intervention::{Context, Interventions, UpdateBatch},
    metrics::Metrics,
    network::{Model, Taps},
    not_finite::{BadTensor, NotFinite, Stage, learned},
    optimizer::Optimizer,
    probe::Transitions,
    recording::{Made, Recorder, Signature},
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
    passes: Recorder<Derived>,
    steps: Recorder<()>,
}

/// A training pass of which an update is to be made.
#[derive(Debug)]
pub struct Forward {
    /// What is to become less: a scalar, with its graph.
    pub loss: Tensor,
    /// What else is to be known of the pass, f64 `[n]`: read together with the loss, so that the device is
    /// waited for once.
    pub also: Tensor,
    /// The activations of the loss's own pass.
    pub taps: Taps,
}

/// How an agent learns from a batch.
pub struct Training<'a> {
    /// The training pass: the same operations each time, on the batch and on what the learner holds.
    pub forward: &'a mut dyn FnMut(&Learner, &Transitions) -> Forward,
    /// Done when the device has been told of the pass, before anything of it is read.
    pub meanwhile: &'a mut dyn FnMut(),
}

/// A pass whose gradients have been computed.
struct Derived {
    /// f64 `[2 + n]`: loss, magnitude of all gradients, what else was to be known.
    numbers: Tensor,
    /// Of the online network's parameters, in order; undefined where none came.
    gradients: Vec<Tensor>,
    taps: Taps,
}

impl Made for Derived {
    fn share(&self) -> Self {
        let Self { numbers, gradients, taps } = self;
        Self { numbers: numbers.share(), gradients: gradients.share(), taps: taps.share() }
    }
}

impl Learner {
    /// A learner whose target network starts equal to the online network.
    pub fn new(online: Model, optimizer: Box<dyn Optimizer>) -> Self {
        let (target, device) = (online.fork(), online.device());
        let (passes, steps) = (Recorder::new(device, false), Recorder::new(device, false));
        Self { online, target, optimizer, updates: 0, passes, steps }
    }

    /// Whether updates on a GPU may be launched as recorded CUDA graphs, as far as interventions and the
    /// optimiser allow: the same numbers but for rounding. At first they may not.
    pub fn set_recording(&mut self, is_on: bool) {
        let device = self.online.device();
        self.passes = Recorder::new(device, is_on);
        self.steps = Recorder::new(device, is_on);
    }

    /// True if pass and step of the latest update came from recordings.
    pub fn has_recorded(&self) -> bool {
        self.passes.has_recorded() && self.steps.has_recorded()
    }

    /// From here on, passes are computed as they come, since they draw random numbers.
    pub fn stop_recording_passes(&mut self) {
        if self.passes.is_on() && self.online.device().is_cuda() {
            tracing::warn!(
                "passes are computed operation by operation, slower than as CUDA graphs: they draw"
            );
        }
        self.passes.switch_off();
    }

    /// A deep copy that shares nothing: whatever is done to it leaves this one as it is.
    pub fn fork(&self) -> Self {
        Self {
            online: self.online.fork(),
            target: self.target.fork(),
            optimizer: self.optimizer.fork(),
            updates: self.updates,
            passes: self.passes.fresh(),
            steps: self.steps.fresh(),
        }
    }

    /// One update as [`Self::update`] makes it, by a pass on this batch. Where the device is a GPU,
    /// [recording](Self::set_recording) is on, the interventions
    /// [leave gradients alone](crate::intervention::Intervention::leaves_gradients) and batches always lie in
    /// the same place, forward and backward pass are recorded once and launched from then on.
    pub fn update_on(
        &mut self,
        batch: &Transitions,
        training: Training<'_>,
        target_period_updates: u64,
        interventions: &mut Interventions,
        clock: &mut Clock,
        metrics: &mut Metrics,
    ) -> Result<Losses> {
        let (Training { forward, meanwhile }, observations) = (training, &batch.s_tm1);
        let may_record = self.passes.is_on() && self.online.is_recordable();
        if !may_record || interventions.with_gradients().next().is_some() {
            let Forward { loss, also, taps } = forward(self, batch);
            meanwhile();
            let seen = UpdateBatch { observations, taps: &taps };
            let pass = Passed::Forward { loss, also };
            return self.make(pass, &seen, target_period_updates, interventions, clock, metrics);
        }
        let switched_off = Recorder::new(Device::Cpu, false);
        let mut passes = std::mem::replace(&mut self.passes, switched_off);
        let of = |learner: &&mut Self| learner.signature(batch);
        let derived = passes.run(&mut *self, of, |learner| {
            let passed = forward(learner, batch);
            learner.derive(passed)
        });
        self.passes = passes;
        self.put_gradients(&derived.gradients);
        meanwhile();
        let seen = UpdateBatch { observations, taps: &derived.taps };
        let pass = Passed::Derived { numbers: derived.numbers };
        self.make(pass, &seen, target_period_updates, interventions, clock, metrics)
    }

    /// All that a pass depends on.
    fn signature(&self, batch: &Transitions) -> Signature {
        let Transitions { s_tm1, a_tm1, r_t, discount_t, s_t } = batch;
        let networks = [&self.online, &self.target];
        let signature = networks.into_iter().fold(Signature::default(), |signature, network| {
            signature.variables(network.variables())
        });
        signature.tensors([s_tm1, a_tm1, r_t, discount_t, s_t])
    }

    /// Computes the gradients of a pass.
    fn derive(&self, forward: Forward) -> Derived {
        let Forward { loss, also, taps } = forward;
        self.online.variables().zero_grad();
        loss.backward();
        let numbers = numbers(&loss.detach(), &magnitude(&self.gradients()), &also, &[]);
        let gradients = self.online.variables().parameters().map(|(_, own)| own.grad()).collect();
        Derived { numbers, gradients, taps }
    }

    /// Gradients that a recorded pass wrote into its own tensors become those of the variables.
    fn put_gradients(&self, gradients: &[Tensor]) {
        for ((_, variable), gradient) in self.online.variables().parameters().zip(gradients) {
            set_gradient(variable, gradient);
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
        let also = Tensor::zeros([0], (Kind::Double, loss.device()));
        let pass = Passed::Forward { loss, also };
        self.make(pass, batch, target_period_updates, interventions, clock, metrics)
    }

    fn make(
        &mut self,
        pass: Passed,
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
        let made = self.attempt(pass, &round, &mut before, interventions, clock, metrics);
        if let Err(Error::NotFinite(_)) = made {
            before.restore(self, interventions, &mut clock.updates)?;
        }
        made
    }

    fn attempt(
        &mut self,
        pass: Passed,
        round: &Round<'_>,
        before: &mut Before,
        interventions: &mut Interventions,
        clock: &mut Clock,
        metrics: &mut Metrics,
    ) -> Result<Losses> {
        let &Round { batch, ends_in_target_update, update } = round;
        let mut context = Context { update, clock, batch, metrics, ends_in_target_update };
        let (losses, size, hooked) = match pass {
            Passed::Derived { numbers } => {
                interventions.look(self, update, "the backward pass")?;
                let (losses, size) = Losses::read(&numbers, &[]);
                (losses, size, Ok(()))
            }
            Passed::Forward { loss, also } => {
                let penalties = interventions.penalties(self, &mut context)?;
                self.online.variables().zero_grad();
                let terms = penalties.iter().map(|(_, penalty)| penalty);
                let primary = loss.detach();
                terms.fold(loss, |total, penalty| total + penalty).backward();
                interventions.look(self, update, "the backward pass")?;
                let hooked = interventions
                    .call(self, &mut context, |part, own, hook| part.after_backward(own, hook));
                let numbers = numbers(&primary, &magnitude(&self.gradients()), &also, &penalties);
                let (losses, size) = Losses::read(&numbers, &penalties);
                (losses, size, hooked)
            }
        };
        losses.check(update)?; // before a hook's error: it may be a consequence
        hooked?;
        self.check_gradients(size, update)?;
        if size >= self.optimizer.safe_gradient() {
            before.add_everything(self, interventions);
        }
        interventions.call(self, &mut context, |part, own, hook| part.before_step(own, hook))?;
        self.step();
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

    fn step(&mut self) {
        let Self { online, optimizer, steps, .. } = self;
        let variables = online.variables();
        if !optimizer.is_recordable() {
            return optimizer.step(variables);
        }
        let of = |optimizer: &&mut Box<dyn Optimizer>| {
            let signature = Signature::default().thing(optimizer.as_ref());
            let signature = signature.number(optimizer.learning_rate());
            signature.with_gradients(variables).moments(optimizer.moments())
        };
        steps.run(optimizer, of, |optimizer| optimizer.step(variables));
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

/// What an update is made of.
enum Passed {
    /// A loss whose gradients are still to be computed.
    Forward { loss: Tensor, also: Tensor },
    /// The gradients are there, and nothing is added to the loss; see [`Derived::numbers`].
    Derived { numbers: Tensor },
}

/// f64 `[2 + n + penalties]`: the loss, the magnitude of all gradients, what else was to be known, and what was
/// added to the loss.
fn numbers(
    primary: &Tensor,
    size: &Tensor,
    also: &Tensor,
    penalties: &[(String, Tensor)],
) -> Tensor {
    let alone = |tensor: &Tensor| tensor.to_device(primary.device()).to_kind(Kind::Double);
    let first = [primary, size].map(|tensor| alone(tensor).reshape([1]));
    let added = penalties.iter().map(|(_, penalty)| alone(penalty).reshape([1]));
    let all: Vec<Tensor> = first.into_iter().chain([alone(also)]).chain(added).collect();
    no_grad(|| Tensor::cat(&all, 0))
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
    /// What else was to be known of the pass, see [`Forward::also`].
    pub also: Vec<f64>,
}

impl Losses {
    /// What was stepped on.
    pub fn total(&self) -> f64 {
        self.penalties.iter().fold(self.primary, |total, (_, penalty)| total + penalty)
    }

    /// Waits for the device once. `numbers` are those of [`numbers`]; with the losses comes the gradients'
    /// magnitude.
    fn read(numbers: &Tensor, penalties: &[(String, Tensor)]) -> (Self, f64) {
        let mut values = Vec::<f64>::try_from(numbers).expect("f64 numbers").into_iter();
        let mut next = || values.next().expect("one number each");
        let (primary, size) = (next(), next());
        let mut also: Vec<f64> = values.collect();
        let added = also.split_off(also.len() - penalties.len());
        let names = penalties.iter().map(|(name, _)| name.clone());
        (Self { primary, penalties: names.zip(added).collect(), also }, size)
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
