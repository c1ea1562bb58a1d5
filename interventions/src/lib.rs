//! Interventions: one file per method.

mod brownian_motion;
mod c51;
mod continual_backprop;
mod crelu;
mod deep_fourier;
mod hl_gauss;
mod infer;
mod l2_init;
mod layer_norm;
mod memory;
mod normalize_and_project;
mod parseval;
mod plasticity_injection;
mod redo;
mod redraw;
mod reset_full;
mod reset_head;
mod reset_last_layer;
mod reset_optimizer;
mod rms_norm;
mod schedule;
mod shrink_and_perturb;
mod soft_shrink_and_perturb;
mod spectral_norm;
mod spectral_regularization;
#[cfg(test)]
mod testing;
mod trac;
mod tuned_adam;
mod two_hot;
mod units;
mod upgd;
mod weight_clipping;
mod weight_decay;

pub use brownian_motion::{BrownianMotion, BrownianMotionConfig};
pub use c51::{C51, C51Config};
pub use continual_backprop::{ContinualBackprop, ContinualBackpropConfig};
pub use crelu::{Crelu, CreluConfig};
pub use deep_fourier::{DeepFourier, DeepFourierConfig};
pub use hl_gauss::{HlGauss, HlGaussConfig};
pub use infer::{Infer, InferConfig};
pub use l2_init::{L2Init, L2InitConfig};
pub use layer_norm::{LayerNorm, LayerNormConfig};
pub use normalize_and_project::{NormalizeAndProject, NormalizeAndProjectConfig};
pub use parseval::{Parseval, ParsevalConfig};
pub use plasticity_injection::{PlasticityInjection, PlasticityInjectionConfig};
use pliant_core::{network::Model, registry::Plugins, tch::Tensor};
pub use redo::{Redo, RedoConfig};
pub use reset_full::{ResetFull, ResetFullConfig};
pub use reset_head::{ResetHead, ResetHeadConfig};
pub use reset_last_layer::{ResetLastLayer, ResetLastLayerConfig};
pub use reset_optimizer::{ResetOptimizer, ResetOptimizerConfig};
pub use rms_norm::{RmsNorm, RmsNormConfig};
pub use shrink_and_perturb::{ShrinkAndPerturb, ShrinkAndPerturbConfig};
pub use soft_shrink_and_perturb::{SoftShrinkAndPerturb, SoftShrinkAndPerturbConfig};
pub use spectral_norm::{SpectralNorm, SpectralNormConfig};
pub use spectral_regularization::{SpectralRegularization, SpectralRegularizationConfig};
pub use trac::{Trac, TracConfig};
pub use tuned_adam::{TunedAdam, TunedAdamConfig};
pub use two_hot::{TwoHot, TwoHotConfig};
pub use upgd::{Upgd, UpgdConfig};
pub use weight_clipping::{WeightClipping, WeightClippingConfig};
pub use weight_decay::{DecayForm, WeightDecay, WeightDecayConfig};

/// Adds this crate's interventions.
pub fn register(plugins: &mut Plugins) {
    plugins
        .interventions
        .register("brownian_motion", BrownianMotion::build)
        .register("c51", C51::build)
        .register("continual_backprop", ContinualBackprop::build)
        .register("crelu", Crelu::build)
        .register("deep_fourier", DeepFourier::build)
        .register("hl_gauss", HlGauss::build)
        .register("infer", Infer::build)
        .register("l2_init", L2Init::build)
        .register("layer_norm", LayerNorm::build)
        .register("normalize_and_project", NormalizeAndProject::build)
        .register("parseval", Parseval::build)
        .register("plasticity_injection", PlasticityInjection::build)
        .register("redo", Redo::build)
        .register("reset_full", ResetFull::build)
        .register("reset_head", ResetHead::build)
        .register("reset_last_layer", ResetLastLayer::build)
        .register("reset_optimizer", ResetOptimizer::build)
        .register("rms_norm", RmsNorm::build)
        .register("shrink_and_perturb", ShrinkAndPerturb::build)
        .register("soft_shrink_and_perturb", SoftShrinkAndPerturb::build)
        .register("spectral_norm", SpectralNorm::build)
        .register("spectral_regularization", SpectralRegularization::build)
        .register("trac", Trac::build)
        .register("tuned_adam", TunedAdam::build)
        .register("two_hot", TwoHot::build)
        .register("upgd", Upgd::build)
        .register("weight_clipping", WeightClipping::build)
        .register("weight_decay", WeightDecay::build);
}

/// True of a weight that the network divides by its spectral norm, so that its size means nothing.
fn is_divided(model: &Model, weight: &str) -> bool {
    let layer = weight.strip_suffix("/weight");
    layer.is_some_and(|layer| model.spec().plan.spectral_norm_of(layer).is_some())
}

/// The weights of all layers but the output, with their names.
fn hidden_weights(model: &Model) -> Vec<(String, Tensor)> {
    let mut layers = model.main_layers();
    layers.pop(); // the output
    let is_hidden = |(name, _): &(&str, &Tensor)| redraw::is_of(&layers, name);
    let named = |(name, weight): (&str, &Tensor)| (name.to_owned(), weight.shallow_clone());
    model.variables().weights().filter(is_hidden).map(named).collect()
}
