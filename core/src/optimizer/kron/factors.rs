//! The Kronecker factors of one variable's preconditioner: `P = Q^T Q`, where `Q` is the Kronecker
//! product of one factor per dimension of the variable (Li, 2018: Preconditioner on matrix Lie group for
//! SGD).

use tch::{Device, Kind, Tensor};

/// Keeps divisions by zero away, as in kron_torch: bfloat16's smallest normal number.
const TINY: f64 = 1.175_494_350_822_287_5e-38;

/// One factor per dimension: upper triangular f32 `[n, n]`, or the diagonal of a diagonal one, f32 `[n]`.
#[derive(Debug)]
pub(super) struct Factors(Vec<Tensor>);

impl Factors {
    /// Multiples of the identity whose Kronecker product is `scale` times the identity.
    pub fn new(shape: &[i64], is_diagonal: &[bool], scale: f64, device: Device) -> Self {
        let options = (Kind::Float, device);
        let share = scale.powf(1.0 / shape.len().max(1) as f64);
        let factor = |(size, is_diagonal): (&i64, &bool)| {
            let ones = if *is_diagonal {
                Tensor::ones([*size], options)
            } else {
                Tensor::eye(*size, options)
            };
            ones * share
        };
        Self(shape.iter().zip(is_diagonal).map(factor).collect())
    }

    /// Those that were saved.
    pub fn from_tensors(tensors: Vec<Tensor>) -> Self {
        Self(tensors)
    }

    pub fn tensors(&self) -> &[Tensor] {
        &self.0
    }

    /// A deep copy.
    pub fn fork(&self) -> Self {
        Self(self.0.iter().map(Tensor::copy).collect())
    }

    /// Loaded factors begin in the CPU's memory.
    pub fn move_to(&mut self, device: Device) {
        for factor in self.0.iter_mut().filter(|factor| factor.device() != device) {
            *factor = factor.to_device(device);
        }
    }

    /// `P g = Q^T Q g`.
    pub fn precondition(&self, gradient: &Tensor) -> Tensor {
        let half = self.apply(gradient);
        let transposed = |x: Tensor, (dim, factor): (usize, &Tensor)| {
            along(&x, dim, |rows| match factor.dim() {
                1 => rows * factor,
                _ => rows.matmul(factor),
            })
        };
        self.0.iter().enumerate().fold(half, transposed)
    }

    /// `Q x`.
    fn apply(&self, x: &Tensor) -> Tensor {
        let applied = |x: Tensor, (dim, factor): (usize, &Tensor)| {
            along(&x, dim, |rows| match factor.dim() {
                1 => rows * factor,
                _ => rows.matmul(&factor.transpose(0, 1)),
            })
        };
        self.0.iter().enumerate().fold(x.shallow_clone(), applied)
    }

    /// `Q^-T x`.
    fn apply_inverse_transpose(&self, x: &Tensor) -> Tensor {
        let applied = |x: Tensor, (dim, factor): (usize, &Tensor)| {
            along(&x, dim, |rows| match factor.dim() {
                1 => rows / factor,
                _ => factor.linalg_solve_triangular(rows, true, false, false),
            })
        };
        self.0.iter().enumerate().fold(x.shallow_clone(), applied)
    }

    /// One step towards whitening `gradient` (Li, 2018; kron_torch): down the gradient of
    /// `E |P^1/2 g|^2 + |P^-1/2 v|^2` on the group of triangular matrices, where `noise` is
    /// standard normal and of the gradient's shape.
    pub fn update(&mut self, gradient: &Tensor, noise: &Tensor, learning_rate: f64) {
        let a = self.apply(gradient);
        let b = self.apply_inverse_transpose(noise);
        for (dim, factor) in self.0.iter_mut().enumerate() {
            let (from_gradient, from_noise) = if factor.dim() == 1 {
                (squares(&a, dim), squares(&b, dim))
            } else {
                (gram(&a, dim), gram(&b, dim))
            };
            let difference = (&from_gradient - &from_noise) * learning_rate;
            let sum = from_gradient + from_noise;
            let change = if factor.dim() == 1 {
                difference * &*factor / (sum.abs().max() + TINY)
            } else {
                (difference.triu(0) / (spectral_norm_bound(&sum) + TINY)).matmul(factor)
            };
            let _ = factor.g_sub_(&change);
        }
    }

