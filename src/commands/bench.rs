//! `pliant bench`

use std::sync::Arc;

use pliant_core::registry::Plugins;
use pliant_envs::env::EnvFactory;

use crate::{
    bench::{self, Bare, Load},
    cli::{BenchArgs, BenchEnvArgs},
    config::{self, KindTable, Options},
    failure::{Failure, Outcome},
};

/// Measures and prints one JSON object.
pub fn run(args: &BenchArgs, plugins: &Plugins) -> Outcome {
    match args {
        BenchArgs::Env(args) => env(args, plugins),
    }
}

fn env(args: &BenchEnvArgs, plugins: &Plugins) -> Outcome {
    let load = Load {
        envs: args.envs,
        threads: args.threads,
        rounds: args.rounds,
        steps: args.steps,
        seed: args.seed,
    };
    let set = std::iter::once(format!("env.kind={}", args.env)).chain(args.set.clone()).collect();
    let options = Options { set, ..Options::default() };
    let layers = config::layers(&options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    let factory: Arc<dyn EnvFactory> = config.env.build(&plugins.envs).map_err(Failure::Input)?;
    let bare = if args.no_bare { None } else { bare(&config.env)? };
    let speed = bench::envs(factory, load, bare.as_ref())?;
    println!("{}", serde_json::to_string(&speed).expect("plain data"));
    Ok(())
}

/// The emulator alone, where the environment has one.
#[cfg(feature = "atari")]
fn bare(env: &KindTable) -> Outcome<Option<Bare>> {
    use pliant_envs::ale::{AtariConfig, AtariFactory, BareFactory};
    if env.kind != "atari" {
        return Ok(None);
    }
    let config: AtariConfig = env
        .settings
        .clone()
        .try_into()
        .map_err(|error| Failure::Input(format!("[env]: {error}")))?;
    let emulators = Arc::new(BareFactory::new(AtariFactory::new(config)?));
    let in_step: Arc<dyn EnvFactory> = emulators.clone();
    let free = move |envs, threads, steps| emulators.run_free(envs, threads, steps);
    Ok(Some(Bare { in_step, free: Box::new(free) }))
}

#[cfg(not(feature = "atari"))]
fn bare(_env: &KindTable) -> Outcome<Option<Bare>> {
    Ok(None)
}
