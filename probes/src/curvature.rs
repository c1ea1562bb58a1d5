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
/// `after_step` hears how many are done; its error ends the process.
pub(crate) fn lanczos(
    mut times: impl FnMut(&Tensor) -> Result<Tensor>,
    start: &Tensor,
    steps: usize,
    mut after_step: impl FnMut(usize) -> Result<()>,
) -> Result<Spectrum> {
    let steps = steps.min(start.size()[0] as usize);
    let length = |vector: &Tensor| vector.square().sum(Kind::Double).sqrt().double_value(&[]);
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let basis = Tensor::zeros([steps as i64, start.size()[0]], (Kind::Float, start.device()));
    let put = |index: usize, vector: &Tensor| basis.get(index as i64).copy_(vector);
    put(0, &(start / length(start)));
    let mut largest: f64 = 0.0;
    for step in 0..steps {
        let present = basis.get(step as i64);
        let mut next = times(&present)?;
        diagonal.push((&next * &present).sum(Kind::Double).double_value(&[]));
        let earlier = basis.narrow(0, 0, step as i64 + 1);
        // Twice is enough (Parlett).
        for _ in 0..2 {
            next -= earlier.transpose(0, 1).mv(&earlier.mv(&next));
        }
        let rest = length(&next);
        after_step(step + 1)?;
        largest = largest.max(rest).max(diagonal[step].abs());
        if step + 1 == steps || rest <= 1e-6 * largest {
            break;
        }
        beside.push(rest);
        put(step + 1, &(next / rest));
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
    use std::collections::BTreeMap;

    use pliant_agents::networks::{Mlp, MlpConfig};
    use pliant_core::{
        network::{Activation, NetworkPlan, NetworkSpec},
        seeds::Seeds,
        tch::Device,
    };

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
        let found = lanczos(diagonal(&values), &start, 10, |done| {
            steps = done;
            Ok(())
        })
        .expect("finite");
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
        let found = lanczos(diagonal(&values), &start, 40, |_| Ok(())).expect("finite");
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

    /// After a step that leaves little of a product, what rounding leaves of earlier directions is much of it:
    /// eigenvalues would be found twice.
    #[test]
    fn an_eigenvalue_far_from_the_others_is_found_once() {
        let values: Vec<f32> =
            (0..300).map(|i| if i == 0 { 1.0 } else { 1e-5 * (i as f32 / 300.0) }).collect();
        let start = Tensor::ones([300], (Kind::Float, Device::Cpu));
        let found = lanczos(diagonal(&values), &start, 60, |_| Ok(())).expect("finite");
        let large = found.values.iter().filter(|value| **value > 0.5).count();
        assert_eq!(large, 1, "{:?}", found.values);
        let sum: f64 = found.values.iter().sum();
        assert!(sum < 1.0 + 60.0 * 1.1e-5, "{sum}");
    }

    /// Nearly all of every product lies in the directions before. One pass of Gram-Schmidt leaves more of it than
    /// the new direction has: with it these reach from -162 to 164.
    #[test]
    fn eigenvalues_crowded_far_from_zero_are_found_each_once() {
        let values: Vec<f32> = (0..100).map(|i| 0.9 + 0.002 * i as f32).collect();
        let start = Tensor::ones([100], (Kind::Float, Device::Cpu));
        let found = lanczos(diagonal(&values), &start, 100, |_| Ok(())).expect("finite");
        assert_eq!(found.values.len(), 100);
        for (actual, expected) in found.values.iter().zip(&values) {
            assert!((actual - f64::from(*expected)).abs() < 1e-5, "{:?}", found.values);
        }
    }

    /// Powers of 0.7. What is left of earlier directions would show as negative ones (-0.002 after one pass).
    #[test]
    fn a_matrix_without_negative_eigenvalues_has_none() {
        let values: Vec<f32> = (0..40).map(|i| 0.7f32.powi(i)).collect();
        let start = Tensor::ones([40], (Kind::Float, Device::Cpu));
        let found = lanczos(diagonal(&values), &start, 40, |_| Ok(())).expect("finite");
        assert!(found.smallest() > -1e-6, "{}", found.smallest());
    }

    #[test]
    fn a_matrix_of_zeros_has_one_eigenvalue() {
        let start = Tensor::ones([5], (Kind::Float, Device::Cpu));
        let found =
            lanczos(|vector| Ok(vector.zeros_like()), &start, 5, |_| Ok(())).expect("finite");
        assert_eq!(
            (found.values.as_slice(), found.weights.as_slice()),
            ([0.0].as_slice(), [1.0].as_slice())
        );
    }

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hessian.safetensors");

    /// Written by `scripts/golden/hessian.py`.
    #[test]
    fn a_networks_spectrum_is_that_of_torch_func_hessian() {
        let golden = Tensor::read_safetensors(GOLDEN).expect("written by the script");
        let golden: BTreeMap<String, Tensor> = golden.into_iter().collect();
        let config = MlpConfig { width: 6, activation: Activation::Tanh, ..MlpConfig::default() };
        let mlp = Mlp::build(config).expect("valid settings");
        let plan = NetworkPlan::default();
        let spec = NetworkSpec { observation: [1, 3, 3], actions: 2, plan };
        let mut stream = Seeds::new(0).stream("network");
        let model = Model::new(mlp, spec, &mut stream, Device::Cpu).expect("fits");
        for (name, variable) in model.variables().iter() {
            no_grad(|| variable.shallow_clone().copy_(&golden[&format!("first/{name}")]));
        }
        let error = model.q_values(&golden["observations"]) - &golden["targets"];
        let losses = error.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let hessian = Hessian::of(&losses.mean(Kind::Float), &model).expect("finite");
        let start = stream.normal(&[hessian.size()], 1.0);
        let found =
            lanczos(|vector| hessian.times(vector), &start, 116, |_| Ok(())).expect("finite");
        let exact = Vec::<f64>::try_from(&golden["eigenvalues"]).expect("f64");
        let (least, most) = (exact[0], exact[exact.len() - 1]);
        assert!((found.largest() / most - 1.0).abs() < 1e-5, "{}, {most}", found.largest());
        assert!((found.smallest() - least).abs() < 1e-5 * most, "{}, {least}", found.smallest());
        // With as many steps as there are directions the Ritz values are the eigenvalues: power sums.
        for k in 1..=4 {
            let of = |values: &[f64], f: fn(f64) -> f64| -> f64 {
                values.iter().map(|value| f(*value).powi(k)).sum()
            };
            let error = (of(&found.values, |value| value) - of(&exact, |value| value)).abs();
            let size = of(&exact, f64::abs);
            assert!(error < 1e-4 * size, "power {k}: off by {error:e} of {size}");
        }
    }

    #[test]
    fn eigenvalues_that_are_equal_but_for_rounding_are_one() {
        let values = [3.0, 3.0f32.next_up()].repeat(25);
        let start = Seeds::new(0).stream("test").normal(&[50], 1.0);
        let found = lanczos(diagonal(&values), &start, 50, |_| Ok(())).expect("finite");
        assert_eq!(found.values.len(), 1, "{found:?}");
        assert!((found.values[0] - 3.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_linear_loss_has_no_curvature() {
        let weight = Tensor::from_slice(&[1.0f32, 2.0]).set_requires_grad(true);
        let loss = (&weight * Tensor::from_slice(&[3.0f32, 4.0])).sum(Kind::Float);
        let gradient = Tensor::run_backward(&[&loss], &[&weight], true, true).remove(0);
        let hessian =
            Hessian { parameters: vec![weight], names: vec!["weight".to_owned()], gradient };
        let product = hessian.times(&Tensor::from_slice(&[5.0f32, 6.0])).expect("finite");
        assert_eq!(Vec::<f32>::try_from(&product).expect("f32"), [0.0, 0.0]);
    }
}
