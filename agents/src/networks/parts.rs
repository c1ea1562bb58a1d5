//! The parts that networks are made of, as functions of tensors.

use std::sync::Arc;

use pliant_core::{
    network::{
        ActivationFunction, Norm, NormKind, NormPosition, Pass, PowerIteration, Traced, linear,
    },
    tch::{Kind, Tensor},
    variables::Init,
};

use super::maker::Maker;

/// A tensor that is learned, with the name by which others know it.
#[derive(Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub tensor: Tensor,
}

/// A weight, perhaps divided by its spectral norm.
#[derive(Debug)]
pub(super) struct Weight {
    pub parameter: Parameter,
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
        let weight = &self.parameter.tensor;
        match &self.spectral {
            None => weight.shallow_clone(),
            Some(Spectral { u, norm }) => {
                let sigma = PowerIteration::step(weight, u).sigma(weight);
                let divisor = sigma.where_self(&sigma.gt(1e-12), &sigma.ones_like());
                weight * (divisor.reciprocal() * *norm)
            }
        }
    }
}

/// A linear map.
#[derive(Debug)]
pub(super) struct Map {
    pub weight: Weight,
    pub bias: Option<Parameter>,
    pub form: Form,
}

/// How a linear map meets its input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// `weight` is `[units, inputs]`.
    Dense,
    /// `weight` is `[units, channels, kernel, kernel]`.
    Convolution { stride: i64, padding: i64 },
}

impl Form {
    pub fn is_convolution(self) -> bool {
        matches!(self, Self::Convolution { .. })
    }
}

impl Map {
    /// A dense map flattens what comes in to f32 `[batch, inputs]`.
    pub fn apply(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let (weight, bias) = (self.weight.value(), self.bias.as_ref().map(|bias| &bias.tensor));
        match self.form {
            Form::Dense => {
                let flat = input.flatten(1, -1);
                let output = linear(&flat, &weight, bias);
                self.trace(&flat, &output, pass);
                output
            }
            Form::Convolution { stride, padding } => {
                let output = convolved(input, &weight, bias, stride, padding);
                self.trace(input, &output, pass);
                output
            }
        }
    }

    /// A dense map on every token of f32 `[batch, tokens, inputs]`.
    pub fn apply_to_tokens(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let (weight, bias) = (self.weight.value(), self.bias.as_ref().map(|bias| &bias.tensor));
        let size = tokens.size();
        let output = linear(&tokens.reshape([size[0] * size[1], size[2]]), &weight, bias);
        let output = output.reshape([size[0], size[1], -1]);
        self.trace(tokens, &output, pass);
        output
    }

    /// A weight that is divided by its norm does not enter linearly and is passed over.
    fn trace(&self, input: &Tensor, output: &Tensor, pass: &mut Pass<'_>) {
        if !pass.is_traced() {
            return;
        }
        let (input, output) = (input.shallow_clone(), output.shallow_clone());
        if let Some(bias) = &self.bias {
            // Behind the batch: the units first in a convolution, last in a dense map.
            let view = match self.form {
                Form::Dense => vec![-1],
                Form::Convolution { .. } => vec![-1, 1, 1],
            };
            let (variable, output) = (bias.name.clone(), output.shallow_clone());
            pass.trace(Traced::Elementwise { variable, view, factor: None, output });
        }
        if self.weight.spectral.is_none() {
            let weight = self.weight.parameter.name.clone();
            pass.trace(match self.form {
                Form::Dense => Traced::Dense { weight, input, output },
                Form::Convolution { stride, padding } => {
                    Traced::Convolution { weight, input, output, stride, padding }
                }
            });
        }
    }
}

/// A convolution with square kernels. One of 1x1 reads every `stride`-th row and column, which are taken here:
/// oneDNN's own way of taking them writes past its workspace where the channels are last in memory and fewer
/// than a vector of them, and leaves wrong gradients of the weight (its issue 6035; libtorch 2.11).
fn convolved(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: i64,
) -> Tensor {
    let convolve = |input: &Tensor, stride: i64| {
        input.conv2d(weight, bias, [stride; 2], [padding; 2], [1; 2], 1)
    };
    if stride > 1 && padding == 0 && weight.size()[3] == 1 {
        convolve(&input.slice(2, None, None, stride).slice(3, None, None, stride), 1)
    } else {
        convolve(input, stride)
    }
}

