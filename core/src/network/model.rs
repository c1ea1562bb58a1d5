//! A network with its parameters.

use std::{panic::resume_unwind, rc::Rc};

use tch::{Device, Kind, Tensor};

use super::{Architecture, HiddenLayer, Network, NetworkPlan, NetworkSpec, Pass, Taps};
use crate::{
    error::{Error, Result},
    head::Head,
    seeds::Stream,
    state::{Checkpoint, StateDict},
    variables::{VariableSource, Variables},
};

/// A network with its parameters and head: everything needed to compute Q-values, and to copy it.
pub struct Model {
    architecture: Rc<dyn Architecture>,
    spec: NetworkSpec,
    device: Device,
    variables: Variables,
    network: Box<dyn Network>,
}

impl Model {
    /// A new network with parameters drawn from `stream`. An error if the architecture does not fit
    /// the observations or has no place for what was planned.
    pub fn new(
        architecture: Rc<dyn Architecture>,
        mut spec: NetworkSpec,
        stream: &mut Stream,
        device: Device,
    ) -> Result<Self> {
        architecture.supports(&spec.plan).map_err(Error::Invalid)?;
        spec.plan.spectral = resolve_spectral(architecture.as_ref(), &spec, stream)?;
        let mut source = VariableSource::draw(stream, device);
        let network = architecture.build(&spec, &mut source)?;
        Ok(Self { variables: source.finish(), architecture, spec, device, network })
    }

    /// A deep copy that shares nothing.
    pub fn fork(&self) -> Self {
        self.rebuild(self.spec.clone(), VariableSource::copy(&self.variables, self.device))
    }

    /// A network of the same architecture with newly drawn parameters.
    pub fn redraw(&self, stream: &mut Stream) -> Self {
        self.rebuild(self.spec.clone(), VariableSource::draw(stream, self.device))
    }

    /// The same network under another plan: variables of the same name are copied, others drawn.
    pub fn replan(&self, plan: NetworkPlan, stream: &mut Stream) -> Self {
        let spec = NetworkSpec { plan, ..self.spec.clone() };
        self.rebuild(spec, VariableSource::extend(&self.variables, stream, self.device))
    }

    fn rebuild(&self, spec: NetworkSpec, mut source: VariableSource<'_>) -> Self {
        let network = self
            .architecture
            .build(&spec, &mut source)
            .expect("an architecture that built once builds again");
        Self {
            architecture: Rc::clone(&self.architecture),
            spec,
            device: self.device,
            variables: source.finish(),
            network,
        }
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

    fn forward_pass(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let scaled = observations.to_device(self.device).to_kind(Kind::Float) / 255.0;
        let outputs = self.network.forward_caught(&scaled, pass);
        outputs.unwrap_or_else(|text| resume_unwind(Box::new(text)))
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

    /// The layers with a weight, from input to output: hidden, output and auxiliary ones.
    pub fn layers(&self) -> Vec<String> {
        weighted_layers(&self.variables)
    }

    /// The names of the last `count` layers, the output first, the first hidden layer last.
    pub fn last_layers(&self, count: usize) -> Vec<String> {
        let readers = self.hidden().iter().rev().filter_map(|layer| layer.outgoing.first());
        let first = self.hidden().first().and_then(|layer| layer.incoming.first());
        let layer_of =
            |weight: &String| weight.strip_suffix("/weight").unwrap_or(weight).to_owned();
        let mut layers: Vec<String> = readers.chain(first).map(layer_of).collect();
        if layers.is_empty() {
            layers.push("output".to_owned()); // a linear network
        }
        layers.dedup();
        layers.truncate(count);
        layers
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
        if is_injected != self.spec.plan.is_injected {
            let plan = NetworkPlan { is_injected, ..self.spec.plan.clone() };
            self.architecture.supports(&plan).map_err(Error::State)?;
            let mut overwritten = crate::seeds::Seeds::new(0).stream("overwritten");
            *self = self.replan(plan, &mut overwritten);
        }
        self.variables.load(state)
    }
}

/// Layers with a weight of at least two dimensions, in the order they were made.
fn weighted_layers(variables: &Variables) -> Vec<String> {
    let matrices = variables.iter().filter(|(_, tensor)| tensor.dim() >= 2);
    matrices.filter_map(|(name, _)| Some(name.strip_suffix("/weight")?.to_owned())).collect()
}

fn unknown_layer<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<String> = known.map(|layer| format!("`{layer}`")).collect();
    format!("no layer `{name}`, expected one of {}", known.join(", "))
}

/// The plan's spectral norms with the names of layers in the place of `first`, `all`, ..; found by
/// building the network once without them.
fn resolve_spectral(
    architecture: &dyn Architecture,
    spec: &NetworkSpec,
    stream: &Stream,
) -> Result<Vec<super::SpectralNorm>> {
    if spec.plan.spectral.is_empty() {
        return Ok(Vec::new());
    }
    let plain = NetworkSpec {
        plan: NetworkPlan { spectral: Vec::new(), ..spec.plan.clone() },
        ..spec.clone()
    };
    let mut unused = stream.clone();
    let mut source = VariableSource::draw(&mut unused, Device::Cpu);
    let network = architecture.build(&plain, &mut source)?;
    let choices = Layers { network: network.as_ref(), variables: &source.finish() }.choices();
    let mut resolved = spec.plan.spectral.clone();
    let mut taken: Vec<String> = Vec::new();
    for norm in &mut resolved {
        let chosen = norm.layers.iter().map(|name| choices.of(name)).collect::<Result<Vec<_>, _>>();
        norm.layers = chosen.map_err(Error::Invalid)?.concat();
        for layer in &norm.layers {
            if taken.contains(layer) {
                return Err(Error::Invalid(format!(
                    "the spectral norm of layer `{layer}` is planned twice"
                )));
            }
            taken.push(layer.clone());
        }
    }
    Ok(resolved)
}

struct Layers<'a> {
    network: &'a dyn Network,
    variables: &'a Variables,
}

/// The layers that words like `first` stand for.
struct Choices {
    all: Vec<String>,
    first_dense: Option<String>,
    last_hidden: Option<String>,
}

impl Layers<'_> {
    fn choices(&self) -> Choices {
        let all = weighted_layers(self.variables);
        let is_dense = |layer: &&String| {
            self.variables.get(&format!("{layer}/weight")).is_some_and(|weight| weight.dim() == 2)
        };
        let last = self.network.hidden().last().and_then(|layer| layer.incoming.first());
        Choices {
            first_dense: all.iter().find(is_dense).cloned(),
            last_hidden: last.and_then(|name| name.strip_suffix("/weight")).map(str::to_owned),
            all,
        }
    }
}

impl Choices {
    fn of(&self, name: &str) -> Result<Vec<String>, String> {
        let one = |layer: Option<&String>| {
            layer.cloned().map(|layer| vec![layer]).ok_or_else(|| format!("no layer is `{name}`"))
        };
        match name {
            "first" => one(self.all.first()),
            "first_dense" => one(self.first_dense.as_ref()),
            "last_hidden" => one(self.last_hidden.as_ref()),
            "all" => Ok(self.all.iter().filter(|layer| *layer != "output").cloned().collect()),
            _ if self.all.iter().any(|layer| layer == name) => Ok(vec![name.to_owned()]),
            _ => {
                let words = ["first", "first_dense", "last_hidden", "all"].into_iter();
                Err(unknown_layer(name, words.chain(self.all.iter().map(String::as_str))))
            }
        }
    }
}
