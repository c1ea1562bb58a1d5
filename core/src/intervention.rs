//! Interventions: plug-ins that change how a network learns.

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

/// What the loss of an update was computed on.
#[derive(Debug)]
pub struct UpdateBatch<'a> {
    /// The observations, u8 `[batch, channels, height, width]`, where the learner computes.
    pub observations: &'a Tensor,
    /// The activations of the loss's own forward pass through the online network, with their
    /// gradients.
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

    /// After the optimiser step, before a copy to the target network.
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
    /// For messages: ``interventions[1]: intervention `redo` ``.
    label: String,
    intervention: Box<dyn Intervention>,
    stream: Stream,
}

/// The interventions of a run, in the order of the configuration.
#[derive(Default)]
pub struct Interventions(Vec<Installed>);

impl Interventions {
    /// Gives each its own stream; names are made of kind and position.
    pub fn new(parts: Vec<(String, Box<dyn Intervention>)>, seeds: &Seeds) -> Self {
        let install = |(index, (kind, intervention)): (usize, (String, _))| {
            let name = format!("{index}_{kind}");
            let label = format!("interventions[{index}]: intervention `{kind}`");
            let stream = seeds.stream(&format!("interventions/{name}"));
            Installed { stream, name, label, intervention }
        };
        Self(parts.into_iter().enumerate().map(install).collect())
    }

    /// What all of them together ask of the network.
    pub fn plan(&self) -> Result<NetworkPlan, String> {
        let mut plan = NetworkPlan::default();
        for Installed { label, intervention, .. } in &self.0 {
            intervention.plan(&mut plan).map_err(|error| format!("{label}: {error}"))?;
        }
        Ok(plan)
    }

    /// See [`Intervention::after_build`].
    pub fn after_build(&mut self, learner: &mut Learner) -> Result<(), String> {
        for Installed { label, intervention, stream, .. } in &mut self.0 {
            no_grad(|| intervention.after_build(learner, stream))
                .map_err(|error| format!("{label}: {error}"))?;
        }
        Ok(())
    }

    /// The loss with every intervention's term added.
    pub(crate) fn add_losses(
        &mut self,
        loss: Tensor,
        learner: &Learner,
        context: &mut Context<'_>,
    ) -> Result<Tensor> {
        let mut total = loss;
        self.each(context, |part, hook| {
            if let Some(term) = part.extra_loss(learner, hook)? {
                total = &total + term;
            }
            Ok(())
        })?;
        Ok(total)
    }

    /// Calls one hook of each, without tracking gradients.
    pub(crate) fn call(
        &mut self,
        context: &mut Context<'_>,
        mut hook: impl FnMut(&mut dyn Intervention, &mut Hook<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each(context, |part, with| no_grad(|| hook(part, with)))
    }

    fn each(
        &mut self,
        context: &mut Context<'_>,
        mut call: impl FnMut(&mut dyn Intervention, &mut Hook<'_>) -> Result<()>,
    ) -> Result<()> {
        let Context { clock, batch, metrics } = context;
        for Installed { label, intervention, stream, .. } in &mut self.0 {
            let mut hook = Hook { clock, batch, stream, metrics };
            call(intervention.as_mut(), &mut hook)
                .map_err(|error| Error::Invalid(format!("{label}: {error}")))?;
        }
        Ok(())
    }
}

/// What the hooks of an update share.
pub(crate) struct Context<'a> {
    pub clock: &'a Clock,
    pub batch: &'a UpdateBatch<'a>,
    pub metrics: &'a mut Metrics,
}

impl Checkpoint for Interventions {
    fn save(&self, state: &mut StateDict) {
        for Installed { name, intervention, stream, .. } in &self.0 {
            state.put(&format!("{name}_stream"), stream);
            state.put_part(name, intervention.as_ref());
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for Installed { name, intervention, stream, .. } in &mut self.0 {
            *stream = state.get(&format!("{name}_stream"))?;
            state.load_part(name, intervention.as_mut())?;
        }
        Ok(())
    }
}
