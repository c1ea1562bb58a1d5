//! A block of two convolutions with their normalisations.

use pliant_core::{
    network::{ActivationFunction, Pass},
    tch::Tensor,
    variables::Init,
};

use crate::networks::{
    maker::Maker,
    parts::{Map, Normalization, Parameter, rescaled},
};

/// Batch normalisation (Ioffe & Szegedy, 2015).
#[derive(Debug)]
pub(super) struct BatchNorm {
    scale: Parameter,
    offset: Parameter,
    running_mean: Tensor,
    running_variance: Tensor,
}

impl BatchNorm {
    pub fn make(maker: &mut Maker<'_, '_>, layer: &str, units: i64) -> Self {
        let name = |part: &str| format!("{layer}/{part}");
        Self {
            scale: maker.parameter(&name("norm_scale"), &[units], Init::Ones),
            offset: maker.parameter(&name("norm_offset"), &[units], Init::Zeros),
            running_mean: maker.buffer(&name("running_mean"), &[units], Init::Zeros),
            running_variance: maker.buffer(&name("running_variance"), &[units], Init::Ones),
        }
    }

    fn apply(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let uses_batch = pass.uses_batch_statistics();
        let moves_or_uses = pass.is_training() || !uses_batch;
        let normalised = |scale, offset| {
            input.batch_norm(
                scale,
                offset,
                moves_or_uses.then_some(&self.running_mean),
                moves_or_uses.then_some(&self.running_variance),
                uses_batch,
                0.1,
                1e-5,
                true,
            )
        };
        let (scale, offset) = (&self.scale, &self.offset);
        if !pass.is_traced() {
            return normalised(Some(&scale.tensor), Some(&offset.tensor));
        }
        rescaled(&normalised(None, None), Some(scale), Some(offset), &[-1, 1, 1], pass)
    }
}

#[derive(Debug)]
pub(super) enum Norm {
    None,
    Batch(BatchNorm),
    Planned(Normalization),
}

/// A convolution with its normalisation, and no activation.
#[derive(Debug)]
pub(super) struct Convolution {
    pub map: Map,
    pub norm: Norm,
}

impl Convolution {
    pub fn forward(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mapped = self.map.apply(input, pass);
        match &self.norm {
            Norm::None => mapped,
            Norm::Batch(norm) => norm.apply(&mapped, pass),
            Norm::Planned(norm) => norm.apply(&mapped, pass),
        }
    }
}

/// `act(conv2(act(conv1(x))) + shortcut(x))`.
#[derive(Debug)]
pub(super) struct Block {
    pub first: Convolution,
    pub second: Convolution,
    pub shortcut: Option<Convolution>,
}

impl Block {
    pub fn forward(
        &self,
        input: &Tensor,
        activation: &dyn ActivationFunction,
        pass: &mut Pass<'_>,
    ) -> Tensor {
        let inner = activation.apply(&self.first.forward(input, pass));
        pass.record(&inner);
        let mapped = self.second.forward(&inner, pass);
        let stream = match &self.shortcut {
            None => mapped + input,
            Some(shortcut) => mapped + shortcut.forward(input, pass),
        };
        let output = activation.apply(&stream);
        pass.record(&output);
        output
    }
}
