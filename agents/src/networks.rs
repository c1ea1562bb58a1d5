//! Kinds of network.

mod layers;
mod mlp;
mod nature;
#[cfg(test)]
mod tests;

pub use layers::{Sequential, SequentialBuilder};
pub use mlp::{Mlp, MlpConfig};
pub use nature::{Nature, NatureConfig};
