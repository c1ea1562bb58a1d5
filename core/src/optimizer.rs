//! Optimisers: ours, so that moments and step counters can be read, reset and saved.

mod adam;
mod fused;
mod kron;
mod moments;
mod rmsprop;
mod sgd;

pub use adam::{Adam, AdamConfig};
pub use kron::{Kron, KronConfig, MemorySaveMode};
pub use moments::{Moments, Slot};
pub use rmsprop::{EpsPosition, RmsProp, RmsPropConfig};
pub use sgd::{Sgd, SgdConfig};
use tch::{Kind, Tensor, no_grad};

use crate::{
    error::{Error, Result},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    variables::Variables,
};

/// Changes variables by their gradients.
pub trait Optimizer: Checkpoint + Send {
    /// One step on every variable that has a gradient.
    fn step(&mut self, variables: &Variables) {
        step_each(self, variables);
    }

    /// One step on one variable; called without gradient tracking.
    fn step_variable(&mut self, name: &str, variable: &Tensor, gradient: &Tensor);

    /// The kind, as in `agent.optimizer.kind`.
    fn kind(&self) -> &'static str;

    /// Takes the stream from which an optimiser that draws will draw; called once, before the first
    /// step.
    fn seed(&mut self, _stream: Stream) {}

    /// The step size.
    fn learning_rate(&self) -> f64;

    /// Changes the step size.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// Decoupled weight decay: each step takes away `learning_rate * weight_decay` of the variables that
    /// decay.
    fn weight_decay(&self) -> f64 {
        0.0
    }

    /// True if a step divides the gradient of each single number by a number of its own (1 too).
    fn is_diagonal(&self) -> bool {
        false
    }

    /// What the gradient of a variable is divided by in a [diagonal](Self::is_diagonal) step, of the
    /// variable's shape; 1 for units that have made no step since they were reset, `None` before the
    /// variable's first step.
    fn divisor(&self, _name: &str) -> Option<Tensor> {
        None
    }

    /// The largest eigenvalue of a quadratic loss's Hessian, preconditioned by the
    /// [divisors](Self::divisor), at which steps from fixed divisors do not grow without end; `None` where
    /// none is known. Weight decay is left out.
    fn stability_threshold(&self) -> Option<f64> {
        None
    }

    /// The magnitude (Euclidean, over all variables) up to which gradients are sure to leave finite
    /// parameters and moments finite; 0 if nothing is sure. Beyond it the learner is copied before a step.
    fn safe_gradient(&self) -> f64 {
        0.0
    }

    /// True if a step depends on nothing but the step size and the values of variables, gradients, moments and
    /// counters, waits for nothing and draws nothing: on a GPU it can then be recorded as a CUDA graph.
    fn is_recordable(&self) -> bool {
        false
    }

    /// The moments and step counters.
    fn moments(&self) -> &Moments;

    /// The moments and step counters, to change or reset them.
    fn moments_mut(&mut self) -> &mut Moments;

    /// A deep copy that shares nothing.
    fn fork(&self) -> Box<dyn Optimizer>;

    /// One of the same settings and step size that has seen nothing yet.
    fn fresh(&self) -> Box<dyn Optimizer> {
        let mut fresh = self.fork();
        fresh.moments_mut().reset();
        fresh
    }
}

/// One step on every variable that has a gradient, in order.
fn step_each(optimizer: &mut (impl Optimizer + ?Sized), variables: &Variables) {
    no_grad(|| {
        for (name, variable) in variables.iter().filter(|(_, v)| v.grad().defined()) {
            optimizer.step_variable(name, &variable.shallow_clone(), &variable.grad());
        }
    });
}

/// [`Optimizer::stability_threshold`] with heavy-ball momentum: `(2 + 2 momentum) / lr` (Polyak, 1964).
fn heavy_ball_threshold(momentum: f64, learning_rate: f64) -> f64 {
    (2.0 + 2.0 * momentum) / learning_rate
}

/// [`Optimizer::safe_gradient`] where a gradient is multiplied by the step size and divided by `floor` at least:
/// with both sane, f32 has room for the squares of such gradients and for the steps that they make.
fn safe_gradient(learning_rate: f64, floor: f64) -> f64 {
    if learning_rate <= 1e6 && floor >= 1e-15 { 1e9 } else { 0.0 }
}

/// Saves the kind of optimiser, the configured step size and the present one.
fn save_rate(state: &mut StateDict, kind: &str, configured: f64, present: f64) {
    state.put("kind", &kind);
    state.put("configured_learning_rate", &configured);
    state.put("learning_rate", &present);
}

/// The step size to go on with: the saved one, unless the configuration has changed since.
fn load_rate(state: &StateDict, kind: &str, configured: f64) -> Result<f64> {
    let saved: String = state.get("kind")?;
    if saved != kind {
        return Err(Error::State(format!("it is of the optimizer `{saved}`, not `{kind}`")));
    }
    if state.get::<f64>("configured_learning_rate")? == configured {
        state.get("learning_rate")
    } else {
        Ok(configured)
    }
}

/// `1 - beta^t`, in f64: with beta = 0.999 f32 would lose three digits at the first steps.
fn bias_correction(beta: f64, steps: &Tensor) -> Tensor {
    let power = steps.to_kind(Kind::Double) * beta.ln();
    (-power.expm1()).to_kind(Kind::Float)
}

