//! Interventions: plug-ins that change how a network learns.

use tch::Tensor;

use crate::{
    clock::Clock,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    network::NetworkPlan,
    seeds::{Seeds, Stream},
    state::{Checkpoint, StateDict},
};

/// What a hook gets beside the learner.
pub struct Hook<'a> {
    /// The present time; `updates` already counts the update a hook follows.
    pub clock: &'a Clock,
    /// This intervention's own random stream.
    pub stream: &'a mut Stream,
    /// Where it may leave measurements.
    pub metrics: &'a mut Metrics,
}

/// A method that changes how a network learns. Every hook defaults to nothing.
///
/// What changes during a run belongs to the intervention and is saved by its [`Checkpoint`].
pub trait Intervention: Checkpoint {
    /// Before the network is built. An error says why it cannot go with what was planned before it.
    fn plan(&self, _plan: &mut NetworkPlan) -> Result<(), String> {
        Ok(())
    }

    /// Once, after the learner was built.
    fn after_build(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) {}

    /// A term to add to the loss of this update: a scalar tensor.
    fn extra_loss(&mut self, _learner: &Learner, _hook: &mut Hook<'_>) -> Option<Tensor> {
        None
    }

    /// Between backward pass and optimiser step: gradients may be changed.
    fn after_backward(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) {}

    /// After the optimiser step, before a copy to the target network.
    fn after_update(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) {}

    /// After the online network was copied to the target network.
    fn on_target_update(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) {}
}

struct Installed {
    name: String,
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
            Installed { stream: seeds.stream(&format!("interventions/{name}")), name, intervention }
        };
        Self(parts.into_iter().enumerate().map(install).collect())
    }

    /// What all of them together ask of the network.
    pub fn plan(&self) -> Result<NetworkPlan, String> {
        let mut plan = NetworkPlan::default();
        for Installed { name, intervention, .. } in &self.0 {
            intervention
                .plan(&mut plan)
                .map_err(|error| format!("intervention {name}: {error}"))?;
        }
        Ok(plan)
    }

    /// See [`Intervention::after_build`].
    pub fn after_build(&mut self, learner: &mut Learner, clock: &Clock, metrics: &mut Metrics) {
        self.each(clock, metrics, |part, hook| part.after_build(learner, hook));
    }

    /// The loss with every intervention's term added.
    pub fn add_losses(
        &mut self,
        loss: Tensor,
        learner: &Learner,
        clock: &Clock,
        metrics: &mut Metrics,
    ) -> Tensor {
        let mut total = loss;
        self.each(clock, metrics, |part, hook| {
            if let Some(term) = part.extra_loss(learner, hook) {
                total = &total + term;
            }
        });
        total
    }

    /// See [`Intervention::after_backward`].
    pub fn after_backward(&mut self, learner: &mut Learner, clock: &Clock, metrics: &mut Metrics) {
        self.each(clock, metrics, |part, hook| part.after_backward(learner, hook));
    }

    /// See [`Intervention::after_update`].
    pub fn after_update(&mut self, learner: &mut Learner, clock: &Clock, metrics: &mut Metrics) {
        self.each(clock, metrics, |part, hook| part.after_update(learner, hook));
    }

    /// See [`Intervention::on_target_update`].
    pub fn on_target_update(
        &mut self,
        learner: &mut Learner,
        clock: &Clock,
        metrics: &mut Metrics,
    ) {
        self.each(clock, metrics, |part, hook| part.on_target_update(learner, hook));
    }

    fn each(
        &mut self,
        clock: &Clock,
        metrics: &mut Metrics,
        mut call: impl FnMut(&mut dyn Intervention, &mut Hook<'_>),
    ) {
        for Installed { intervention, stream, .. } in &mut self.0 {
            call(intervention.as_mut(), &mut Hook { clock, stream, metrics });
        }
    }
}

impl Checkpoint for Interventions {
    fn save(&self, state: &mut StateDict) {
        for Installed { name, intervention, stream } in &self.0 {
            state.put(&format!("{name}_stream"), stream);
            state.put_part(name, intervention.as_ref());
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for Installed { name, intervention, stream } in &mut self.0 {
            *stream = state.get(&format!("{name}_stream"))?;
            state.load_part(name, intervention.as_mut())?;
        }
        Ok(())
    }
}
