//! Interventions: plug-ins that change how a network learns.

use std::collections::BTreeMap;

use tch::{Tensor, no_grad};

use crate::{
    clock::Clock,
    error::{Error, Result},
    learner::Learner,
    metrics::Metrics,
    network::{NetworkPlan, Taps},
    seeds::{Seeds, Stream},
    state::{Checkpoint, StateDict},
};

/// What the loss of an update was computed on. It is of this update alone: on a GPU later ones overwrite it, so copy
/// what is to be kept.
#[derive(Debug)]
pub struct UpdateBatch<'a> {
    /// The observations, u8 `[batch, channels, height, width]`, where the learner computes.
    pub observations: &'a Tensor,
    /// The activations of the loss's own forward pass through the online network: part of its graph, so
    /// that terms in `extra_loss` can be made of them.
    pub taps: &'a Taps,
}

/// What a hook gets beside the learner.
pub struct Hook<'a> {
    /// The present time; `updates` already counts the update a hook follows.
    pub clock: &'a Clock,
    /// What the update learns from.
    pub batch: &'a UpdateBatch<'a>,
    /// This intervention's own random stream.
    pub stream: &'a mut Stream,
    /// Where it may leave measurements.
    pub metrics: &'a mut Metrics,
    /// What its measurements are called: its kind, with a number if it is not the first of its kind.
    pub name: &'a str,
    /// The target network takes the online network over at the end of this update.
    pub ends_in_target_update: bool,
}

/// A method that changes how a network learns. Every hook defaults to nothing.
///
/// What changes during a run belongs to the intervention and is saved by its [`Checkpoint`]. No hook
/// but `extra_loss` is called with gradients being tracked. An error of a hook ends the run.
pub trait Intervention: Checkpoint {
    /// Before the network is built. An error says why it cannot go with what was planned before it.
    fn plan(&self, _plan: &mut NetworkPlan) -> Result<(), String> {
        Ok(())
    }

    /// Once, after the learner was built. An error says what in the settings does not fit it.
    fn after_build(&mut self, _learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        Ok(())
    }

    /// The first update with which it may do something, where the target network is updated every
    /// `target_period_updates`; `None` if it never does.
    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(1)
    }

    /// False if whatever it does in update `update`, counted from 1, leaves finite numbers finite, and its own
    /// state changes from [`Self::before_step`] on alone. Where it is true, learner and interventions are
    /// copied before the update, so that numbers gone wrong can be taken back: that costs as much as an
    /// optimiser step or two, and is worth sparing where it is not needed. What becomes of gradients up to
    /// [`Self::after_backward`] is no risk: nothing has changed yet when they are checked.
    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        true
    }

    /// True if neither [`Self::extra_loss`] nor [`Self::after_backward`] ever does anything. On a GPU loss and
    /// gradients can then be computed by a recorded CUDA graph, several times as fast as operation by
    /// operation; the two hooks are not called.
    fn leaves_gradients(&self) -> bool {
        false
    }

    /// A term to add to the loss of the coming update: a scalar tensor. `learner.updates` does not
    /// count that update yet.
    fn extra_loss(&mut self, _learner: &Learner, _hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Between backward pass and optimiser step: gradients may be changed. `learner.updates` does not
    /// count the coming step yet.
    fn after_backward(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        Ok(())
    }

    /// Directly before the optimiser step, when gradients are what they will be and known to be finite: for
    /// what wraps the optimiser. `learner.updates` does not count the coming step yet.
    fn before_step(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        Ok(())
    }

    /// Directly after the optimiser step: all that changed since [`Self::before_step`] is the step.
    /// Called in reverse order, so that of several wrappers the first is the outermost.
    fn after_step(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        Ok(())
    }

    /// After the optimiser step and what wraps it, before a copy to the target network.
    fn after_update(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        Ok(())
    }

    /// After the online network was copied to the target network.
    fn on_target_update(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        Ok(())
    }
}