    /// Scales the factors to the same largest element; their product stays as it is.
    pub fn balance(&mut self) {
        let largest: Vec<Tensor> = self.0.iter().map(|factor| factor.abs().max()).collect();
        let product = largest.iter().skip(1).fold(largest[0].copy(), |product, one| product * one);
        let mean = product.pow_tensor_scalar(1.0 / largest.len() as f64);
        for (factor, largest) in self.0.iter_mut().zip(&largest) {
            let _ = factor.g_mul_(&(&mean / largest));
        }
    }

    /// Forgets what was learned of units along `dim`: `is_reset` is bool `[n]`. Such a unit is scaled as
    /// the others are on average (if all are reset, as all were), and mixed with none.
    pub fn reset_units(&mut self, dim: usize, is_reset: &Tensor) {
        let factor = &mut self.0[dim];
        let kept = is_reset.logical_not().to_kind(Kind::Float);
        let is_vector = factor.dim() == 1;
        let diagonal = if is_vector { factor.shallow_clone() } else { factor.diagonal(0, 0, 1) };
        let counted = &kept + kept.sum(Kind::Float).eq(0.0);
        let mean = (&diagonal * &counted).sum(Kind::Float) / counted.sum(Kind::Float);
        let anew = is_reset.to_kind(Kind::Float) * mean;
        *factor = if is_vector {
            &*factor * kept + anew
        } else {
            &*factor * kept.outer(&kept) + anew.diag_embed(0, 0, 1)
        };
    }
}

/// Applies a map of rows to one dimension of a tensor: `map` gets `[.., n]` as a matrix whose rows run
/// along `dim`.
fn along(x: &Tensor, dim: usize, map: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let last = x.transpose(dim as i64, -1);
    let size = last.size();
    let rows = last.reshape([-1, x.size()[dim]]);
    map(&rows).reshape(size).transpose(dim as i64, -1)
}

/// `X X^T` of a tensor unfolded along `dim`: f32 `[n, n]`.
fn gram(x: &Tensor, dim: usize) -> Tensor {
    let rows = x.transpose(dim as i64, -1).reshape([-1, x.size()[dim]]);
    rows.transpose(0, 1).matmul(&rows)
}

/// The diagonal of [`gram`]: f32 `[n]`.
fn squares(x: &Tensor, dim: usize) -> Tensor {
    let rows = x.transpose(dim as i64, -1).reshape([-1, x.size()[dim]]);
    rows.square().sum_dim_intlist([0i64].as_slice(), false, Kind::Float)
}

