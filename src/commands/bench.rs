//! `pliant bench`

use std::sync::Arc;

use pliant_core::registry::Plugins;
use pliant_envs::env::EnvFactory;
use serde::Serialize;

use crate::{
    bench::{
        env::{self, Bare},
        learner, probe,
    },
    cli::{BenchArgs, BenchEnvArgs, BenchLearnerArgs, BenchProbeArgs},
    config::{self, KindTable, Options},
    experiment,
    failure::{Failure, Outcome},
    sinks::Progress,
};

/// Measures and prints one JSON object.
pub fn run(args: &BenchArgs, plugins: &Plugins) -> Outcome {
    match args {
        BenchArgs::Env(args) => bench_env(args, plugins),
        BenchArgs::Learner(args) => bench_learner(args, plugins),
        BenchArgs::Probe(args) => bench_probe(args, plugins),
    }
}

fn bench_env(args: &BenchEnvArgs, plugins: &Plugins) -> Outcome {
    let load = env::Load {
        envs: args.envs,
        threads: args.threads,
        rounds: args.rounds,
        steps: args.steps,
        seed: args.seed,
    };
    let env = config::env_section(&args.env, &args.set, plugins).map_err(Failure::Input)?;
    let factory: Arc<dyn EnvFactory> = env.build(&plugins.envs).map_err(Failure::Input)?;
    let bare = if args.no_bare { None } else { bare(&env)? };
    print(&env::envs(factory, load, bare.as_ref())?);
    Ok(())
}

/// What makes an agent learn soon and from a small replay; options of the command line win.
const SOON: [&str; 3] =
    ["agent.update_every_agent_steps=1", "agent.learning_starts=512", "agent.replay_capacity=4096"];

/// Those of these `agent.KEY=VALUE` that the configured kind of agent has.
fn settings_of_the_agent(
    options: &Options,
    settings: &[&str],
    plugins: &Plugins,
) -> Outcome<Vec<String>> {
    let layers = config::layers(options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    let kind = plugins.agents.get(&config.agent.kind).map_err(Failure::Input)?;
    let is_known = |setting: &&&str| {
        let mut names = kind.parameters.iter().map(|parameter| &parameter.name);
        names.any(|name| setting.starts_with(&format!("agent.{name}=")))
    };
    Ok(settings.iter().filter(is_known).map(|setting| (*setting).to_owned()).collect())
}

fn bench_learner(args: &BenchLearnerArgs, plugins: &Plugins) -> Outcome {
    let mut options = args.config.options();
    if !options.probe.is_empty() {
        let text = "`bench learner` measures no probes: use `pliant bench probe`";
        return Err(Failure::Input(text.to_owned()));
    }
    let known = settings_of_the_agent(&options, &SOON, plugins)?;
    options.set.splice(0..0, known);
    let layers = config::layers(&options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    let mut without = config.clone();
    without.interventions.clear();
    let is_compared = args.control || !args.no_plain && !config.interventions.is_empty();
    let config = if args.control { without.clone() } else { config };
    let experiment = experiment::build(config, plugins)?;
    experiment::check_memory(&experiment)?;
    let plain = is_compared.then(|| experiment::build(without, plugins)).transpose()?;
    let load = learner::Load { rounds: args.rounds, updates: args.updates };
    let (last, period) = (load.last_update(), experiment.agent.target_period_updates());
    for (label, _) in experiment.interventions.idle_within(last, period) {
        tell!(
            "warning: {label} does nothing in the {last} updates that are made: what it costs does not show"
        );
    }
    print(&learner::learner(experiment, plain, load)?);
    Ok(())
}

/// Enough for every probe's defaults.
const ENOUGH: [&str; 3] = [
    "agent.update_every_agent_steps=1",
    "agent.learning_starts=2049",
    "agent.replay_capacity=4096",
];

fn bench_probe(args: &BenchProbeArgs, plugins: &Plugins) -> Outcome {
    let mut options = args.config.options();
    let known = settings_of_the_agent(&options, &ENOUGH, plugins)?;
    options.set.splice(0..0, known);
    let layers = config::layers(&options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    if config.probes.is_empty() {
        return Err(Failure::Input("there is no probe to measure: add --probe KIND".to_owned()));
    }
    let experiment = experiment::build(config, plugins)?;
    experiment::check_memory(&experiment)?;
    let load = probe::Load { rounds: args.rounds, updates: args.updates };
    let progress = Progress::over(args.rounds as u64, "rounds");
    print(&probe::probe(experiment, load, &progress)?);
    Ok(())
}

fn print(measured: &impl Serialize) {
    say!("{}", serde_json::to_string(measured).expect("plain data"));
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
