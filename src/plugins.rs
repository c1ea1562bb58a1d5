//! The plug-ins that come with the program, and those that are loaded into it.

mod library;

pub use library::load;
use pliant_core::registry::Plugins;

/// Every built-in kind. A program of your own adds its lines:
/// `plugins.interventions.register("mine", Mine::build)`.
pub fn builtin() -> Plugins {
    let mut plugins = Plugins::core();
    envs(&mut plugins);
    pliant_agents::register(&mut plugins);
    pliant_interventions::register(&mut plugins);
    pliant_probes::register(&mut plugins);
    plugins
}

fn envs(plugins: &mut Plugins) {
    use pliant_core::registry::text;
    #[cfg(feature = "atari")]
    plugins.envs.register("atari", |config| {
        pliant_envs::ale::AtariFactory::build(config).map(Into::into).map_err(text)
    });
    #[cfg(feature = "atari")]
    plugins.envs.register("continual_atari", |config| {
        pliant_envs::ale::ContinualAtariFactory::build(config).map(Into::into).map_err(text)
    });
    plugins.envs.register("classification", |config| {
        pliant_envs::classification::ClassificationFactory::build(config)
            .map(Into::into)
            .map_err(text)
    });
    supervised(plugins);
}

fn supervised(plugins: &mut Plugins) {
    use pliant_core::registry::text;
    use pliant_envs::supervised::{ClassIncremental, PermutedInputs, RandomLabels, WarmStart};
    plugins
        .envs
        .register("class_incremental", |config| {
            ClassIncremental::build(config).map(Into::into).map_err(text)
        })
        .register("permuted_inputs", |config| {
            PermutedInputs::build(config).map(Into::into).map_err(text)
        })
        .register("random_labels", |config| {
            RandomLabels::build(config).map(Into::into).map_err(text)
        })
        .register("warm_start", |config| WarmStart::build(config).map(Into::into).map_err(text));
}
