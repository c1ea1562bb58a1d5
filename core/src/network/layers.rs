//! Layers by name, and the words that stand for some of them.

use tch::Device;

use super::{Architecture, AuxiliaryHead, Network, NetworkPlan, NetworkSpec, SpectralNorm};
use crate::{
    error::{Error, Result},
    seeds::Stream,
    variables::{VariableSource, Variables},
};

/// Layers with a learned weight of at least two dimensions, in the order they were made.
pub(super) fn weighted(variables: &Variables) -> Vec<String> {
    let layer = |(name, _): (&str, _)| name.strip_suffix("/weight").map(str::to_owned);
    variables.weights().filter_map(layer).collect()
}

/// What is said of a layer that is not there.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<String> = known.map(|layer| format!("`{layer}`")).collect();
    format!("no layer `{name}`, expected one of {}", known.join(", "))
}

/// The plan's spectral norms with the names of layers in the place of `first`, `all`, ..; found by
/// building the network once without them.
pub(super) fn resolve_spectral(
    architecture: &dyn Architecture,
    spec: &NetworkSpec,
    stream: &Stream,
) -> Result<Vec<SpectralNorm>> {
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
    let (variables, auxiliary) = (&source.finish(), &spec.plan.auxiliary);
    let choices = Layers { network: network.as_ref(), variables, auxiliary }.choices();
    let mut resolved = spec.plan.spectral.clone();
    let mut taken: Vec<String> = Vec::new();
    for norm in &mut resolved {
        let chosen = norm.layers.iter().map(|name| choices.of(name)).collect::<Result<Vec<_>, _>>();
        norm.layers = chosen.map_err(Error::Invalid)?.concat();
        for layer in &norm.layers {
            if taken.contains(layer) {
                return Err(Error::Invalid(format!(
                    "the spectral norm of layer `{layer}` is planned twice (by `spectral_norm`)"
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
    auxiliary: &'a [AuxiliaryHead],
}

/// The layers that words like `first` stand for.
struct Choices {
    known: Vec<String>,
    /// Neither the output nor an auxiliary head.
    hidden: Vec<String>,
    first_dense: Option<String>,
    last_hidden: Option<String>,
}

impl Layers<'_> {
    fn choices(&self) -> Choices {
        let is_auxiliary = |layer: &String| self.auxiliary.iter().any(|head| head.name == *layer);
        let mut known = weighted(self.variables);
        known.retain(|layer| !is_auxiliary(layer));
        let is_hidden = |layer: &&String| *layer != "output";
        let hidden: Vec<String> = known.iter().filter(is_hidden).cloned().collect();
        let is_dense = |layer: &&String| {
            self.variables.get(&format!("{layer}/weight")).is_some_and(|weight| weight.dim() == 2)
        };
        let last = self.network.hidden().last().and_then(|layer| layer.incoming.first());
        Choices {
            first_dense: known.iter().find(is_dense).cloned(),
            last_hidden: last.and_then(|name| name.strip_suffix("/weight")).map(str::to_owned),
            hidden,
            known,
        }
    }
}

impl Choices {
    fn of(&self, name: &str) -> Result<Vec<String>, String> {
        let one = |layer: Option<&String>| {
            let none = || format!("{} (no layer is `{name}`)", unknown(name, self.names()));
            layer.cloned().map(|layer| vec![layer]).ok_or_else(none)
        };
        match name {
            "first" => one(self.known.first()),
            "first_dense" => one(self.first_dense.as_ref()),
            "last_hidden" => one(self.last_hidden.as_ref()),
            "all" => Ok(self.hidden.clone()),
            _ if self.known.iter().any(|layer| layer == name) => Ok(vec![name.to_owned()]),
            _ => Err(unknown(name, WORDS.into_iter().chain(self.names()))),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }
}

/// What stands for layers.
const WORDS: [&str; 4] = ["first", "first_dense", "last_hidden", "all"];
