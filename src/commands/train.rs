//! `pliant train`

mod several;

use pliant_core::registry::Plugins;

use super::{session, warnings};
use crate::{
    cli::TrainArgs,
    config,
    experiment::{self, Experiment, amount},
    failure::{Failure, Outcome},
    run_dir::{self, RunDirectory},
};

const NOTHING_NAMED: &str = "name a preset or a TOML file, such as `pliant train quickstart` (2 minutes) or \
                             `pliant train double_dqn_zoo` (200 million frames of a game); `pliant list \
                             presets` shows all";

/// Resolves the configuration, builds and checks everything, then trains.
pub fn run(args: &TrainArgs, plugins: &Plugins) -> Outcome {
    let options = args.config.options();
    if options.base.is_none() {
        return Err(Failure::Input(NOTHING_NAMED.to_owned()));
    }
    let layers = config::layers(&options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    warnings::tell_of_threads(&config.run);
    let experiment = experiment::build(config, plugins)?;
    experiment::check_memory(&experiment)?;
    if let Some(seeds) = &args.seeds {
        several::check(&experiment, seeds, args.jobs)?;
    }
    if args.dry_run {
        warnings::tell_of_idleness(&experiment);
        warnings::tell_of_eager_updates(&experiment);
        describe(&experiment);
        return Ok(());
    }
    if let Some(seeds) = &args.seeds {
        return several::train(experiment, seeds, args.jobs, args.out.as_deref());
    }
    let run = &experiment.config.run;
    let name = format!("{}-seed{}", run.name, run.seed);
    let path = args.out.clone().unwrap_or_else(|| run_dir::claim_default(&name));
    let provenance = session::provenance(&experiment);
    let (directory, lock) = RunDirectory::create(&path, &experiment.config, &provenance)?;
    tell!("run directory: {}", directory.path().display());
    session::run(experiment, &directory, lock, &session::From::New)
}

/// The resolved configuration as TOML, with what it needs as comments.
fn describe(experiment: &Experiment) {
    let learner = experiment.agent.learner();
    let spec = learner.online.spec();
    say!("# everything below was checked and built; nothing was run");
    say!(
        "# observation {:?}, {} actions, {} parameters, replay {} when full{}, device {}",
        spec.observation,
        spec.actions,
        learner.online.variables().count(),
        amount(experiment.replay_bytes),
        if experiment.replay_in_main_memory() < experiment.replay_bytes {
            " in its memory"
        } else {
            ""
        },
        crate::device::name(experiment.device),
    );
    say!("{}", experiment.config.to_toml().trim_end());
}
