//! Probes: one file per measurement.

mod dormant_units;

pub use dormant_units::{DormantUnits, DormantUnitsConfig};
use pliant_core::registry::Plugins;

/// Adds this crate's probes.
pub fn register(plugins: &mut Plugins) {
    plugins.probes.register("dormant_units", DormantUnits::build);
}
