//! What pliant's learner needs of libtorch and tch does not have.
//!
//! Functions that libtorch itself makes fail (memory that is not to be had) panic with its text, as tch's
//! do; nothing unwinds out of C++.

pub mod autocast;
mod ffi;
pub mod fused;
pub mod graph;
mod linear;
mod magnitude;
mod tensors;

pub use linear::linear;
pub use magnitude::magnitude;
pub use tensors::{
    copy_without_waiting, forget_gradient, page_locked, places, scaled_channels_last,
    scaled_observations, set_gradient,
};
