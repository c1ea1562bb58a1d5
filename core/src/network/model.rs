//! A network with its parameters.

use std::{panic::resume_unwind, sync::Arc};

use pliant_torch_ext::{scaled_channels_last, scaled_observations};
use tch::{Device, Kind, Tensor, no_grad};

use super::{
    Architecture, HiddenLayer, Network, NetworkPlan, NetworkSpec, Pass, PowerIteration,
    SpectralNorm, Taps, layers, spectral_buffer,
};
use crate::{
    error::{Error, Result},
    head::Head,
    seeds::Stream,
    state::{Checkpoint, StateDict},
    variables::{VariableSource, Variables},
};

/// Power iterations after parameters were drawn, so that the estimate begins near the truth.
pub const SETTLED: u32 = 100;

/// A network with its parameters and head: everything needed to compute Q-values, and to copy it.
pub struct Model {
    architecture: Arc<dyn Architecture>,
    spec: NetworkSpec,
    device: Device,
    variables: Variables,
    network: Box<dyn Network>,
}

impl Model {
    /// A new network with parameters drawn from `stream`. An error if the architecture does not fit
    /// the observations or has no place for what was planned.
    pub fn new(
        architecture: Arc<dyn Architecture>,
        mut spec: NetworkSpec,
        stream: &mut Stream,
        device: Device,
    ) -> Result<Self> {
        architecture.supports(&spec.plan).map_err(Error::Invalid)?;
        spec.plan.spectral = layers::resolve_spectral(architecture.as_ref(), &spec, stream)?;
        let mut source = VariableSource::draw(stream, device);
        let network = architecture.build(&spec, &mut source)?;
        source.check()?;
        let model = Self { variables: source.finish(), architecture, spec, device, network };
        model.settle(SETTLED, |_| true);
        Ok(model)
    }

    /// A deep copy that shares nothing.
    pub fn fork(&self) -> Self {
        self.rebuild(VariableSource::copy(&self.variables, self.device))
    }

    /// A network of the same architecture with newly drawn parameters.
    pub fn redraw(&self, stream: &mut Stream) -> Self {
        let model = self.rebuild(VariableSource::draw(stream, self.device));
        model.settle(SETTLED, |_| true);
        model
    }

    fn rebuild(&self, source: VariableSource<'_>) -> Self {
        self.build(self.spec.clone(), source).expect("an architecture that built once builds again")
    }

    /// The same network under another plan: variables of the same name are copied, others drawn. An
    /// error if the architecture has no place for what was planned.
    pub fn replan(&self, plan: NetworkPlan, stream: &mut Stream) -> Result<Self> {
        self.architecture.supports(&plan).map_err(Error::Invalid)?;
        let spec = NetworkSpec { plan, ..self.spec.clone() };
        self.build(spec, VariableSource::extend(&self.variables, stream, self.device))
    }

    fn build(&self, spec: NetworkSpec, mut source: VariableSource<'_>) -> Result<Self> {
        let network = self.architecture.build(&spec, &mut source)?;
        source.check()?;
        let (architecture, device) = (Arc::clone(&self.architecture), self.device);
        Ok(Self { architecture, spec, device, variables: source.finish(), network })
    }

    /// After parameters were set to something else: finds the largest singular values of the spectrally
    /// normalised layers whose weight `includes` by so many power iterations ([`SETTLED`] for new weights).
    pub fn settle(&self, iterations: u32, includes: impl Fn(&str) -> bool) {
        for norm in &self.spec.plan.spectral {
            self.iterate(norm, &includes, iterations);
        }
    }

    /// Lets what is estimated of the parameters (spectral norms) follow them: due after every optimiser
    /// step. [`Learner::update`](crate::learner::Learner::update) does it; who steps on a fork must.
    pub fn follow_parameters(&self) {
        for norm in &self.spec.plan.spectral {
            self.iterate(norm, |_| true, norm.iterations);
        }
    }

    fn iterate(&self, norm: &SpectralNorm, includes: impl Fn(&str) -> bool, iterations: u32) {
        for layer in &norm.layers {
            let name = format!("{layer}/weight");
            let weight = self.variables.get(&name).filter(|_| includes(&name));
            let u = self.variables.get(&spectral_buffer(layer));
            if let (Some(weight), Some(u)) = (weight, u) {
                let found = PowerIteration::steps(weight, u, iterations);
                no_grad(|| u.shallow_clone().copy_(&found));
            }
        }
    }