struct Installed {
    /// For saved states and streams: position and kind.
    name: String,
    /// For tags: the kind, with a number if it is not the first of its kind.
    tag: String,
    /// For messages: ``interventions[1]: intervention `redo` ``.
    label: String,
    intervention: Box<dyn Intervention>,
    stream: Stream,
}

/// The interventions of a run, in the order of the configuration.
#[derive(Default)]
pub struct Interventions {
    parts: Vec<Installed>,
    is_watched: bool,
}

impl Interventions {
    /// Gives each its own stream, named by its kind and which of its kind it is, so that others before or
    /// after it shift none of its draws. Saved states are named by kind and position.
    pub fn new(parts: Vec<(String, Box<dyn Intervention>)>, seeds: &Seeds) -> Self {
        let mut met: BTreeMap<String, u32> = BTreeMap::new();
        let install = |(index, (kind, intervention)): (usize, (String, _))| {
            let name = format!("{index}_{kind}");
            let label = format!("interventions[{index}]: intervention `{kind}`");
            let count = met.entry(kind.clone()).or_default();
            *count += 1;
            let tag = if *count == 1 { kind } else { format!("{kind}_{count}") };
            let stream = seeds.stream(&format!("interventions/{tag}"));
            Installed { stream, name, tag, label, intervention }
        };
        Self { parts: parts.into_iter().enumerate().map(install).collect(), is_watched: false }
    }

    /// What all of them together ask of the network.
    pub fn plan(&self) -> Result<NetworkPlan, String> {
        let mut plan = NetworkPlan::default();
        for Installed { label, intervention, .. } in &self.parts {
            intervention.plan(&mut plan).map_err(|error| format!("{label}: {error}"))?;
        }
        Ok(plan)
    }

    /// See [`Intervention::after_build`].
    pub fn after_build(&mut self, learner: &mut Learner) -> Result<(), String> {
        for Installed { label, intervention, stream, .. } in &mut self.parts {
            no_grad(|| intervention.after_build(learner, stream))
                .map_err(|error| format!("{label}: {error}"))?;
        }
        Ok(())
    }

    /// Those that do nothing within so many updates: what they are called in messages, and the first
    /// update with which they would, if there is one.
    pub fn idle_within(
        &self,
        updates: u64,
        target_period_updates: u64,
    ) -> Vec<(&str, Option<u64>)> {
        let first = |part: &Installed| part.intervention.first_update(target_period_updates);
        let firsts = self.parts.iter().map(|part| (part.label.as_str(), first(part)));
        firsts.filter(|(_, first)| first.is_none_or(|first| first > updates)).collect()
    }

    /// The terms that the interventions add to the loss, each a scalar, by tag.
    pub(crate) fn penalties(
        &mut self,
        learner: &Learner,
        context: &mut Context<'_>,
    ) -> Result<Vec<(String, Tensor)>> {
        let mut penalties = Vec::new();
        for part in &mut self.parts {
            let tag = part.tag.clone();
            part.call(context, |intervention, hook| {
                let Some(term) = intervention.extra_loss(learner, hook)? else { return Ok(()) };
                if term.numel() != 1 {
                    let shape = term.size();
                    let text = format!("its term of the loss is {shape:?}, expected a scalar");
                    return Err(Error::Invalid(text));
                }
                penalties.push((tag, term.reshape([0i64; 0])));
                Ok(())
            })?;
        }
        Ok(penalties)
    }

