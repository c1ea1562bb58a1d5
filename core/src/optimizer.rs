//! Optimisers: ours, so that moments and step counters can be read, reset and saved.

mod adam;
mod moments;
mod rmsprop;
mod sgd;

pub use adam::{Adam, AdamConfig};
pub use moments::{Moments, Slot};
pub use rmsprop::{EpsPosition, RmsProp, RmsPropConfig};
pub use sgd::{Sgd, SgdConfig};
use tch::no_grad;

use crate::{state::Checkpoint, variables::Variables};

/// Changes variables by their gradients.
pub trait Optimizer: Checkpoint {
    /// One step on every variable that has a gradient.
    fn step(&mut self, variables: &Variables) {
        no_grad(|| {
            for (name, variable) in variables.iter().filter(|(_, v)| v.grad().defined()) {
                self.step_variable(name, &variable.shallow_clone(), &variable.grad());
            }
        });
    }

    /// One step on one variable; called without gradient tracking.
    fn step_variable(&mut self, name: &str, variable: &tch::Tensor, gradient: &tch::Tensor);

    /// The step size.
    fn learning_rate(&self) -> f64;

    /// Changes the step size.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The moments and step counters.
    fn moments(&self) -> &Moments;

    /// The moments and step counters, to change or reset them.
    fn moments_mut(&mut self) -> &mut Moments;

    /// A deep copy that shares nothing.
    fn fork(&self) -> Box<dyn Optimizer>;
}

/// An error if a setting lies outside its range; `expected` says which range.
fn require(holds: bool, key: &str, value: f64, expected: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("`{key}` is {value}, expected {expected}")) }
}

fn require_decay(key: &str, value: f64) -> Result<(), String> {
    require((0.0..1.0).contains(&value), key, value, "at least 0 and below 1")
}

fn require_positive(key: &str, value: f64) -> Result<(), String> {
    require(value.is_finite() && value > 0.0, key, value, "a number above 0")
}

fn require_not_negative(key: &str, value: f64) -> Result<(), String> {
    require(value.is_finite() && value >= 0.0, key, value, "a number of at least 0")
}
