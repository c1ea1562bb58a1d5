//! How single examples enter the gradients of parameters.
//!
//! The gradient of a loss that is a sum over examples is a sum too; what a network writes down here while it
//! computes is enough to find every example's part from one backward pass.

use tch::Tensor;

/// One place at which a parameter enters a forward pass. `output` is what further layers read: the gradient
/// that arrives there holds every example's part.
#[derive(Debug)]
pub enum Traced {
    /// `output[i, .., u] = sum_k input[i, .., k] weight[u, k]`, perhaps with more added: f32 `[batch, inputs]`
    /// to `[batch, units]`, or `[batch, places, inputs]` to `[batch, places, units]`.
    Dense {
        /// Name of the weight `[units, inputs]`.
        weight: String,
        /// What it reads.
        input: Tensor,
        /// What comes of it.
        output: Tensor,
    },
    /// A convolution without dilation or groups.
    Convolution {
        /// Name of the weight `[units, channels, kernel, kernel]`.
        weight: String,
        /// f32 `[batch, channels, height, width]`.
        input: Tensor,
        /// f32 `[batch, units, ..]`.
        output: Tensor,
        /// In both directions.
        stride: i64,
        /// In both directions.
        padding: i64,
    },
    /// `output[i] = parameter * factor[i]`, perhaps with more added, where the parameter, seen in the shape
    /// `view`, is spread over the shape of one example; without a factor, of 1.
    Elementwise {
        /// Name of the parameter.
        variable: String,
        /// The parameter's shape among the dimensions behind the batch.
        view: Vec<i64>,
        /// f32, of the output's shape.
        factor: Option<Tensor>,
        /// f32 `[batch, ..]`.
        output: Tensor,
    },
}

impl Traced {
    /// The parameter's name.
    pub fn variable(&self) -> &str {
        match self {
            Self::Dense { weight, .. } | Self::Convolution { weight, .. } => weight,
            Self::Elementwise { variable, .. } => variable,
        }
    }

    /// Where the gradient arrives.
    pub fn output(&self) -> &Tensor {
        match self {
            Self::Dense { output, .. }
            | Self::Convolution { output, .. }
            | Self::Elementwise { output, .. } => output,
        }
    }
}