    /// True if numbers may go wrong by one of them in this update: see [`Intervention::is_risky`].
    pub(crate) fn are_risky(&self, update: u64, ends_in_target_update: bool) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.intervention.is_risky(update, ends_in_target_update))
    }

    /// Those that do not leave loss and gradients alone (see [`Intervention::leaves_gradients`]), by the labels
    /// they have in messages.
    pub fn with_gradients(&self) -> impl Iterator<Item = &str> {
        let parts = self.parts.iter().filter(|part| !part.intervention.leaves_gradients());
        parts.map(|part| part.label.as_str())
    }

    /// From now on it is looked for numbers that are not finite after the backward pass, after every hook and
    /// after the step, so that an error can say where they came from.
    pub fn watch(&mut self) {
        self.is_watched = true;
    }

    /// Ends [`Self::watch`].
    pub fn unwatch(&mut self) {
        self.is_watched = false;
    }

    /// The present states of all streams.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        self.parts.iter().map(|part| part.stream.clone()).collect()
    }

    /// Puts all streams back to earlier states.
    pub(crate) fn set_streams(&mut self, streams: Vec<Stream>) {
        self.parts.iter_mut().zip(streams).for_each(|(part, stream)| part.stream = stream);
    }

    /// If they are watched: an error if something of the learner is not finite.
    pub(crate) fn look(&self, learner: &Learner, update: u64, by: &str) -> Result<()> {
        if self.is_watched { learner.look(update, by) } else { Ok(()) }
    }

    /// Calls one hook of each, without tracking gradients.
    pub(crate) fn call(
        &mut self,
        learner: &mut Learner,
        context: &mut Context<'_>,
        mut hook: impl FnMut(&mut dyn Intervention, &mut Learner, &mut Hook<'_>) -> Result<()>,
    ) -> Result<()> {
        let is_watched = self.is_watched;
        let mut each = self.parts.iter_mut();
        each.try_for_each(|part| part.change(learner, context, is_watched, &mut hook))
    }

    /// As [`Self::call`], the last intervention first.
    pub(crate) fn call_in_reverse(
        &mut self,
        learner: &mut Learner,
        context: &mut Context<'_>,
        mut hook: impl FnMut(&mut dyn Intervention, &mut Learner, &mut Hook<'_>) -> Result<()>,
    ) -> Result<()> {
        let is_watched = self.is_watched;
        let mut each = self.parts.iter_mut().rev();
        each.try_for_each(|part| part.change(learner, context, is_watched, &mut hook))
    }
}

impl Installed {
    /// Calls a hook that may change the learner, and if it is watched looks at what came of it.
    fn change(
        &mut self,
        learner: &mut Learner,
        context: &mut Context<'_>,
        is_watched: bool,
        hook: &mut impl FnMut(&mut dyn Intervention, &mut Learner, &mut Hook<'_>) -> Result<()>,
    ) -> Result<()> {
        self.call(context, |part, own| no_grad(|| hook(part, learner, own)))?;
        if is_watched { learner.look(context.update, &self.label) } else { Ok(()) }
    }

    /// Calls a hook; its error says whose it is.
    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: impl FnOnce(&mut dyn Intervention, &mut Hook<'_>) -> Result<()>,
    ) -> Result<()> {
        let Context { clock, batch, metrics, ends_in_target_update, .. } = context;
        let ends_in_target_update = *ends_in_target_update;
        let (stream, name) = (&mut self.stream, self.tag.as_str());
        let mut hook = Hook { clock, batch, stream, metrics, name, ends_in_target_update };
        call(self.intervention.as_mut(), &mut hook)
            .map_err(|error| Error::Invalid(format!("{}: {error}", self.label)))
    }
}

/// What the hooks of an update share.
pub(crate) struct Context<'a> {
    /// The one under way, counted from 1.
    pub update: u64,
    pub clock: &'a Clock,
    pub batch: &'a UpdateBatch<'a>,
    pub metrics: &'a mut Metrics,
    pub ends_in_target_update: bool,
}

impl Checkpoint for Interventions {
    fn save(&self, state: &mut StateDict) {
        for Installed { name, intervention, stream, .. } in &self.parts {
            state.put(&format!("{name}_stream"), stream);
            state.put_part(name, intervention.as_ref());
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for Installed { name, intervention, stream, .. } in &mut self.parts {
            *stream = state.get(&format!("{name}_stream"))?;
            state.load_part(name, intervention.as_mut())?;
        }
        Ok(())
    }
}