/// A cheap lower bound of a symmetric matrix's spectral norm: one power iteration from its longest row.
fn spectral_norm_bound(matrix: &Tensor) -> Tensor {
    let largest = matrix.abs().max();
    let scaled = matrix / largest.clamp_min(TINY);
    let lengths = scaled.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    let longest = scaled.index_select(0, &lengths.argmax(0, true)).squeeze_dim(0);
    let x = scaled.mv(&longest);
    let length = x.norm().clamp_min(TINY);
    largest * scaled.mv(&(x / length)).norm()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(shape: &[i64]) -> Factors {
        Factors::new(shape, &vec![false; shape.len()], 1.0, Device::Cpu)
    }

    fn upper(n: i64, seed: i64) -> Tensor {
        let values = Tensor::arange(n * n, (Kind::Float, Device::Cpu)) * 0.7 + seed;
        (values.sin().reshape([n, n]) * 0.3 + Tensor::eye(n, (Kind::Float, Device::Cpu))).triu(0)
    }

    fn assert_close(actual: &Tensor, expected: &Tensor) {
        let error = (actual - expected).abs().max().double_value(&[]);
        assert!(error < 1e-5, "{actual:?}: off by {error:e}");
    }

    /// Against the Kronecker product written out.
    #[test]
    fn factors_act_as_their_kronecker_product() {
        let factors =
            Factors(vec![upper(2, 1), Tensor::from_slice(&[0.5f32, 2.0, -1.0]), upper(2, 5)]);
        let middle = factors.0[1].diag_embed(0, 0, 1);
        let q = factors.0[0].kron(&middle).kron(&factors.0[2]);
        let x = (Tensor::arange(12, (Kind::Float, Device::Cpu)) * 1.3).cos();
        let shaped = x.reshape([2, 3, 2]);
        assert_close(&factors.apply(&shaped).reshape([12]), &q.mv(&x));
        let p = q.transpose(0, 1).matmul(&q);
        assert_close(&factors.precondition(&shaped).reshape([12]), &p.mv(&x));
        let inverse = q.inverse().transpose(0, 1).mv(&x);
        assert_close(&factors.apply_inverse_transpose(&shaped).reshape([12]), &inverse);
    }

    /// Gradients `A z B`, whose covariance is a Kronecker product of condition number 1e4 or so: in the end
    /// `P g` has the covariance of white noise.
    #[test]
    fn gradients_are_whitened() {
        // Matrices as small as these are slower by threads.
        tch::set_num_threads(1);
        let mut stream = crate::seeds::Seeds::new(0).stream("gradients");
        let left = Tensor::from_slice(&[10f32, 3.0, 0.0, 1.0]).reshape([2, 2]);
        let right = Tensor::from_slice(&[0.2f32, 0.5, 0.5, 0.0, 2.0, 1.0, 0.0, 0.0, 0.1]);
        let right = right.reshape([3, 3]);
        let mut draw = |count: i64| {
            let z = stream.normal(&[count, 2, 3], 1.0);
            (left.matmul(&z).matmul(&right), stream.normal(&[2, 3], 1.0))
        };
        let mut factors = identity(&[2, 3]);
        for learning_rate in [0.1, 0.01] {
            for _ in 0..800 {
                let (gradient, noise) = draw(1);
                factors.update(&gradient.squeeze_dim(0), &noise, learning_rate);
            }
        }
        let gradients = draw(1000).0;
        let whitened: Vec<Tensor> =
            (0..1000).map(|index| factors.precondition(&gradients.get(index))).collect();
        let white = Tensor::stack(&whitened, 0).reshape([-1, 6]);
        let covariance = white.transpose(0, 1).matmul(&white) / 1000.0;
        let identity = Tensor::eye(6, (Kind::Float, Device::Cpu));
        let error = (covariance - identity).abs().max().double_value(&[]);
        // Seed 0: 0.16, of which 0.05 or so are the sample's. The gradients' own covariance reaches 463.
        assert!(error < 0.3, "off by {error}");
    }

    #[test]
    fn balancing_equals_the_largest_elements_and_keeps_the_product() {
        let mut factors = Factors(vec![upper(2, 1) * 100.0, upper(3, 2) * 0.01]);
        let x = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]);
        let before = factors.precondition(&x);
        factors.balance();
        assert_close(&factors.precondition(&x), &before);
        assert_close(&factors.0[0].abs().max(), &factors.0[1].abs().max());
    }

    #[test]
    fn the_bound_is_the_norm_of_a_rank_one_matrix() {
        let x = Tensor::from_slice(&[1.0f32, -2.0, 2.0]);
        assert_close(&spectral_norm_bound(&x.outer(&x)), &Tensor::from(9.0f32));
        let none = Tensor::zeros([3, 3], (Kind::Float, Device::Cpu));
        assert_close(&spectral_norm_bound(&none), &Tensor::from(0.0f32));
    }

    #[test]
    fn a_reset_unit_is_scaled_like_the_others_and_mixed_with_none() {
        let mut factors = identity(&[3, 2]);
        factors.0[0] =
            Tensor::from_slice(&[2f32, 5.0, 6.0, 0.0, 9.0, 7.0, 0.0, 0.0, 4.0]).reshape([3, 3]);
        factors.reset_units(0, &Tensor::from_slice(&[false, true, false]));
        let expected = Tensor::from_slice(&[2f32, 0.0, 6.0, 0.0, 3.0, 0.0, 0.0, 0.0, 4.0]);
        assert_close(&factors.0[0], &expected.reshape([3, 3]));
        factors.0[1] = Tensor::from_slice(&[2f32, 8.0]);
        factors.reset_units(1, &Tensor::from_slice(&[true, false]));
        assert_close(&factors.0[1], &Tensor::from_slice(&[8f32, 8.0]));
        factors.reset_units(0, &Tensor::from_slice(&[true; 3]));
        assert_close(&factors.0[0], &(Tensor::eye(3, (Kind::Float, Device::Cpu)) * 3.0));
    }
}