    /// See [`Network::is_recordable`].
    pub fn is_recordable(&self) -> bool {
        self.network.is_recordable()
    }

    /// Raw outputs, f32 `[batch, outputs]`, of observations u8 `[batch, channels, height, width]`;
    /// the bytes are scaled to 0..1 here, so that no network forgets to. Changes nothing.
    pub fn forward(&self, observations: &Tensor, taps: Option<&mut Taps>) -> Tensor {
        self.forward_pass(observations, &mut Pass::evaluation(taps))
    }

    /// As [`Self::forward`], for a loss that is learned from: dropout masks come from `stream`,
    /// running statistics move.
    pub fn forward_training(
        &self,
        observations: &Tensor,
        stream: &mut Stream,
        taps: Option<&mut Taps>,
    ) -> Tensor {
        self.forward_pass(observations, &mut Pass::training(stream, taps))
    }

    /// As [`Self::forward_training`] sees observations (batch statistics), but nothing is dropped and
    /// nothing moves: for a network that is compared with one that learns.
    pub fn forward_beside_training(
        &self,
        observations: &Tensor,
        taps: Option<&mut Taps>,
    ) -> Tensor {
        self.forward_pass(observations, &mut Pass::beside_training(taps))
    }

    /// f32 in 0..1, where the network computes and as it likes them to lie in memory.
    fn scaled(&self, observations: &Tensor) -> Tensor {
        let observations = observations.to_device(self.device);
        if self.device == Device::Cpu && self.network.prefers_channels_last() {
            scaled_channels_last(&observations)
        } else {
            scaled_observations(&observations)
        }
    }

    fn forward_pass(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let scaled = self.scaled(observations);
        let outputs = self.network.forward_caught(&scaled, pass);
        let outputs = outputs.unwrap_or_else(|text| resume_unwind(Box::new(text)));
        outputs.to_kind(Kind::Float)
    }

    /// Q-values, f32 `[batch, actions]`. Changes nothing.
    pub fn q_values(&self, observations: &Tensor) -> Tensor {
        self.head().q_values(&self.forward(observations, None))
    }

    /// How outputs are read.
    pub fn head(&self) -> &Head {
        &self.spec.plan.head
    }

    /// The hidden layers.
    pub fn hidden(&self) -> &[HiddenLayer] {
        self.network.hidden()
    }

    /// The layers whose weight is learned, in the order they were made, from input to output: hidden,
    /// output and auxiliary ones.
    pub fn layers(&self) -> Vec<String> {
        layers::weighted(&self.variables)
    }

    /// An error unless the network has all these layers, that says which it has.
    pub fn check_layers(&self, layers: &[String]) -> Result<(), String> {
        let known = self.layers();
        match layers.iter().find(|layer| !known.contains(layer)) {
            None => Ok(()),
            Some(unknown) => Err(layers::unknown(unknown, known.iter().map(String::as_str))),
        }
    }

    /// [`Self::layers`] without the auxiliary heads: the output layer is the last.
    pub fn main_layers(&self) -> Vec<String> {
        let auxiliary = &self.spec.plan.auxiliary;
        let is_main = |layer: &String| !auxiliary.iter().any(|head| head.name == *layer);
        self.layers().into_iter().filter(is_main).collect()
    }

    /// The parameters, and what else a network holds.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The sizes and plan it was built for.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }
}

impl Checkpoint for Model {
    fn save(&self, state: &mut StateDict) {
        state.put("is_injected", &self.spec.plan.is_injected);
        self.variables.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        let is_injected: bool = state.get("is_injected")?;
        if is_injected && !self.spec.plan.expects_injection {
            let text = "the network was injected with plasticity, which no intervention here plans";
            return Err(Error::State(text.to_owned()));
        }
        if is_injected != self.spec.plan.is_injected {
            let plan = NetworkPlan { is_injected, ..self.spec.plan.clone() };
            let mut overwritten = crate::seeds::Seeds::new(0).stream("overwritten");
            let replanned = self.replan(plan, &mut overwritten);
            *self = replanned.map_err(|error| Error::State(error.to_string()))?;
        }
        self.variables.load(state)
    }
}
