//! `pliant resume`

use pliant_core::registry::{Library, Plugins};

use super::session;
use crate::{
    checkpoint,
    cli::ResumeArgs,
    config::{self, Config, Options},
    experiment,
    failure::{Failure, Outcome},
    run_dir::RunDirectory,
};

/// Continues a run from its newest checkpoint.
pub fn run(args: &ResumeArgs, plugins: &Plugins) -> Outcome {
    let directory = RunDirectory::open(&args.run)?;
    let options =
        Options { set: args.set.clone(), device: args.device.clone(), ..Options::default() };
    let config = stored_config(&directory, options, plugins)?;
    let stored = stored_config(&directory, Options::default(), plugins)?;
    check_unchanged(&stored, &config).map_err(Failure::Input)?;
    check_interventions(&stored, &config, plugins).map_err(Failure::Input)?;
    let loaded = checkpoint::read_newest(&directory.checkpoints()).map_err(Failure::Input)?;
    if loaded.clock.frames >= config.run.budget_frames {
        return Err(Failure::Input(format!(
            "run {} has used its budget of {} frames; to go on, raise it with \
             --set run.budget_frames=N",
            directory.path().display(),
            config.run.budget_frames
        )));
    }
    let experiment = experiment::build(config, plugins)?;
    experiment::check_memory(&experiment)?;
    session::run(experiment, &directory, Some(&loaded))
}

/// An error if something changes that the saved state is a state of: it would be taken up and go on as
/// before, or not fit.
pub(super) fn check_unchanged(stored: &Config, config: &Config) -> Result<(), String> {
    let kinds = [("env", &stored.env, &config.env), ("network", &stored.network, &config.network)];
    let changed = kinds.into_iter().find_map(|(section, old, new)| {
        let differs = |key: &&String| old.settings.get(*key) != new.settings.get(*key);
        if old.kind != new.kind {
            return Some(format!("{section}.kind"));
        }
        new.settings.keys().find(differs).map(|key| format!("{section}.{key}"))
    });
    let run = [
        ("run.seed", stored.run.seed != config.run.seed),
        ("run.num_envs", stored.run.num_envs != config.run.num_envs),
    ];
    let of_run = run.into_iter().find_map(|(key, differs)| differs.then(|| key.to_owned()));
    match changed.or(of_run) {
        None => Ok(()),
        Some(key) => Err(format!(
            "{key} cannot change when a run goes on, since its saved state belongs to it; start a new run"
        )),
    }
}

/// An error if the interventions are others, for which nothing was saved, or ask something else of the
/// network.
pub(super) fn check_interventions(
    stored: &Config,
    config: &Config,
    plugins: &Plugins,
) -> Result<(), String> {
    let kinds = |config: &Config| -> Vec<String> {
        config.interventions.iter().map(|table| table.kind.clone()).collect()
    };
    if kinds(stored) != kinds(config) {
        return Err(format!(
            "interventions: a run goes on with the kinds that it began with, in their order ({}); their \
             settings may change; start a new run for others",
            kinds(stored).join(", ")
        ));
    }
    if experiment::planned(stored, plugins)? != experiment::planned(config, plugins)? {
        return Err("interventions: what is part of the network (normalisation, activation, head, spectral \
                    norms) cannot change when a run goes on; start a new run"
            .to_owned());
    }
    Ok(())
}

/// The configuration a run directory holds, with options laid over it.
pub fn stored_config(
    directory: &RunDirectory,
    mut options: Options,
    plugins: &Plugins,
) -> Outcome<Config> {
    options.base = Some(directory.path().join("config.toml").display().to_string());
    let layers = config::layers(&options).map_err(Failure::Input)?;
    config::resolve(&layers, plugins).map_err(|error| {
        let libraries = directory.provenance().unwrap_or_default().plugins;
        Failure::Input(error + &missing_libraries(&libraries, plugins))
    })
}

/// What to add to an error about a run's configuration: the libraries it was made with and whose kinds
/// are not there now.
fn missing_libraries(libraries: &[Library], plugins: &Plugins) -> String {
    let is_missing = |library: &&Library| {
        let mut interventions = library.interventions.iter();
        interventions.any(|kind| !plugins.interventions.contains(kind))
            || library.probes.iter().any(|kind| !plugins.probes.contains(kind))
    };
    let missing = libraries.iter().filter(is_missing);
    let options: Vec<String> =
        missing.map(|library| format!("--plugin {}", library.path.display())).collect();
    if options.is_empty() {
        return String::new();
    }
    format!("; the run was made with a plug-in, give it again: {}", options.join(" "))
}
