//! Products of a loss's Hessian with vectors (Pearlmutter, 1994), without the matrix.

use pliant_core::{
    error::Result,
    network::Model,
    tch::{Kind, Tensor, no_grad},
};

use crate::per_example::flat;

/// The Hessian of a scalar with respect to all parameters.
pub(crate) struct Hessian {
    parameters: Vec<Tensor>,
    names: Vec<String>,
    /// f32 `[parameters]`, with its graph.
    gradient: Tensor,
}

impl Hessian {
    /// Of a loss that came of `model`.
    pub fn of(loss: &Tensor, model: &Model) -> Result<Self> {
        let variables = model.variables();
        let (names, parameters): (Vec<String>, Vec<Tensor>) = (variables.parameters())
            .map(|(name, parameter)| (name.to_owned(), parameter.shallow_clone()))
            .unzip();
        let gradients = Tensor::f_run_backward(&[loss], &parameters, true, true)?;
        let gradient = flat(&gradients, &parameters);
        Ok(Self { parameters, names, gradient })
    }

    /// How many parameters there are.
    pub fn size(&self) -> i64 {
        self.gradient.size()[0]
    }

    /// Names and shapes of the parameters, in the order of a vector's numbers.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.parameters)
    }

    /// `H v`, f32 `[parameters]`.
    pub fn times(&self, vector: &Tensor) -> Result<Tensor> {
        let along = self.gradient.dot(vector);
        if !along.requires_grad() {
            return Ok(vector.zeros_like()); // the loss is linear
        }
        let products = Tensor::f_run_backward(&[&along], &self.parameters, true, false)?;
        Ok(no_grad(|| flat(&products, &self.parameters)))
    }
}

/// What Lanczos' process (full reorthogonalisation) finds of a symmetric matrix seen from a vector.
#[derive(Debug)]
pub(crate) struct Spectrum {
    /// Ritz values, ascending.
    pub values: Vec<f64>,
    /// The share of the vector that lies in each one's direction; they sum to 1.
    pub weights: Vec<f64>,
}

/// `steps` products with the matrix, from `start` f32 `[n]`; fewer where the vector's space is exhausted.
/// `after_step` hears how many are done.
pub(crate) fn lanczos(
    mut times: impl FnMut(&Tensor) -> Result<Tensor>,
    start: &Tensor,
    steps: usize,
    mut after_step: impl FnMut(usize),
) -> Result<Spectrum> {
    let steps = steps.min(start.size()[0] as usize);
    let length = |vector: &Tensor| vector.square().sum(Kind::Double).sqrt().double_value(&[]);
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let mut basis = vec![start / length(start)];
    let mut largest: f64 = 0.0;
    for step in 0..steps {
        let present = &basis[step];
        let mut next = times(present)?;
        diagonal.push((&next * present).sum(Kind::Double).double_value(&[]));
        // Twice is enough (Parlett).
        for _ in 0..2 {
            for earlier in &basis {
                let part = (&next * earlier).sum(Kind::Double).to_kind(Kind::Float);
                next -= earlier * part;
            }
        }
        let rest = length(&next);
        after_step(step + 1);
        largest = largest.max(rest).max(diagonal[step].abs());
        if step + 1 == steps || rest <= 1e-6 * largest || rest == 0.0 {
            break;
        }
        beside.push(rest);
        basis.push(next / rest);
    }
    ritz(&diagonal, &beside)
}

/// Eigenvalues of the tridiagonal matrix, and the squares of their vectors' first components.
fn ritz(diagonal: &[f64], beside: &[f64]) -> Result<Spectrum> {
    let mut matrix = Tensor::from_slice(diagonal).diag(0);
    if !beside.is_empty() {
        let beside = Tensor::from_slice(&beside[..diagonal.len() - 1]);
        matrix = matrix + beside.diag(1) + beside.diag(-1);
    }
    let (values, vectors) = matrix.f_linalg_eigh("U")?;
    Ok(Spectrum {
        values: Vec::try_from(&values)?,
        weights: Vec::try_from(&vectors.get(0).square())?,
    })
}

impl Spectrum {
    /// The largest Ritz value.
    pub fn largest(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0)
    }

    /// The smallest.
    pub fn smallest(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// `v^T H^k v` for the vector v of length 1 that it began with; exact up to k = 2 steps - 1.
    pub fn moment(&self, k: i32) -> f64 {
        self.values.iter().zip(&self.weights).map(|(value, weight)| weight * value.powi(k)).sum()
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::{seeds::Seeds, tch::Device};

    use super::*;

    fn diagonal(values: &[f32]) -> impl Fn(&Tensor) -> Result<Tensor> {
        let values = Tensor::from_slice(values);
        move |vector| Ok(vector * &values)
    }

    #[test]
    fn few_different_eigenvalues_are_found_exactly_with_their_shares() {
        // 1, 4 and -2, the vector's squares in their directions 1/2, 1/4 and 1/4.
        let values = [1.0, 1.0, 4.0, -2.0];
        let start = Tensor::from_slice(&[1.0f32; 4]);
        let mut steps = 0;
        let found = lanczos(diagonal(&values), &start, 10, |done| steps = done).expect("finite");
        assert_eq!(steps, 3, "the space is exhausted");
        for (actual, expected) in found.values.iter().zip([-2.0, 1.0, 4.0]) {
            assert!((actual - expected).abs() < 1e-5, "{found:?}");
        }
        for (actual, expected) in found.weights.iter().zip([0.25, 0.5, 0.25]) {
            assert!((actual - expected).abs() < 1e-5, "{found:?}");
        }
    }

    #[test]
    fn extremes_and_moments_of_many_eigenvalues_are_those_of_the_matrix() {
        let values: Vec<f32> =
            (0..400).map(|i| (i as f32 / 40.0).sin() + if i == 7 { 9.0 } else { 0.0 }).collect();
        let mut stream = Seeds::new(0).stream("test");
        let start = stream.normal(&[400], 1.0);
        let found = lanczos(diagonal(&values), &start, 40, |_| {}).expect("finite");
        let most = values.iter().copied().fold(f32::MIN, f32::max);
        let least = values.iter().copied().fold(f32::MAX, f32::min);
        assert!((found.largest() - f64::from(most)).abs() < 1e-4, "{}", found.largest());
        assert!((found.smallest() - f64::from(least)).abs() < 1e-3, "{}", found.smallest());
        let unit = &start / start.square().sum(Kind::Double).sqrt();
        let values = Tensor::from_slice(&values).to_kind(Kind::Double);
        for k in 0..=5 {
            let exact = (unit.square() * values.pow_tensor_scalar(i64::from(k))).sum(Kind::Double);
            let error = (found.moment(k) - exact.double_value(&[])).abs();
            assert!(error < 1e-3 * 9f64.powi(k) / 400.0 + 1e-6, "moment {k}: off by {error:e}");
        }
    }

    #[test]
    fn a_matrix_of_zeros_has_one_eigenvalue() {
        let start = Tensor::ones([5], (Kind::Float, Device::Cpu));
        let found = lanczos(|vector| Ok(vector.zeros_like()), &start, 5, |_| {}).expect("finite");
        assert_eq!(
            (found.values.as_slice(), found.weights.as_slice()),
            ([0.0].as_slice(), [1.0].as_slice())
        );
    }
}
