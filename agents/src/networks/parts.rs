//! The parts that networks are made of, as functions of tensors.

use std::sync::Arc;

use pliant_core::{
    network::{ActivationFunction, Norm, NormKind, NormPosition, PowerIteration},
    tch::{Kind, Tensor},
    variables::Init,
};

use super::maker::Maker;

/// A weight, perhaps divided by its spectral norm.
#[derive(Debug)]
pub(super) struct Weight {
    pub tensor: Tensor,
    pub spectral: Option<Spectral>,
}

/// What a weight is scaled to.
#[derive(Debug)]
pub(super) struct Spectral {
    /// Estimate of the left singular vector, f32 `[units]`; moved on by whoever planned it.
    pub u: Tensor,
    /// The spectral norm that the weight gets.
    pub norm: f64,
}

impl Weight {
    /// What the inputs are multiplied by: `norm * W / sigma(W)` (Miyato et al., 2018, equation 8). A
    /// weight of 0 is not divided.
    fn value(&self) -> Tensor {
        match &self.spectral {
            None => self.tensor.shallow_clone(),
            Some(Spectral { u, norm }) => {
                let sigma = PowerIteration::step(&self.tensor, u).sigma(&self.tensor);
                let divisor = sigma.where_self(&sigma.gt(1e-12), &sigma.ones_like());
                &self.tensor * (divisor.reciprocal() * *norm)
            }
        }
    }
}

/// A linear map.
#[derive(Debug)]
pub(super) enum Map {
    /// `weight` is `[units, inputs]`; flattens what comes in to f32 `[batch, inputs]`.
    Dense { weight: Weight, bias: Option<Tensor> },
    /// `weight` is `[units, channels, kernel, kernel]`.
    Convolution { weight: Weight, bias: Option<Tensor>, stride: i64, padding: i64 },
}

impl Map {
    pub fn apply(&self, input: &Tensor) -> Tensor {
        match self {
            Self::Dense { weight, bias } => {
                input.flatten(1, -1).linear(&weight.value(), bias.as_ref())
            }
            Self::Convolution { weight, bias, stride, padding } => {
                input.conv2d(&weight.value(), bias.as_ref(), [*stride; 2], [*padding; 2], [1; 2], 1)
            }
        }
    }
}

/// A [`Norm`] with its variables, one scale and offset per channel.
#[derive(Debug)]
pub(super) struct Normalization {
    norm: Norm,
    scale: Option<Tensor>,
    offset: Option<Tensor>,
}

impl Normalization {
    pub fn new(norm: Norm, layer: &str, channels: i64, maker: &mut Maker<'_, '_>) -> Self {
        let mut variable = |part: &str, init| {
            norm.affine.then(|| maker.variable(&format!("{layer}/{part}"), &[channels], init))
        };
        let scale = variable("norm_scale", Init::Ones);
        let offset = match norm.kind {
            NormKind::Layer => variable("norm_offset", Init::Zeros),
            NormKind::RootMeanSquare => None,
        };
        Self { norm, scale, offset }
    }

    /// What the variables of such a normalisation are called.
    pub fn parts_of(norm: Norm) -> &'static [&'static str] {
        match (norm.affine, norm.kind) {
            (false, _) => &[],
            (true, NormKind::RootMeanSquare) => &["norm_scale"],
            (true, NormKind::Layer) => &["norm_scale", "norm_offset"],
        }
    }

    /// What its variables are called.
    pub fn parts(&self) -> &'static [&'static str] {
        Self::parts_of(self.norm)
    }

    /// Normalises f32 `[batch, channels, ..]` over everything but the batch.
    pub fn apply(&self, input: &Tensor) -> Tensor {
        match self.norm.kind {
            // Group normalisation with a single group.
            NormKind::Layer => {
                input.group_norm(1, self.scale.as_ref(), self.offset.as_ref(), self.norm.eps, true)
            }
            NormKind::RootMeanSquare => self.divide_by_root_mean_square(input),
        }
    }

    fn divide_by_root_mean_square(&self, input: &Tensor) -> Tensor {
        let dimensions: Vec<i64> = (1..input.dim() as i64).collect();
        let mean_square = input.square().mean_dim(dimensions, true, Kind::Float);
        let normalised = input * (mean_square + self.norm.eps).rsqrt();
        match &self.scale {
            None => normalised,
            Some(scale) => {
                let mut shape = vec![1; input.dim()];
                shape[1] = -1;
                normalised * scale.reshape(shape)
            }
        }
    }
}

/// Linear map, activation, and a normalisation before or after it.
#[derive(Debug)]
pub(super) struct Layer {
    pub map: Map,
    pub norm: Option<Normalization>,
    pub activation: Arc<dyn ActivationFunction>,
}

impl Layer {
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let mapped = self.map.apply(input);
        match &self.norm {
            None => self.activation.apply(&mapped),
            Some(norm) => match norm.norm.position {
                NormPosition::BeforeActivation => self.activation.apply(&norm.apply(&mapped)),
                NormPosition::AfterActivation => norm.apply(&self.activation.apply(&mapped)),
            },
        }
    }
}

/// The linear output layer.
#[derive(Debug)]
pub(super) struct Output {
    pub map: Map,
    /// f32 `[outputs]`, or fewer that are repeated.
    pub bias: Tensor,
    pub repeats: i64,
}

impl Output {
    /// f32 `[batch, features]` to f32 `[batch, outputs]`.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        let outputs = self.map.apply(features);
        if self.repeats == 1 || self.bias.numel() == 1 {
            outputs + &self.bias
        } else {
            outputs + self.bias.repeat([self.repeats])
        }
    }
}
