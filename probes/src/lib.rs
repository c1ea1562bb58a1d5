//! Probes: one file per measurement.

mod batch;
mod gradient_covariance;
mod kmeans;
mod loss;
mod norms;
mod per_example;
mod q_error;
mod rank;
mod states;
mod step;
mod units;

pub use gradient_covariance::{GradientCovariance, GradientCovarianceConfig, Order};
pub use loss::{LossKind, Noise};
pub use norms::{Norms, NormsConfig};
use pliant_core::registry::Plugins;
pub use q_error::{QError, QErrorConfig};
pub use rank::{Rank, RankConfig};
pub use units::{Units, UnitsConfig};

/// Adds this crate's probes.
pub fn register(plugins: &mut Plugins) {
    plugins
        .probes
        .register("gradient_covariance", GradientCovariance::build)
        .register("norms", Norms::build)
        .register("q_error", QError::build)
        .register("rank", Rank::build)
        .register("units", Units::build);
}
