//! Networks: what they compute, what interventions may change before they are built, and what can
//! be read from them.

use std::{fmt, rc::Rc};

use pliant_envs::env::EnvSpec;
use tch::{Device, Kind, Tensor};

use crate::{
    error::Result,
    head::Head,
    seeds::Stream,
    state::{Checkpoint, StateDict},
    variables::{VariableSource, Variables},
};

/// What interventions may change before a network is built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkPlan {
    /// Normalisation of every hidden layer.
    pub norm: Option<Norm>,
    /// How outputs are read as Q-values and compared with targets.
    pub head: Head,
}

/// Layer normalisation of every hidden layer: over all units of one observation (of a convolution:
/// over channels, rows and columns).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Where it stands.
    pub position: NormPosition,
    /// Whether each unit (of a convolution: each channel) has a learned scale and offset.
    pub affine: bool,
    /// Added to the variance.
    pub eps: f64,
}

/// Where a normalisation stands.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NormPosition {
    /// Between the linear map and the activation.
    #[default]
    BeforeActivation,
    /// After the activation.
    AfterActivation,
}

/// A hidden layer: its name and the variables around it, as interventions and probes address them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenLayer {
    /// Name, for tags.
    pub name: String,
    /// Units: neurons of a dense layer, channels of a convolution.
    pub units: i64,
    /// Names of the variables that produce it (weight, bias, scale, offset).
    pub incoming: Vec<String>,
    /// Names of the weights that read it.
    pub outgoing: Vec<String>,
}

/// Collects the activations of a forward pass, one per hidden layer, in order.
#[derive(Debug, Default)]
pub struct Taps {
    activations: Vec<Tensor>,
}

impl Taps {
    /// Called by networks with each hidden layer's output, f32 `[batch, units, ..]`.
    pub fn record(taps: &mut Option<&mut Self>, activation: &Tensor) {
        if let Some(taps) = taps {
            taps.activations.push(activation.shallow_clone());
        }
    }

    /// The recorded activations, in the order of [`Network::hidden`].
    pub fn activations(&self) -> &[Tensor] {
        &self.activations
    }
}

/// A function from observations to outputs, with its layers open to inspection.
pub trait Network {
    /// `observations`: f32 `[batch, channels, height, width]` in 0..1. Returns f32 `[batch, outputs]`.
    /// Records each hidden layer's output in `taps` if given.
    fn forward(&self, observations: &Tensor, taps: Option<&mut Taps>) -> Tensor;

    /// The hidden layers, from input to output.
    fn hidden(&self) -> &[HiddenLayer];
}

/// The sizes and plan a network is built for.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// Channels (of the whole stack), height, width of an observation.
    pub observation: [i64; 3],
    /// Number of actions.
    pub actions: i64,
    /// What the interventions asked for.
    pub plan: NetworkPlan,
}

impl NetworkSpec {
    /// The network an environment needs.
    pub fn new(env: &EnvSpec, plan: NetworkPlan) -> Self {
        let channels = env.frame.channels * env.frame_stack;
        Self {
            observation: [channels as i64, env.frame.height as i64, env.frame.width as i64],
            actions: env.actions.len() as i64,
            plan,
        }
    }

    /// Number of network outputs.
    pub fn outputs(&self) -> i64 {
        self.plan.head.outputs(self.actions)
    }
}

/// A kind of network with its settings: builds the same structure every time it is asked.
pub trait Architecture: fmt::Debug {
    /// Builds a network whose variables all come from `variables`. An error if the settings do not
    /// fit the observations.
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>>;
}

/// A network with its parameters and head: everything needed to compute Q-values, and to copy it.
pub struct Model {
    architecture: Rc<dyn Architecture>,
    spec: NetworkSpec,
    device: Device,
    variables: Variables,
    network: Box<dyn Network>,
}

impl Model {
    /// A new network with parameters drawn from `stream`.
    pub fn new(
        architecture: Rc<dyn Architecture>,
        spec: NetworkSpec,
        stream: &mut Stream,
        device: Device,
    ) -> Result<Self> {
        let mut source = VariableSource::draw(stream, device);
        let network = architecture.build(&spec, &mut source)?;
        Ok(Self { variables: source.finish(), architecture, spec, device, network })
    }

    /// A deep copy that shares nothing.
    pub fn fork(&self) -> Self {
        self.rebuild(VariableSource::copy(&self.variables, self.device))
    }

    /// A network of the same architecture with newly drawn parameters.
    pub fn redraw(&self, stream: &mut Stream) -> Self {
        self.rebuild(VariableSource::draw(stream, self.device))
    }

    fn rebuild(&self, mut source: VariableSource<'_>) -> Self {
        let network = self
            .architecture
            .build(&self.spec, &mut source)
            .expect("an architecture that built once builds again");
        Self {
            architecture: Rc::clone(&self.architecture),
            spec: self.spec.clone(),
            device: self.device,
            variables: source.finish(),
            network,
        }
    }

    /// Raw outputs, f32 `[batch, outputs]`, of observations u8 `[batch, channels, height, width]`;
    /// the bytes are scaled to 0..1 here, so that no network forgets to.
    pub fn forward(&self, observations: &Tensor, taps: Option<&mut Taps>) -> Tensor {
        let scaled = observations.to_device(self.device).to_kind(Kind::Float) / 255.0;
        self.network.forward(&scaled, taps)
    }

    /// Q-values, f32 `[batch, actions]`.
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

    /// The parameters.
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
        self.variables.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.variables.load(state)
    }
}
