//! The shim's functions, as C sees them.

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

/// A tensor as tch holds it. The shim changes what a tensor holds, never the handle.
pub type Handle = *mut C_tensor;

unsafe extern "C" {
    fn pliant_free(text: *mut c_char);
    pub fn pliant_forget_gradient(tensor: Handle) -> *mut c_char;
    pub fn pliant_set_gradient(tensor: Handle, gradient: Handle) -> *mut c_char;
    pub fn pliant_page_locked(tensor: Handle, result: *mut Handle) -> *mut c_char;
    pub fn pliant_places(
        count: i64,
        tensors: *const Handle,
        with_gradients: bool,
        words: *mut u64,
    ) -> *mut c_char;
    pub fn pliant_copy_without_waiting(to: Handle, from: Handle) -> *mut c_char;
    pub fn pliant_graph_begin(device: i64, result: *mut *mut c_void) -> *mut c_char;
    pub fn pliant_graph_end(recording: *mut c_void, result: *mut *mut c_void) -> *mut c_char;
    pub fn pliant_graph_launch(graph: *mut c_void) -> *mut c_char;
    pub fn pliant_graph_free(graph: *mut c_void) -> *mut c_char;
    pub fn pliant_beside_begin(device: i64, number: i64, result: *mut *mut c_void) -> *mut c_char;
    pub fn pliant_beside_end(work: *mut c_void) -> *mut c_char;
    pub fn pliant_beside_join(work: *mut c_void) -> *mut c_char;
    pub fn pliant_allow_tf32(allowed: bool) -> *mut c_char;
    pub fn pliant_scaled_observations(bytes: Handle, result: *mut Handle) -> *mut c_char;
    pub fn pliant_scaled_channels_last(bytes: Handle, result: *mut Handle) -> *mut c_char;
    pub fn pliant_linear(
        input: Handle,
        weight: Handle,
        bias: Handle,
        result: *mut Handle,
    ) -> *mut c_char;
    pub fn pliant_magnitude(count: i64, tensors: *const Handle, result: *mut Handle)
    -> *mut c_char;
    pub fn pliant_autocast(is_cuda: bool, enabled: bool, before: *mut bool) -> *mut c_char;
    pub fn pliant_forget_casts() -> *mut c_char;
    pub fn pliant_is_fusible(
        variable: Handle,
        gradient: Handle,
        moments: *const Handle,
        count: i64,
    ) -> bool;
    pub fn pliant_why_no_kernels(device: i64, reason: *mut *mut c_char) -> *mut c_char;
    pub fn pliant_increment(count: i64, tensors: *const Handle) -> *mut c_char;
    pub fn pliant_rmsprop(
        count: i64,
        moments: i64,
        variables: *const Handle,
        gradients: *const Handle,
        moment_tensors: *const Handle,
        rate: f64,
        decay: f64,
        eps: f64,
        momentum: f64,
        is_inside: bool,
        is_centered: bool,
    ) -> *mut c_char;
    pub fn pliant_adam(
        count: i64,
        variables: *const Handle,
        gradients: *const Handle,
        moment_tensors: *const Handle,
        steps: *const Handle,
        rate: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        eps_root: f64,
        weight_decay: f64,
    ) -> *mut c_char;
    pub fn pliant_sgd(
        count: i64,
        moments: i64,
        variables: *const Handle,
        gradients: *const Handle,
        moment_tensors: *const Handle,
        rate: f64,
        momentum: f64,
    ) -> *mut c_char;
}

/// The handle of a tensor, which must outlive its use.
pub fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut()
}

/// Panics with the text if a function of the shim returned one.
#[track_caller]
pub fn check(text: *mut c_char) {
    if let Some(message) = taken(text) {
        panic!("libtorch: {message}");
    }
}

/// A text that the shim made, if it made one.
pub fn taken(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the shim returns null or a string of its own that ends in 0.
    let message = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: as above, and nothing refers to it any more.
    unsafe { pliant_free(text) };
    Some(message)
}

/// The tensor that a function of the shim made.
#[track_caller]
pub fn made(make: impl FnOnce(*mut Handle) -> *mut c_char) -> Tensor {
    let mut result = std::ptr::null_mut();
    check(make(&raw mut result));
    // SAFETY: a function that returned no text has put a tensor of its own there.
    unsafe { Tensor::from_ptr(result) }
}
