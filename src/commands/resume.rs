//! `pliant resume`

use pliant_core::registry::Plugins;

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

/// The configuration a run directory holds, with options laid over it.
pub fn stored_config(
    directory: &RunDirectory,
    mut options: Options,
    plugins: &Plugins,
) -> Outcome<Config> {
    options.base = Some(directory.path().join("config.toml").display().to_string());
    let layers = config::layers(&options).map_err(Failure::Input)?;
    config::resolve(&layers, plugins).map_err(Failure::Input)
}
