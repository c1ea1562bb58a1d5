//! Probes: one file per measurement.

mod batch;
mod curvature;
mod fit;
mod gradient_covariance;
mod hessian;
mod interference;
mod kmeans;
mod lists;
mod loss;
mod norms;
mod passes;
mod per_example;
mod plasticity;
mod q_error;
mod random_labels;
mod rank;
mod reference;
mod sharpness;
mod states;
mod step;
mod units;

pub use fit::OptimizerState;
pub use gradient_covariance::{GradientCovariance, GradientCovarianceConfig, Order};
pub use hessian::{Hessian, HessianConfig};
pub use interference::{Interference, InterferenceConfig};
pub use loss::{LossKind, Noise};
pub use norms::{Norms, NormsConfig};
pub use plasticity::{Offset, Plasticity, PlasticityConfig};
use pliant_core::registry::Plugins;
pub use q_error::{QError, QErrorConfig};
pub use random_labels::{RandomLabels, RandomLabelsConfig};
pub use rank::{Rank, RankConfig};
pub use sharpness::{Sharpness, SharpnessConfig};
pub use units::{Units, UnitsConfig};

/// Adds this crate's probes.
pub fn register(plugins: &mut Plugins) {
    plugins
        .probes
        .register("gradient_covariance", GradientCovariance::build)
        .register("hessian", Hessian::build)
        .register("interference", Interference::build)
        .register("norms", Norms::build)
        .register("plasticity", Plasticity::build)
        .register("q_error", QError::build)
        .register("random_labels", RandomLabels::build)
        .register("rank", Rank::build)
        .register("sharpness", Sharpness::build)
        .register("units", Units::build);
}
