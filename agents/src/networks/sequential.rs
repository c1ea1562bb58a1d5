//! Networks that apply their layers one after the other.

use pliant_core::{
    error::{Error, Result},
    network::{
        Activation, ActivationFunction, HiddenLayer, Network, NetworkPlan, NetworkSpec,
        NormPosition, Pass,
    },
    tch::Tensor,
    variables::VariableSource,
};

use super::{
    Initialization,
    maker::{Maker, Shape},
    parts::Layer,
    tail::{Tail, TailRecipe},
};

/// A hidden layer to be made.
#[derive(Clone, Copy, Debug)]
enum Recipe {
    /// Square kernels, no padding.
    Convolution { units: i64, kernel: i64, stride: i64 },
    /// Flattens what comes in.
    Dense { units: i64 },
}

/// The layers of a network from input to output, and how they are made. Plasticity injection leaves
/// the encoder as it is and renews the rest: the dense layers after the convolutions, or where there
/// are none the output layer alone.
#[derive(Clone, Debug)]
pub(super) struct Recipes {
    encoder: Vec<(String, Recipe)>,
    dense: Vec<(String, i64)>,
    initialization: Initialization,
    activation: Activation,
    shared_output_bias: bool,
}

impl Recipes {
    /// No layers yet.
    pub fn new(
        initialization: Initialization,
        activation: Activation,
        shared_output_bias: bool,
    ) -> Self {
        let (encoder, dense) = (Vec::new(), Vec::new());
        Self { encoder, dense, initialization, activation, shared_output_bias }
    }

    /// Adds a convolution to the encoder.
    pub fn convolution(mut self, name: &str, units: i64, kernel: i64, stride: i64) -> Self {
        self.encoder.push((name.to_owned(), Recipe::Convolution { units, kernel, stride }));
        self
    }

    /// Adds a dense layer to the encoder.
    pub fn dense_encoder(mut self, name: &str, units: i64) -> Self {
        self.encoder.push((name.to_owned(), Recipe::Dense { units }));
        self
    }

    /// Adds a dense layer after the encoder.
    pub fn dense(mut self, name: &str, units: i64) -> Self {
        self.dense.push((name.to_owned(), units));
        self
    }

    /// An error if a network of plain layers has no place for something planned.
    pub fn check_plan(&self, plan: &NetworkPlan) -> Result<(), String> {
        let is_affine_after = plan
            .norm
            .is_some_and(|norm| norm.affine && norm.position == NormPosition::AfterActivation);
        let planned = plan.activation.as_ref().map(|planned| planned.function.copies());
        if is_affine_after && planned.unwrap_or_else(|| self.activation.copies()) > 1 {
            return Err(
                "an affine normalisation after an activation with several outputs per unit has no \
                 place here: put it before the activation, or take `affine = false`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Makes the network. An error if a kernel does not fit its input.
    pub fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let mut maker = Maker::new(spec, variables, self.initialization, self.activation);
        let (mut shape, mut hidden, mut encoder) =
            (spec.observation.to_vec(), Vec::new(), Vec::new());
        for (name, recipe) in &self.encoder {
            encoder.push(make_layer(&mut maker, name, *recipe, &mut shape, &mut hidden)?);
        }
        let recipe = TailRecipe { dense: &self.dense, shared_bias: self.shared_output_bias };
        let tail = Tail::make(&mut maker, recipe, shape.iter().product(), &mut hidden);
        Ok(Box::new(Sequential { encoder, tail, hidden }))
    }
}

/// Makes a layer on an input of `shape` (of one example), which becomes that of its output.
fn make_layer(
    maker: &mut Maker<'_, '_>,
    name: &str,
    recipe: Recipe,
    shape: &mut Vec<i64>,
    hidden: &mut Vec<HiddenLayer>,
) -> Result<Layer> {
    let (map, spatial) = match recipe {
        Recipe::Dense { units } => {
            let inputs = shape.iter().product();
            (Shape::Dense { inputs, units: maker.units(units) }, Vec::new())
        }
        Recipe::Convolution { units, kernel, stride } => {
            let &[channels, height, width] = shape.as_slice() else {
                unreachable!("the convolutions of a recipe come before its dense layers")
            };
            if height.min(width) < kernel {
                return Err(Error::Invalid(format!(
                    "`{name}`: a kernel of {kernel}x{kernel} does not fit its input of \
                     {height}x{width}"
                )));
            }
            let units = maker.units(units);
            let size = |input: i64| (input - kernel) / stride + 1;
            let map = Shape::Convolution { channels, units, kernel, stride, padding: 0 };
            (map, vec![size(height), size(width)])
        }
    };
    let weight = maker.name(name, "weight");
    if let Some(before) = hidden.last_mut() {
        before.outgoing.push(weight);
    }
    let layer = maker.layer(name, map);
    hidden.push(maker.describe_layer(name, &layer, map.units()));
    *shape = [vec![map.units() * maker.copies()], spatial].concat();
    Ok(layer)
}

/// Hidden layers and a linear output layer, applied one after the other.
#[derive(Debug)]
struct Sequential {
    encoder: Vec<Layer>,
    tail: Tail,
    hidden: Vec<HiddenLayer>,
}

impl Network for Sequential {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut features = observations.shallow_clone();
        for layer in &self.encoder {
            features = layer.forward(&features, pass);
        }
        self.tail.forward(&features, pass)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &self.hidden
    }

    fn prefers_channels_last(&self) -> bool {
        self.encoder.first().is_some_and(|layer| layer.map.form.is_convolution())
    }
}