/// `normalised * scale + offset`, where both have the shape `view` behind the batch; traced.
pub(super) fn rescaled(
    normalised: &Tensor,
    scale: Option<&Parameter>,
    offset: Option<&Parameter>,
    view: &[i64],
    pass: &mut Pass<'_>,
) -> Tensor {
    let scaled = scale.map(|scale| normalised * scale.tensor.reshape(view));
    let scaled = scaled.unwrap_or_else(|| normalised.shallow_clone());
    let output = offset.map(|offset| &scaled + offset.tensor.reshape(view)).unwrap_or(scaled);
    if !pass.is_traced() {
        return output;
    }
    let mut trace = |parameter: &Parameter, factor| {
        let (variable, output) = (parameter.name.clone(), output.shallow_clone());
        pass.trace(Traced::Elementwise { variable, view: view.to_vec(), factor, output });
    };
    if let Some(scale) = scale {
        trace(scale, Some(normalised.detach()));
    }
    if let Some(offset) = offset {
        trace(offset, None);
    }
    output
}

/// A [`Norm`] with its variables, one scale and offset per channel.
#[derive(Debug)]
pub(super) struct Normalization {
    norm: Norm,
    scale: Option<Parameter>,
    offset: Option<Parameter>,
}

impl Normalization {
    pub fn new(norm: Norm, layer: &str, channels: i64, maker: &mut Maker<'_, '_>) -> Self {
        let mut variable = |part: &str, init| {
            norm.affine.then(|| maker.parameter(&format!("{layer}/{part}"), &[channels], init))
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
    pub fn apply(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let Self { norm, scale, offset } = self;
        match norm.kind {
            // Group normalisation with a single group.
            NormKind::Layer if !pass.is_traced() => {
                let [scale, offset] = [scale, offset].map(|it| it.as_ref().map(|it| &it.tensor));
                input.group_norm(1, scale, offset, norm.eps, true)
            }
            NormKind::Layer => {
                let none = None::<&Tensor>;
                let normalised = input.group_norm(1, none, none, norm.eps, true);
                self.rescaled(&normalised, pass)
            }
            NormKind::RootMeanSquare => {
                let dimensions: Vec<i64> = (1..input.dim() as i64).collect();
                let mean_square = input.square().mean_dim(dimensions, true, Kind::Float);
                self.rescaled(&(input * (mean_square + norm.eps).rsqrt()), pass)
            }
        }
    }

    fn rescaled(&self, normalised: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut view = vec![1; normalised.dim() - 1];
        view[0] = -1;
        rescaled(normalised, self.scale.as_ref(), self.offset.as_ref(), &view, pass)
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
    /// Records what the units gave, before a normalisation that follows them: a unit that is silent is
    /// silent whatever it is shifted to.
    pub fn forward(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mapped = self.map.apply(input, pass);
        let norm_at = |position| self.norm.as_ref().filter(|norm| norm.norm.position == position);
        let before = norm_at(NormPosition::BeforeActivation);
        let normed = before.map(|norm| norm.apply(&mapped, pass));
        let activated = self.activation.apply(normed.as_ref().unwrap_or(&mapped));
        pass.record(&activated);
        match norm_at(NormPosition::AfterActivation) {
            None => activated,
            Some(norm) => norm.apply(&activated, pass),
        }
    }
}

/// The linear output layer.
#[derive(Debug)]
pub(super) struct Output {
    pub map: Map,
    /// f32 `[outputs]`, or fewer that are repeated.
    pub bias: Parameter,
    pub repeats: i64,
}

impl Output {
    /// f32 `[batch, features]` to f32 `[batch, outputs]`.
    pub fn forward(&self, features: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let outputs = self.map.apply(features, pass);
        let each = outputs.reshape([-1, self.repeats, self.bias.tensor.numel() as i64]);
        rescaled(&each, None, Some(&self.bias), &[1, -1], pass).flatten(1, -1)
    }
}
