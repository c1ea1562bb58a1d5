//! Optimiser steps that read and write each number once.
//!
//! libtorch's elementwise operations each make a pass over memory, and a step of RMSProp takes a dozen of
//! them. These make one, in vectors and over threads. Each number is computed by itself and products
//! are rounded before they are added to, so the thread count and the processor change no bit; against a step
//! made of libtorch's operations they differ by rounding (1e-6 of the step).

use tch::Tensor;

use crate::ffi::{self, Handle, check, handle};

/// A variable with what a step needs of it.
#[derive(Debug)]
pub struct Part<'a> {
    /// What is changed.
    pub variable: Tensor,
    /// Its gradient.
    pub gradient: Tensor,
    /// The moments of its optimiser, changed too.
    pub moments: &'a [Tensor],
}

impl Part<'_> {
    /// True if the steps below can be made on it: f32 tensors in the CPU's memory, dense, all laid
    /// out alike.
    pub fn is_fusible(&self) -> bool {
        let moments: Vec<Handle> = self.moments.iter().map(handle).collect();
        // SAFETY: all handles are alive throughout, and there are `moments.len()` moments.
        unsafe {
            ffi::pliant_is_fusible(
                handle(&self.variable),
                handle(&self.gradient),
                moments.as_ptr(),
                moments.len() as i64,
            )
        }
    }
}

/// Settings of an RMSProp step. Moments: mean squared gradient; mean gradient, if centred; velocity, if
/// there is momentum.
#[derive(Clone, Copy, Debug)]
pub struct RmsProp {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the running means.
    pub decay: f64,
    /// Keeps the root away from zero.
    pub eps: f64,
    /// eps stands inside the root.
    pub is_inside_root: bool,
    /// Divides by the standard deviation.
    pub is_centered: bool,
    /// Heavy-ball momentum.
    pub momentum: f64,
}

impl RmsProp {
    /// One step.
    ///
    /// # Panics
    /// Unless all parts are [fusible](Part::is_fusible) and have the moments of these settings.
    pub fn step(&self, parts: &[Part<'_>]) {
        let moments = 1 + usize::from(self.is_centered) + usize::from(self.momentum > 0.0);
        let handles = Handles::of(parts, moments);
        // SAFETY: the handles are alive throughout, and as many as the counts say.
        check(unsafe {
            ffi::pliant_rmsprop(
                parts.len() as i64,
                moments as i64,
                handles.variables.as_ptr(),
                handles.gradients.as_ptr(),
                handles.moments.as_ptr(),
                self.learning_rate,
                self.decay,
                self.eps,
                self.momentum,
                self.is_inside_root,
                self.is_centered,
            )
        });
    }
}

/// Settings of a step of Adam. Moments: mean gradient, mean squared gradient.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Added outside the root.
    pub eps: f64,
    /// Added inside the root.
    pub eps_root: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Adam {
    /// One step; `steps[i]` counts those of part `i`, this one included.
    ///
    /// # Panics
    /// As [`RmsProp::step`], and unless there is a count for each part.
    pub fn step(&self, parts: &[Part<'_>], steps: &[f64]) {
        assert_eq!(parts.len(), steps.len(), "a count for each part");
        let correction = |beta: f64, steps: f64| -(steps * beta.ln()).exp_m1();
        let corrections: Vec<f64> = steps
            .iter()
            .flat_map(|steps| [correction(self.beta1, *steps), correction(self.beta2, *steps)])
            .collect();
        let handles = Handles::of(parts, 2);
        // SAFETY: the handles are alive throughout, and as many as the counts say.
        check(unsafe {
            ffi::pliant_adam(
                parts.len() as i64,
                handles.variables.as_ptr(),
                handles.gradients.as_ptr(),
                handles.moments.as_ptr(),
                corrections.as_ptr(),
                self.learning_rate,
                self.beta1,
                self.beta2,
                self.eps,
                self.eps_root,
                self.weight_decay,
            )
        });
    }
}

/// The handles of parts, as the shim takes them.
struct Handles {
    variables: Vec<Handle>,
    gradients: Vec<Handle>,
    moments: Vec<Handle>,
}

impl Handles {
    fn of(parts: &[Part<'_>], moments: usize) -> Self {
        for part in parts {
            assert_eq!(part.moments.len(), moments, "moments of each part");
            assert!(part.is_fusible(), "parts that lie otherwise in memory");
        }
        Self {
            variables: parts.iter().map(|part| handle(&part.variable)).collect(),
            gradients: parts.iter().map(|part| handle(&part.gradient)).collect(),
            moments: parts.iter().flat_map(|part| part.moments.iter().map(handle)).collect(),
        }
    }
}
