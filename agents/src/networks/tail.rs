//! The last part of every network: dense layers and the output, and beside them what plasticity
//! injection adds.

use pliant_core::{
    network::{HiddenLayer, Pass},
    tch::Tensor,
};

use super::{
    maker::{Maker, Shape},
    parts::{Layer, Output},
};

/// Dense layers, by name and units, and the linear output layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct TailRecipe<'a> {
    pub dense: &'a [(String, i64)],
    /// One bias for all actions rather than one for each.
    pub shared_bias: bool,
}

/// Dense layers and the output.
#[derive(Debug)]
struct Part {
    layers: Vec<Layer>,
    output: Output,
}

impl Part {
    fn forward(&self, features: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut features = features.flatten(1, -1);
        for layer in &self.layers {
            features = layer.forward(&features, pass);
        }
        pass.record_features(&features);
        self.output.forward(&features, pass)
    }
}

/// What stands beside the part that learns after plasticity injection (Nikishin et al., 2023): the outputs are `frozen + learned - start`.
#[derive(Debug)]
struct Injected {
    frozen: Part,
    start: Part,
}

/// The last part of a network.
#[derive(Debug)]
pub(super) struct Tail {
    learned: Part,
    injected: Option<Injected>,
}

impl Tail {
    /// Makes it on so many features of the encoder whose last hidden layers are in `hidden`, and adds its
    /// own to them. The plan's auxiliary heads are made too.
    pub fn make(
        maker: &mut Maker<'_, '_>,
        recipe: TailRecipe<'_>,
        features: i64,
        hidden: &mut Vec<HiddenLayer>,
    ) -> Self {
        if !maker.plan().is_injected {
            let learned = make_part(maker, recipe, features, hidden);
            return Self { learned, injected: None };
        }
        // The frozen copies read the encoder too, so its last units cannot be cut off.
        if let Some(last) = hidden.last_mut() {
            last.is_residual = true;
        }
        let unlisted = &mut Vec::new();
        maker.within("", true);
        let frozen = make_part(maker, recipe, features, unlisted);
        maker.within("injected_start/", true);
        let start = make_part(maker, recipe, features, unlisted);
        maker.within("injected/", false);
        let learned = make_part(maker, recipe, features, hidden);
        maker.within("", false);
        Self { learned, injected: Some(Injected { frozen, start }) }
    }

    /// f32 `[batch, outputs]` of f32 `[batch, ..]`.
    pub fn forward(&self, features: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let outputs = self.learned.forward(features, pass);
        match &self.injected {
            None => outputs,
            Some(Injected { frozen, start }) => {
                let silent = &mut Pass::evaluation(None);
                let before = frozen.forward(features, silent);
                before + (outputs - start.forward(features, silent))
            }
        }
    }
}

fn make_part(
    maker: &mut Maker<'_, '_>,
    recipe: TailRecipe<'_>,
    features: i64,
    hidden: &mut Vec<HiddenLayer>,
) -> Part {
    let read_by = |hidden: &mut Vec<HiddenLayer>, weight: String| {
        if let Some(last) = hidden.last_mut() {
            last.outgoing.push(weight);
        }
    };
    let mut inputs = features;
    let mut layers = Vec::new();
    for (name, units) in recipe.dense {
        let units = maker.units(*units);
        let layer = maker.layer(name, Shape::Dense { inputs, units });
        read_by(hidden, maker.name(name, "weight"));
        hidden.push(maker.describe_layer(name, &layer, units));
        layers.push(layer);
        inputs = units * maker.copies();
    }
    let output = maker.output(inputs, recipe.shared_bias);
    read_by(hidden, maker.name("output", "weight"));
    maker.auxiliary_heads(inputs);
    Part { layers, output }
}
