//! Optimiser steps that read and write each number once.
//!
//! libtorch's elementwise operations each make a pass over memory, and a step of RMSProp takes a dozen of
//! them. These make one: on the CPU in vectors and over threads, on CUDA by one kernel for 48 variables. Each number
//! is computed by itself and products are rounded before they are added to, so the thread count, the processor and the
//! device change no bit; against a step made of libtorch's operations they differ by rounding (1e-6 of the step).
//!
//! A step on CUDA waits for nothing and can be recorded in a CUDA graph, which repeats it with the settings, the
//! tensors and the gradients' places that it was recorded with; steps are counted on the device. The first question
//! whether a part is fusible compiles the kernels for its device, which cannot be recorded: ask before.

use std::ptr;

use tch::{Device, Tensor};

use crate::ffi::{self, Handle, check, handle, taken};

/// A variable with what a step needs of it.
#[derive(Debug)]
pub struct Part<'a> {
    /// What is changed.
    pub variable: Tensor,
    /// Its gradient.
    pub gradient: Tensor,
    /// The moments of its optimiser, changed too.
    pub moments: &'a [Tensor],
    /// Counts the steps, the one to be made [included](count); only [`Adam`] reads it. One f32 on the variable's
    /// device.
    pub steps: &'a Tensor,
}

impl Part<'_> {
    /// True if the steps below can be made on it: f32 tensors, dense, all laid out alike, in the CPU's memory or on a
    /// CUDA device on which kernels can be launched. Where they cannot ([`why_no_kernels`]), steps must be made of
    /// libtorch's operations.
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

/// Why kernels cannot be launched on a device; `None` if they can. NVIDIA's driver must be there, new enough for
/// CUDA 13.0, and the GPU a Turing or later. What comes of the first question about a device stays.
pub fn why_no_kernels(device: Device) -> Option<String> {
    let Device::Cuda(index) = device else {
        return Some("it is no CUDA device".to_owned());
    };
    let mut reason = ptr::null_mut();
    // SAFETY: the place for the result is alive throughout.
    check(unsafe { ffi::pliant_why_no_kernels(index as i64, &raw mut reason) });
    taken(reason)
}

/// Counts a step: adds one to each counter, floating-point tensors of any shapes on one device. On CUDA by one kernel.
pub fn count<'a>(counters: impl IntoIterator<Item = &'a Tensor>) {
    let handles: Vec<Handle> = counters.into_iter().map(handle).collect();
    // SAFETY: the handles are alive throughout, and as many as the count says.
    check(unsafe { ffi::pliant_increment(handles.len() as i64, handles.as_ptr()) });
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
    /// Unless all parts are [fusible](Part::is_fusible), on one device, and have the moments of these settings.
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
    /// One step, the [`Part::steps`]th of each part.
    ///
    /// # Panics
    /// As [`RmsProp::step`], and unless each counter is one f32 on its variable's device.
    pub fn step(&self, parts: &[Part<'_>]) {
        let handles = Handles::of(parts, 2);
        // SAFETY: the handles are alive throughout, and as many as the counts say.
        check(unsafe {
            ffi::pliant_adam(
                parts.len() as i64,
                handles.variables.as_ptr(),
                handles.gradients.as_ptr(),
                handles.moments.as_ptr(),
                handles.steps.as_ptr(),
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

/// Settings of a step of gradient descent. Moment: the velocity, if there is momentum.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Step size.
    pub learning_rate: f64,
    /// Heavy-ball momentum.
    pub momentum: f64,
}

impl Sgd {
    /// One step.
    ///
    /// # Panics
    /// As [`RmsProp::step`].
    pub fn step(&self, parts: &[Part<'_>]) {
        let moments = usize::from(self.momentum > 0.0);
        let handles = Handles::of(parts, moments);
        // SAFETY: the handles are alive throughout, and as many as the counts say.
        check(unsafe {
            ffi::pliant_sgd(
                parts.len() as i64,
                moments as i64,
                handles.variables.as_ptr(),
                handles.gradients.as_ptr(),
                handles.moments.as_ptr(),
                self.learning_rate,
                self.momentum,
            )
        });
    }
}

/// The handles of parts, as the shim takes them.
struct Handles {
    variables: Vec<Handle>,
    gradients: Vec<Handle>,
    moments: Vec<Handle>,
    steps: Vec<Handle>,
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
            steps: parts.iter().map(|part| handle(part.steps)).collect(),
        }
    }
}
