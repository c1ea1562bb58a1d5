//! Activation functions.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// What stands between two linear maps. A network's layer of `n` units has `copies() * n` outputs:
/// the first copy of all units, then the second. It depends on nothing but its input.
pub trait ActivationFunction: fmt::Debug + Send + Sync {
    /// f32 `[batch, units, ..]` to f32 `[batch, copies * units, ..]`.
    fn apply(&self, input: &Tensor) -> Tensor;

    /// How many outputs each unit has.
    fn copies(&self) -> i64 {
        1
    }

    /// The greatest size that an output can have, where there is one.
    fn bound(&self) -> Option<f64> {
        None
    }

    /// True if an output above 0 is linear in the input there, and one below is not in the same way: a
    /// rectifier. A unit of which one output never leaves that side is a linear one.
    fn is_rectifier(&self) -> bool {
        false
    }
}

/// The activations that come with pliant.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x * Phi(x)`, exact (Hendrycks & Gimpel, 2016).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
    /// `max(x, 0)` and `max(-x, 0)`, two outputs per unit (Shang et al., 2016).
    Crelu,
    /// `sin x` and `cos x`, two outputs per unit (Lewandowski et al., 2024).
    Fourier,
}

impl ActivationFunction for Activation {
    fn apply(&self, input: &Tensor) -> Tensor {
        match self {
            Self::Relu => input.relu(),
            Self::Gelu => input.gelu("none"),
            Self::Tanh => input.tanh(),
            Self::LeakyRelu => input.leaky_relu(),
            Self::Crelu => Tensor::cat(&[input.relu(), input.neg().relu()], 1),
            Self::Fourier => Tensor::cat(&[input.sin(), input.cos()], 1),
        }
    }

    fn bound(&self) -> Option<f64> {
        match self {
            Self::Tanh | Self::Fourier => Some(1.0),
            Self::Relu | Self::Gelu | Self::LeakyRelu | Self::Crelu => None,
        }
    }

    fn is_rectifier(&self) -> bool {
        match self {
            Self::Relu | Self::LeakyRelu | Self::Crelu => true,
            Self::Gelu | Self::Tanh | Self::Fourier => false,
        }
    }

    fn copies(&self) -> i64 {
        match self {
            Self::Crelu | Self::Fourier => 2,
            Self::Relu | Self::Gelu | Self::Tanh | Self::LeakyRelu => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(activation: Activation) -> Vec<f32> {
        let input = Tensor::from_slice(&[-2.0f32, 0.5]).reshape([1, 2]);
        Vec::try_from(&activation.apply(&input).reshape([-1])).expect("f32")
    }

    #[test]
    fn activations_by_hand() {
        let close = |activation, expected: &[f64]| {
            let actual = applied(activation);
            assert_eq!(actual.len(), expected.len(), "{activation:?}");
            for (actual, expected) in actual.iter().zip(expected) {
                let error = (f64::from(*actual) - expected).abs();
                assert!(error < 1e-6, "{activation:?}: {actual}, expected {expected}");
            }
        };
        close(Activation::Relu, &[0.0, 0.5]);
        // Phi(-2) = 0.0227501319, Phi(0.5) = 0.6914624613.
        close(Activation::Gelu, &[-0.045_500_264, 0.345_731_231]);
        close(Activation::Tanh, &[-0.964_027_580, 0.462_117_157]);
        close(Activation::LeakyRelu, &[-0.02, 0.5]);
        close(Activation::Crelu, &[0.0, 0.5, 2.0, 0.0]);
        close(Activation::Fourier, &[-0.909_297_427, 0.479_425_539, -0.416_146_837, 0.877_582_562]);
    }
}
