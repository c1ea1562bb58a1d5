//! Layers, and networks that apply them one after the other.

use pliant_core::{
    error::{Error, Result},
    network::{HiddenLayer, Network, NetworkSpec, Norm, NormPosition, Taps},
    variables::{Init, VariableSource},
};
use tch::Tensor;

/// A linear map with one bias per unit.
#[derive(Debug)]
enum Map {
    /// `weight` is `[units, inputs]`; takes `[batch, ..]` and flattens it.
    Dense { weight: Tensor, bias: Tensor },
    /// `weight` is `[units, channels, kernel, kernel]`; no padding.
    Convolution { weight: Tensor, bias: Tensor, stride: i64 },
}

impl Map {
    fn apply(&self, input: &Tensor) -> Tensor {
        match self {
            Self::Dense { weight, bias } => input.flatten(1, -1).linear(weight, Some(bias)),
            Self::Convolution { weight, bias, stride } => {
                input.conv2d(weight, Some(bias), [*stride; 2], [0; 2], [1; 2], 1)
            }
        }
    }
}

/// A [`Norm`] with its variables, one scale and offset per unit.
#[derive(Debug)]
struct LayerNorm {
    norm: Norm,
    scale_and_offset: Option<(Tensor, Tensor)>,
}

impl LayerNorm {
    /// Normalises f32 `[batch, units, ..]` over everything but the batch: group normalisation with
    /// a single group.
    fn apply(&self, input: &Tensor) -> Tensor {
        let scale = self.scale_and_offset.as_ref().map(|(scale, _)| scale);
        let offset = self.scale_and_offset.as_ref().map(|(_, offset)| offset);
        input.group_norm(1, scale, offset, self.norm.eps, true)
    }
}

/// Linear map, ReLU, and the plan's normalisation before or after the ReLU.
#[derive(Debug)]
struct Layer {
    map: Map,
    norm: Option<LayerNorm>,
}

impl Layer {
    fn forward(&self, input: &Tensor) -> Tensor {
        let mapped = self.map.apply(input);
        match &self.norm {
            None => mapped.relu(),
            Some(layer_norm) => match layer_norm.norm.position {
                NormPosition::BeforeActivation => layer_norm.apply(&mapped).relu(),
                NormPosition::AfterActivation => layer_norm.apply(&mapped.relu()),
            },
        }
    }
}

/// Hidden layers and a linear output layer, applied one after the other.
#[derive(Debug)]
pub struct Sequential {
    layers: Vec<Layer>,
    hidden: Vec<HiddenLayer>,
    output_weight: Tensor,
    output_bias: Tensor,
}

impl Network for Sequential {
    fn forward(&self, observations: &Tensor, mut taps: Option<&mut Taps>) -> Tensor {
        let mut features = observations.shallow_clone();
        for layer in &self.layers {
            features = layer.forward(&features);
            Taps::record(&mut taps, &features);
        }
        features.flatten(1, -1).linear(&self.output_weight, None::<Tensor>) + &self.output_bias
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &self.hidden
    }
}

/// Makes a [`Sequential`] layer by layer, from input to output.
///
/// Weights and biases are uniform within `1 / sqrt(fan_in)`, as in DQN Zoo. A layer `name` has the
/// variables `name/weight`, `name/bias` and, if the plan asks for an affine normalisation,
/// `name/norm_scale` and `name/norm_offset`.
pub struct SequentialBuilder<'v, 's> {
    variables: &'v mut VariableSource<'s>,
    norm: Option<Norm>,
    /// Of one example, without the batch.
    shape: Vec<i64>,
    layers: Vec<Layer>,
    hidden: Vec<HiddenLayer>,
}

impl<'v, 's> SequentialBuilder<'v, 's> {
    /// No layers yet.
    pub fn new(spec: &NetworkSpec, variables: &'v mut VariableSource<'s>) -> Self {
        Self {
            variables,
            norm: spec.plan.norm,
            shape: spec.observation.to_vec(),
            layers: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Adds a convolution with square kernels and no padding. An error if the kernel does not fit.
    pub fn convolution(mut self, name: &str, units: i64, kernel: i64, stride: i64) -> Result<Self> {
        let &[channels, height, width] = self.shape.as_slice() else {
            return Err(Error::Invalid(format!(
                "`{name}`: a convolution cannot follow a dense layer"
            )));
        };
        if height < kernel || width < kernel {
            return Err(Error::Invalid(format!(
                "`{name}`: a kernel of {kernel}x{kernel} does not fit its input of {height}x{width}"
            )));
        }
        let init = Init::fan_in(channels * kernel * kernel);
        let weight = self.weight(name, &[units, channels, kernel, kernel], init);
        let bias = self.bias(name, units, init);
        let size = |input: i64| (input - kernel) / stride + 1;
        self.shape = vec![units, size(height), size(width)];
        self.push(name, units, Map::Convolution { weight, bias, stride });
        Ok(self)
    }

    /// Adds a dense layer, which flattens what comes in.
    pub fn dense(mut self, name: &str, units: i64) -> Self {
        let inputs = self.shape.iter().product();
        let init = Init::fan_in(inputs);
        let weight = self.weight(name, &[units, inputs], init);
        let bias = self.bias(name, units, init);
        self.shape = vec![units];
        self.push(name, units, Map::Dense { weight, bias });
        self
    }

    /// Adds the linear output layer `output`, with one bias per output or one for all.
    pub fn finish(mut self, outputs: i64, shared_bias: bool) -> Sequential {
        let inputs = self.shape.iter().product();
        let init = Init::fan_in(inputs);
        let output_weight = self.weight("output", &[outputs, inputs], init);
        let biases = if shared_bias { 1 } else { outputs };
        let output_bias = self.bias("output", biases, init);
        Sequential { layers: self.layers, hidden: self.hidden, output_weight, output_bias }
    }

    /// A layer's weight, which is what reads the layer before it.
    fn weight(&mut self, layer: &str, shape: &[i64], init: Init) -> Tensor {
        let name = format!("{layer}/weight");
        if let Some(before) = self.hidden.last_mut() {
            before.outgoing.push(name.clone());
        }
        self.variables.variable(&name, shape, init)
    }

    fn bias(&mut self, layer: &str, units: i64, init: Init) -> Tensor {
        self.variables.variable(&format!("{layer}/bias"), &[units], init)
    }

    fn push(&mut self, name: &str, units: i64, map: Map) {
        let mut incoming = vec![format!("{name}/weight"), format!("{name}/bias")];
        let norm = self.norm.map(|norm| LayerNorm {
            norm,
            scale_and_offset: norm.affine.then(|| {
                let [scale, offset] =
                    ["norm_scale", "norm_offset"].map(|part| format!("{name}/{part}"));
                incoming.extend([scale.clone(), offset.clone()]);
                (
                    self.variables.variable(&scale, &[units], Init::Ones),
                    self.variables.variable(&offset, &[units], Init::Zeros),
                )
            }),
        });
        self.layers.push(Layer { map, norm });
        let name = name.to_owned();
        self.hidden.push(HiddenLayer { name, units, incoming, outgoing: Vec::new() });
    }
}
