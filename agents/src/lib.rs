//! Networks, replay and agents.

pub mod acting;
pub mod double_dqn;
pub mod networks;
pub mod replay;
pub mod td;

use pliant_core::registry::{Plugins, text};

/// Adds this crate's networks and agents.
pub fn register(plugins: &mut Plugins) {
    plugins
        .networks
        .register("mlp", |config| networks::Mlp::build(config).map_err(text))
        .register("nature", |config| networks::Nature::build(config).map_err(text));
    plugins
        .agents
        .register("double_dqn", |config| double_dqn::Factory::build(config).map_err(text));
}
