//! `pliant resume`

use pliant_core::{
    clock::Clock,
    precision::Precision,
    registry::{Library, Plugins},
};
use tch::Device;

use super::{
    session::{self, From},
    warnings,
};
use crate::{
    checkpoint::{self, Newest},
    cli::ResumeArgs,
    config::{self, Config, Options},
    device, experiment,
    failure::{Failure, Outcome},
    run_dir::{RunDirectory, State},
};

/// Continues a run from its newest checkpoint; one that ended before its first begins again.
pub fn run(args: &ResumeArgs, plugins: &Plugins) -> Outcome {
    let directory = RunDirectory::open(&args.run)?;
    let is_resolved = args.is_resolved;
    let (set, device) = (args.set.clone(), args.device.clone());
    let options = Options { set, device, is_resolved, ..Options::default() };
    let config = stored_config(&directory, options, plugins)?;
    let stored = stored_config(&directory, Options::as_stored(), plugins)?;
    check_unchanged(&stored, &config).map_err(Failure::Input)?;
    check_interventions(&stored, &config, plugins).map_err(Failure::Input)?;
    let lock = directory.lock()?;
    let newest = checkpoint::read_newest(&directory.checkpoints()).map_err(Failure::Input)?;
    match &newest.loaded {
        Some(loaded) => check_budget(&directory, &stored, &config, loaded.clock.frames)?,
        None => check_undamaged(&directory)?,
    }
    warnings::tell_of_threads(&config.run);
    let experiment = experiment::build(config, plugins)?;
    experiment::check_memory(&experiment)?;
    set_aside(&newest)?;
    let from = newest.loaded.as_ref().map_or(From::Again, From::Checkpoint);
    if let From::Checkpoint(loaded) = &from {
        let Clock { updates, frames, .. } = loaded.clock;
        tell!("goes on from the checkpoint of update {updates}, frame {frames}");
    }
    match &from {
        From::Checkpoint(loaded) if !loaded.has_replay() && experiment.config.checkpoint.replay => {
            tell!(
                "warning: this checkpoint is without its replay, which only the newest keeps: the replay fills \
                 anew, and what follows is not what the run would have been"
            );
        }
        From::Again => tell!("there is no checkpoint: it begins again at its first frame"),
        _ => {}
    }
    session::run(experiment, &directory, lock, &from)
}

/// An error if a run has nothing left to do: it is at its end, and was measured there.
fn check_budget(
    directory: &RunDirectory,
    stored: &Config,
    config: &Config,
    frames: u64,
) -> Outcome {
    let budget = config.run.budget_frames;
    if budget < stored.run.budget_frames && budget < frames {
        return Err(Failure::Input(format!(
            "run.budget_frames: run {} has {frames} frames already, expected a budget of more than these, not {budget}",
            directory.path().display(),
        )));
    }
    let is_finished = directory.status().is_some_and(|status| status.state == State::Finished);
    if frames < budget || !is_finished {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "run {} has used its budget of {budget} frames; to go on, raise it with --set run.budget_frames=N",
        directory.path().display(),
    )))
}

/// An error if a run without a checkpoint had some, which are damaged: it would begin again over what they belong to.
fn check_undamaged(directory: &RunDirectory) -> Outcome {
    let damaged = checkpoint::list_damaged(&directory.checkpoints());
    if damaged.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = damaged.iter().map(|path| path.display().to_string()).collect();
    Err(Failure::Input(format!(
        "run {} has no checkpoint but damaged ones ({}): put one back from a copy, train anew in another folder from the \
         run's config.toml, or remove them to have it begin again here",
        directory.path().display(),
        names.join(", ")
    )))
}

/// Puts checkpoints that cannot be read out of the row, and says so.
fn set_aside(newest: &Newest) -> Outcome {
    for (path, error) in &newest.damaged {
        let aside = checkpoint::set_aside(path).map_err(|error| {
            Failure::while_doing(format!("cannot rename {}", path.display()), error)
        })?;
        tell!("warning: {error}; it is now {}", aside.display());
    }
    if let (Some(loaded), false) = (&newest.loaded, newest.damaged.is_empty()) {
        tell!("warning: the run goes on from the one before, of update {}", loaded.clock.updates);
    }
    Ok(())
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

/// The same for a run that is measured and does not learn: what is for GPUs alone is done in f32 on a CPU.
pub fn config_to_measure(
    directory: &RunDirectory,
    options: Options,
    plugins: &Plugins,
) -> Outcome<Config> {
    let mut config = stored_config(directory, options, plugins)?;
    let is_on_cpu = device::choose(&config.run.device) == Ok(Device::Cpu);
    if config.run.precision == Precision::Tf32 && is_on_cpu {
        tell!("warning: the run computes in tf32, which is for GPUs; here it is measured in f32");
        config.run.precision = Precision::F32;
    }
    Ok(config)
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
