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
    let load = load(args)?;
    let set = std::iter::once(format!("env.kind={}", args.env)).chain(args.set.clone()).collect();
    let options = Options { set, ..Options::default() };
    let layers = config::layers(&options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    let factory: Arc<dyn EnvFactory> = config.env.build(&plugins.envs).map_err(Failure::Input)?;
    let threads = VectorThreads::of(load);
    let bare = if args.no_bare { None } else { bare(&config.env, load.envs, threads.0)? };
    let speed = bench::envs(factory, load, bare)?;
    println!("{}", serde_json::to_string(&speed).expect("plain data"));
    Ok(())
}

fn load(args: &BenchEnvArgs) -> Outcome<Load> {
    let load = Load {
        envs: args.envs,
        threads: args.threads,
        rounds: args.rounds,
        steps: args.steps,
        seed: args.seed,
    };
    for (option, value) in
        [("--envs", load.envs), ("--rounds", load.rounds), ("--steps", load.steps)]
    {
        if value == 0 {
            return Err(Failure::Input(format!("{option} is 0, expected at least 1")));
        }
    }
    Ok(load)
}

/// As many threads as the vector starts.
struct VectorThreads(usize);

impl VectorThreads {
    fn of(load: Load) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(if load.threads == 0 { cores } else { load.threads }.min(load.envs))
    }
}

/// The emulator alone, where the environment has one.
#[cfg(feature = "atari")]
fn bare(env: &KindTable, envs: usize, threads: usize) -> Outcome<Option<Bare<'static>>> {
    use pliant_envs::ale::{AtariConfig, AtariFactory, BareEmulators};
    if env.kind != "atari" {
        return Ok(None);
    }
    let config: AtariConfig = env
        .settings
        .clone()
        .try_into()
        .map_err(|error| Failure::Input(format!("[env]: {error}")))?;
    let factory = AtariFactory::new(config)?;
    let mut emulators = BareEmulators::new(&factory, envs, threads)?;
    Ok(Some(Box::new(move |steps| emulators.run(steps))))
}

#[cfg(not(feature = "atari"))]
fn bare(_env: &KindTable, _envs: usize, _threads: usize) -> Outcome<Option<Bare<'static>>> {
    Ok(None)
}
