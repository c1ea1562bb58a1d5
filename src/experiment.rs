//! From a configuration to built parts: everything is checked before the first frame.

use std::sync::Arc;

pub use pliant_core::memory::available as available_memory;
use pliant_core::{
    agent::{Agent, AgentContext},
    intervention::Interventions,
    learner::Learner,
    network::{Model, NetworkSpec},
    probe::Probes,
    registry::{Library, Plugins, Registry},
    seeds::Seeds,
    tch::Device,
};
use pliant_envs::env::{EnvFactory, KnownStates, Role};

use crate::{
    config::{Config, KindTable},
    device,
    failure::{Failure, Outcome},
};

/// The parts of a run, built and checked.
pub struct Experiment {
    /// What they were built from.
    pub config: Config,
    /// Makes environments.
    pub factory: Arc<dyn EnvFactory>,
    /// Acts, remembers, learns.
    pub agent: Box<dyn Agent>,
    /// Change how it learns.
    pub interventions: Interventions,
    /// Measure it.
    pub probes: Probes,
    /// The states behind observations, where they are known and somebody measures.
    pub states: Option<Arc<dyn KnownStates>>,
    /// Where all random streams come from.
    pub seeds: Seeds,
    /// Where the networks compute.
    pub device: Device,
    /// Threads that compute.
    pub threads: usize,
    /// Bytes that the replay takes when full, wherever it lies.
    pub replay_bytes: u64,
    /// Where plug-ins were loaded from.
    pub libraries: Vec<Library>,
}

impl Experiment {
    /// Bytes of main memory that the replay takes when full.
    pub fn replay_in_main_memory(&self) -> u64 {
        if self.agent.replay_device() == Device::Cpu { self.replay_bytes } else { 0 }
    }
}

/// Builds all parts. Every error is one of input.
pub fn build(config: Config, plugins: &Plugins) -> Outcome<Experiment> {
    let origins = config.origins.clone();
    assemble(config, plugins).map_err(|error| Failure::Input(origins.locate(&error)))
}

fn assemble(config: Config, plugins: &Plugins) -> Result<Experiment, String> {
    check_ranges(&config)?;
    let device = device::choose(&config.run.device)?;
    config.run.precision.settle(device).map_err(|error| error.to_string())?;
    let threads = device::set_threads(config.run.threads, device);
    let seeds = Seeds::new(config.run.seed);
    let factory = config.env.build(&plugins.envs)?;
    // Some environments can only be made for so many at most.
    factory.make(Role::Training, config.run.num_envs).map_err(|error| format!("[env]: {error}"))?;
    let agent_factory = config.agent.build(&plugins.agents)?;
    check_feedback(&config, agent_factory.is_supervised(), factory.spec().supervised)?;
    let mut interventions = Interventions::new(
        build_all("interventions", &config.interventions, &plugins.interventions)?,
        &seeds,
    );
    let probes = Probes::new(build_all("probes", &config.probes, &plugins.probes)?, &seeds);
    let mut learner = learner(&config, plugins, factory.as_ref(), &interventions, device)?;
    interventions.after_build(&mut learner)?;
    let replay_bytes = agent_factory.replay_bytes(factory.spec());
    let context = AgentContext {
        env: factory.spec(),
        num_envs: config.run.num_envs,
        learner,
        precision: config.run.precision,
        cuda_graphs: config.run.cuda_graphs,
        seeds,
    };
    let agent = agent_factory.build(context).map_err(|error| format!("[agent]: {error}"))?;
    let states = if config.probes.is_empty() { None } else { factory.known_states() };
    probes.fit(agent.learner(), agent.data(), states.as_deref())?;
    Ok(Experiment {
        config,
        factory,
        agent,
        interventions,
        states,
        probes,
        seeds,
        device,
        threads,
        replay_bytes,
        libraries: plugins.libraries.clone(),
    })
}

/// Refuses an agent that learns from something else than what the environment tells.
fn check_feedback(config: &Config, agent: bool, env: bool) -> Result<(), String> {
    let (agent_kind, env_kind) = (&config.agent.kind, &config.env.kind);
    match (agent, env) {
        (false, true) => Err(format!(
            "[agent]: `{agent_kind}` learns from rewards, but `[env]` `{env_kind}` is supervised: it tells \
             the right answers; expected an agent that learns from them, such as `classifier`"
        )),
        (true, false) => Err(format!(
            "[agent]: `{agent_kind}` learns from right answers, but `[env]` `{env_kind}` pays rewards and tells \
             none; expected a supervised environment, such as `random_labels`"
        )),
        _ => Ok(()),
    }
}

/// What the interventions of a configuration ask of the network, in words: to tell whether two ask the same.
pub fn planned(config: &Config, plugins: &Plugins) -> Result<String, String> {
    let parts = build_all("interventions", &config.interventions, &plugins.interventions)?;
    let plan = Interventions::new(parts, &Seeds::new(config.run.seed)).plan()?;
    Ok(format!("{plan:?}"))
}

