//! Networks, replay and agents.

pub mod acting;
mod attempt;
pub mod classifier;
pub mod double_dqn;
pub mod networks;
mod place;
pub mod replay;
pub mod td;

pub use attempt::OnNotFinite;

use pliant_core::registry::{Plugins, text};

/// Adds this crate's networks and agents.
pub fn register(plugins: &mut Plugins) {
    plugins
        .networks
        .register("cnn", |config| networks::Cnn::build(config).map_err(text))
        .register("impala", |config| networks::Impala::build(config).map_err(text))
        .register("mlp", |config| networks::Mlp::build(config).map_err(text))
        .register("nature", |config| networks::Nature::build(config).map_err(text))
        .register("resnet18", |config| networks::ResNet18::build(config).map_err(text))
        .register("vit", |config| networks::Vit::build(config).map_err(text));
    plugins
        .agents
        .register("classifier", |config| classifier::Factory::build(config).map_err(text))
        .register("double_dqn", |config| double_dqn::Factory::build(config).map_err(text));
}