#[cfg(test)]
mod testing {
    use tch::{Device, Kind, Tensor, no_grad};

    use super::Optimizer;
    use crate::{
        seeds::Seeds,
        variables::{Init, VariableSource, Variables},
    };

    /// One variable `w` of this shape.
    pub fn variable(shape: &[i64], values: &[f32]) -> Variables {
        let mut stream = Seeds::new(0).stream("unused");
        let mut source = VariableSource::draw(&mut stream, Device::Cpu);
        let variable = source.variable("w", shape, Init::Zeros);
        no_grad(|| variable.shallow_clone().copy_(&Tensor::from_slice(values).reshape(shape)));
        source.finish()
    }

    /// One step with this gradient on every element.
    pub fn step(optimizer: &mut dyn Optimizer, variables: &Variables, gradient: f64) {
        variables.zero_grad();
        (variables.get("w").expect("w") * gradient).sum(Kind::Float).backward();
        optimizer.step(variables);
    }

    pub fn numbers(variables: &Variables) -> Vec<f32> {
        let flat = variables.get("w").expect("w").detach().reshape([-1]);
        Vec::try_from(&flat).expect("a flat f32 tensor")
    }

    /// Where a single parameter at 0 stands after these gradients.
    pub fn walk(optimizer: &mut dyn Optimizer, gradients: &[f64]) -> Vec<f32> {
        let variables = variable(&[1], &[0.0]);
        let after = |gradient: &f64| {
            step(optimizer, &variables, *gradient);
            numbers(&variables)[0]
        };
        gradients.iter().map(after).collect()
    }

    /// Equal but for the rounding of a few f32 operations.
    pub fn assert_close(actual: &[f32], expected: &[f32]) {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 4.0 * f32::EPSILON * b.abs().max(0.1);
        assert!(
            actual.len() == expected.len() && actual.iter().zip(expected).all(close),
            "{actual:?}, expected {expected:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adam(learning_rate: f64) -> Box<dyn Optimizer> {
        Adam::build(AdamConfig { learning_rate, ..AdamConfig::default() }).expect("valid")
    }

    #[test]
    fn a_step_size_goes_on_as_saved_unless_the_configuration_changed() {
        let mut optimizer = adam(0.1);
        optimizer.set_learning_rate(0.05);
        let mut state = StateDict::default();
        optimizer.save(&mut state);
        let mut same = adam(0.1);
        same.load(&state).expect("saved above");
        assert_eq!(same.learning_rate(), 0.05);
        let mut other = adam(0.2);
        other.load(&state).expect("saved above");
        assert_eq!(other.learning_rate(), 0.2);
    }

    /// Where a parameter at 1 under the loss `h w^2 / 2` is after 2000 steps.
    fn left(optimizer: &mut dyn Optimizer, h: f64) -> f64 {
        let variables = testing::variable(&[1], &[1.0]);
        let w = || f64::from(testing::numbers(&variables)[0]);
        for _ in 0..2000 {
            testing::step(optimizer, &variables, h * w());
            // Adam's first steps are larger, for its bias correction, and grow it in any case.
            if w().abs() > 1e15 {
                break;
            }
        }
        w().abs()
    }

    #[test]
    fn steps_shrink_a_quadratic_just_below_the_threshold_and_grow_it_just_above() {
        type Build<'a> = &'a dyn Fn() -> Box<dyn Optimizer>;
        let (learning_rate, mut tried) = (0.01, 0);
        for momentum in [0.0, 0.5, 0.9] {
            let sgd = || Sgd::build(SgdConfig { learning_rate, momentum }).expect("valid");
            // eps this large leaves nothing of the mean square: it alone divides, and the rate is as much larger.
            let eps = 1e20;
            let adam = AdamConfig {
                learning_rate: learning_rate * eps,
                beta1: momentum,
                eps,
                ..AdamConfig::default()
            };
            let rmsprop = RmsPropConfig {
                learning_rate: learning_rate * eps,
                momentum,
                eps,
                eps_position: EpsPosition::OutsideRoot,
                ..RmsPropConfig::default()
            };
            let adam = || Adam::build(adam.clone()).expect("valid");
            let rmsprop = || RmsProp::build(rmsprop.clone()).expect("valid");
            let kinds: [(Build<'_>, f64); 3] = [(&sgd, 1.0), (&adam, eps), (&rmsprop, eps)];
            for (build, divisor) in kinds {
                let threshold = build().stability_threshold().expect("known") * divisor;
                let kind = build().kind();
                let [below, above] =
                    [0.97, 1.03].map(|share| left(build().as_mut(), share * threshold));
                assert!(below < 0.1 && above > 1e3, "{kind} {momentum}: {below}, {above}");
                tried += 1;
            }
        }
        assert_eq!(tried, 9);
    }

    #[test]
    fn another_optimizers_state_is_refused_though_its_moments_have_the_same_names() {
        let mut state = StateDict::default();
        adam(0.1).save(&mut state);
        let mut rmsprop = RmsProp::build(RmsPropConfig::default()).expect("valid");
        let message = rmsprop.load(&state).expect_err("Adam's").to_string();
        assert!(message.contains("`adam`, not `rmsprop`"), "{message}");
    }
}