fn learner(
    config: &Config,
    plugins: &Plugins,
    factory: &dyn EnvFactory,
    interventions: &Interventions,
    device: Device,
) -> Result<Learner, String> {
    let architecture = config.network.build(&plugins.networks)?;
    let spec = NetworkSpec::new(factory.spec(), interventions.plan()?);
    let mut stream = Seeds::new(config.run.seed).stream("network");
    let online = Model::new(architecture, spec, &mut stream, device)
        .map_err(|error| format!("network `{}`: {error}", config.network.kind))?;
    let mut optimizer = config.optimizer.build(&plugins.optimizers)?;
    optimizer.seed(Seeds::new(config.run.seed).stream("optimizer"));
    Ok(Learner::new(online, optimizer))
}

/// Builds a list of kinds; a message names its place in the section.
fn build_all<T: 'static>(
    section: &str,
    kinds: &[KindTable],
    registry: &Registry<T>,
) -> Result<Vec<(String, T)>, String> {
    let build = |(index, kind): (usize, &KindTable)| {
        let built = kind.build(registry).map_err(|error| format!("{section}[{index}]: {error}"))?;
        Ok((kind.kind.clone(), built))
    };
    kinds.iter().enumerate().map(build).collect()
}

/// Ranges of the fixed sections; kinds check their own.
fn check_ranges(config: &Config) -> Result<(), String> {
    let Config { run, eval, log, .. } = config;
    let at_least_one = [
        ("run.budget_frames", run.budget_frames),
        ("run.num_envs", run.num_envs as u64),
        ("eval.episodes", eval.episodes as u64),
        ("eval.steps", eval.steps as u64),
        ("eval.num_envs", eval.num_envs as u64),
        ("log.every_frames", log.every_frames),
        ("checkpoint.keep", config.checkpoint.keep as u64),
    ];
    for (key, value) in at_least_one {
        if value == 0 {
            return Err(format!("{key} is 0, expected at least 1"));
        }
    }
    for (key, value) in [("run.num_envs", run.num_envs), ("eval.num_envs", eval.num_envs)] {
        if value > MAX_ENVS {
            return Err(format!("{key} is {value}, expected at most {MAX_ENVS}"));
        }
    }
    for (key, value) in [("run.threads", run.threads), ("run.env_threads", run.env_threads)] {
        if value > MAX_THREADS {
            return Err(format!("{key} is {value}, expected at most {MAX_THREADS}"));
        }
    }
    if run.name.is_empty() || run.name.contains(['/', '\0']) {
        return Err(format!("run.name is {:?}, expected a name without `/`", run.name));
    }
    let minutes = config.checkpoint.every_minutes;
    if !(0.0..f64::INFINITY).contains(&minutes) {
        return Err(format!("checkpoint.every_minutes is {minutes}, expected 0 or more"));
    }
    if (0.0..=1.0).contains(&eval.epsilon) {
        Ok(())
    } else {
        Err(format!("eval.epsilon is {}, expected 0 to 1", eval.epsilon))
    }
}

const MAX_ENVS: usize = 4096;
const MAX_THREADS: usize = 1024;

/// Refuses a replay that will not fit, before it fills up hours later.
pub fn check_memory(experiment: &Experiment) -> Outcome {
    check_memory_for(experiment, 1)
}

/// The same of several such experiments at once.
pub fn check_memory_for(experiment: &Experiment, count: usize) -> Outcome {
    fits(experiment.replay_in_main_memory(), count, available_memory()).map_err(Failure::Input)
}

fn fits(needed: u64, count: usize, available: Option<u64>) -> Result<(), String> {
    let all = needed.saturating_mul(count as u64);
    let Some(available) = available.filter(|available| all > *available) else { return Ok(()) };
    let has = format!("this machine has {} free", amount(available));
    Err(match count {
        0 | 1 => {
            format!("the replay needs {}, but {has}: lower agent.replay_capacity", amount(all))
        }
        _ => format!(
            "the replays of {count} runs at a time need {}, {} each, but {has}: run fewer at a time (--jobs), or lower \
             agent.replay_capacity",
            amount(all),
            amount(needed)
        ),
    })
}

/// `7.1 GB`, `3.2 MB`.
pub fn amount(bytes: u64) -> String {
    if bytes < 100_000_000 {
        return format!("{:.1} MB", bytes as f64 / 1e6);
    }
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_larger_than_the_free_memory_is_refused_with_both_sizes() {
        assert_eq!(fits(7_100_000_000, 1, Some(7_100_000_000)), Ok(()));
        assert_eq!(fits(7_100_000_000, 9, None), Ok(()));
        let several = fits(500_000_000, 6, Some(2_000_000_000)).expect_err("too many");
        assert!(several.contains("3.0 GB, 0.5 GB each") && several.contains("--jobs"), "{several}");
        let message = fits(7_100_000_000, 1, Some(2_000_000_000)).expect_err("too large");
        assert!(message.contains("7.1 GB") && message.contains("2.0 GB"), "{message}");
        assert_eq!(amount(3_240_000), "3.2 MB");
    }
}
