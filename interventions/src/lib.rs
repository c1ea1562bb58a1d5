//! Interventions: one file per method.

mod layer_norm;

pub use layer_norm::{LayerNorm, LayerNormConfig};
use pliant_core::registry::Plugins;

/// Adds this crate's interventions.
pub fn register(plugins: &mut Plugins) {
    plugins.interventions.register("layer_norm", LayerNorm::build);
}
