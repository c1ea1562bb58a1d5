//! Atari games one after the other, for continual learning.

mod config;
mod env;
mod factory;
mod task;
#[cfg(test)]
mod tests;

pub use config::{ContinualAtariConfig, SharedSettings};
pub use factory::ContinualAtariFactory;
