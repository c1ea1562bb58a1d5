//! `pliant retry`

use pliant_core::{
    error::Error, metrics::Metrics, not_finite::NotFinite, probe::Transitions, registry::Plugins,
};

use super::{
    probe,
    resume::{check_interventions, check_unchanged, stored_config},
};
use crate::{
    checkpoint::{self, Loaded},
    cli::RetryArgs,
    config::Options,
    experiment::{self, Experiment},
    failed_update::{self, BATCH},
    failure::{Failure, Outcome},
    run_dir::RunDirectory,
};

/// Makes the update at which a run failed once more, from its dump; an error if it fails again.
pub fn run(args: &RetryArgs, plugins: &Plugins) -> Outcome {
    let run = RunDirectory::open(&args.run)?;
    let dump = RunDirectory::open(&dump(args, &run)?)?;
    let then = failed_update::found(dump.path()).map_err(Failure::Input)?;
    let options =
        Options { set: args.set.clone(), device: args.device.clone(), ..Options::default() };
    let config = stored_config(&dump, options, plugins)?;
    let stored = stored_config(&dump, Options::as_stored(), plugins)?;
    check_unchanged(&stored, &config).map_err(Failure::Input)?;
    check_interventions(&stored, &config, plugins).map_err(Failure::Input)?;
    let mut experiment = experiment::build(config, plugins)?;
    let newest = checkpoint::read_newest(&dump.checkpoints()).map_err(Failure::Input)?;
    let loaded = newest.loaded.ok_or_else(|| {
        Failure::Input(format!("there is no checkpoint in {}", dump.checkpoints().display()))
    })?;
    take_up(&loaded, &mut experiment).map_err(Failure::Input)?;
    let spec = experiment.agent.learner().online.spec();
    let batch = probe::file::stored(&dump.path().join(BATCH), spec).map_err(Failure::Input)?;
    say!("then: {then}");
    report(&then, update(&mut experiment, &loaded, &batch)?, args)
}

/// The dump that was asked for, or the newest.
fn dump(args: &RetryArgs, run: &RunDirectory) -> Outcome<std::path::PathBuf> {
    let all = failed_update::list(run);
    let wanted = args.update.map(|update| run.failures().join(update.to_string()));
    let found = match wanted {
        None => all.into_iter().next(),
        Some(path) => all.into_iter().find(|dump| *dump == path),
    };
    found.ok_or_else(|| {
        let which = args.update.map_or_else(|| "an update".to_owned(), |n| format!("update {n}"));
        let path = run.path().display();
        Failure::Input(format!("run directory {path}: {which} that failed is not in its failures/"))
    })
}

fn take_up(loaded: &Loaded, experiment: &mut Experiment) -> Result<(), String> {
    let state = &loaded.state;
    state
        .load_part("agent", experiment.agent.as_mut())
        .and_then(|()| state.load_part("interventions", &mut experiment.interventions))
        .map_err(|error| format!("checkpoint {}: {error}", loaded.path.display()))
}

/// What is found in it now; `None` if all is finite.
fn update(
    experiment: &mut Experiment,
    loaded: &Loaded,
    batch: &Transitions,
) -> Outcome<Option<NotFinite>> {
    let (interventions, mut clock) = (&mut experiment.interventions, loaded.clock);
    interventions.watch();
    let made =
        experiment.agent.update_on(batch, &mut clock, interventions, &mut Metrics::default());
    match made {
        Ok(()) => Ok(None),
        Err(Error::NotFinite(found)) => Ok(Some(*found)),
        Err(other) => Err(other.into()),
    }
}

fn report(then: &NotFinite, now: Option<NotFinite>, args: &RetryArgs) -> Outcome {
    let Some(now) = now else {
        let set: String = args.set.iter().map(|setting| format!(" --set {setting}")).collect();
        say!("now: all numbers of update {} are finite", then.update);
        say!("to go on like this: pliant resume {}{set}", args.run.display());
        return Ok(());
    };
    let how = if now.tensors == then.tensors { "the same" } else { "other numbers" };
    say!("now: {now}");
    Err(Failure::Run(format!("update {} fails again, with {how} as then", then.update)))
}
