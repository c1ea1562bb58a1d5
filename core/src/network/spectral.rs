//! The largest singular value of a weight, by power iteration.

use pliant_torch_ext::autocast::full;
use tch::{Kind, Tensor, no_grad};

/// Name of the buffer with the left singular vector's estimate of a layer's weight, f32 `[units]`.
pub fn spectral_buffer(layer: &str) -> String {
    format!("{layer}/spectral_u")
}

/// The estimates after one power iteration on a weight `[units, ..]`, seen as a matrix `[units, inputs]`.
/// In f32, whatever the pass around it computes in.
#[derive(Debug)]
pub struct PowerIteration {
    /// The left singular vector, f32 `[units]`.
    pub u: Tensor,
    /// The right one, f32 `[inputs]`.
    pub v: Tensor,
}

impl PowerIteration {
    /// One step from the estimate `u` (which stays where the weight leads nowhere, as at 0); no gradient
    /// flows through it.
    pub fn step(weight: &Tensor, u: &Tensor) -> Self {
        let matrix = weight.detach().flatten(1, -1);
        let any = Tensor::full_like(&matrix.select(0, 0), 1.0 / (matrix.size()[1] as f64).sqrt());
        let step = || {
            let v = unit(&matrix.transpose(0, 1).mv(u), &any);
            let u = unit(&matrix.mv(&v), u);
            Self { u, v }
        };
        no_grad(|| full(weight.device(), step))
    }

    /// So many steps from the estimate `u`.
    pub fn steps(weight: &Tensor, u: &Tensor, count: u32) -> Tensor {
        (0..count).fold(u.shallow_clone(), |u, _| Self::step(weight, &u).u)
    }

    /// `u^T W v`, a scalar tensor through which the gradient reaches the weight.
    pub fn sigma(&self, weight: &Tensor) -> Tensor {
        full(weight.device(), || self.u.dot(&weight.flatten(1, -1).mv(&self.v)))
    }
}

/// Scaled to length 1; `otherwise` if it has none.
fn unit(vector: &Tensor, otherwise: &Tensor) -> Tensor {
    let length = vector.square().sum(Kind::Float).sqrt();
    (vector / &length).where_self(&length.gt(1e-12), otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::Seeds;

    #[test]
    fn at_zero_the_estimate_stays_and_there_is_still_a_gradient() {
        let weight = Tensor::zeros([2, 4], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let u = Tensor::from_slice(&[0.6f32, 0.8]);
        let step = PowerIteration::step(&weight, &u);
        assert!(step.u.equal(&u));
        let sigma = step.sigma(&weight);
        assert_eq!(sigma.double_value(&[]), 0.0);
        sigma.backward();
        // u v^T, with any v of length 1.
        let length = weight.grad().square().sum(Kind::Float).double_value(&[]);
        assert!((length - 1.0).abs() < 1e-6, "{length}");
    }

    #[test]
    fn it_finds_the_largest_singular_value_and_its_gradient() {
        let mut stream = Seeds::new(0).stream("test");
        let weight = stream.normal(&[6, 2, 2, 2], 1.0).set_requires_grad(true);
        let mut u = stream.normal(&[6], 1.0);
        for _ in 0..200 {
            u = PowerIteration::step(&weight, &u).u;
        }
        let sigma = PowerIteration::step(&weight, &u).sigma(&weight);
        let matrix = weight.detach().flatten(1, -1);
        let (left, values, right) = matrix.svd(true, true);
        let error = (values.double_value(&[0]) - sigma.double_value(&[])).abs();
        assert!(error < 1e-5, "off by {error:e}");
        sigma.backward();
        // d sigma / d W = u v^T, whatever the common sign of u and v.
        let expected = left.select(1, 0).outer(&right.select(1, 0)).reshape([6, 2, 2, 2]);
        let error = (weight.grad() - expected).abs().max().double_value(&[]);
        assert!(error < 1e-4, "gradient off by {error:e}");
    }
}
