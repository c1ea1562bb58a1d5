//! `pliant study run`

use std::{ffi::OsString, path::Path};

use pliant_core::registry::{Library, Plugins};

use super::{
    Asked, check, slurm,
    status::{self, View},
};
use crate::{
    cli::{Engine, StudyRunArgs},
    device,
    engine::{self, Ended, Gpus, Job, Share},
    experiment::{self, check_memory_for},
    failure::{Failure, Outcome},
    signals,
    sinks::Progress,
    study::{Plan, PlannedRun, RunState, StudyFolder},
};

/// Runs what is not finished of a study.
pub fn run(args: &StudyRunArgs, plugins: &Plugins) -> Outcome {
    check_options(args)?;
    let asked = Asked::of(&args.study)?;
    asked.tell_what_is_not_heeded();
    asked.tell_what_is_not_compared();
    let plan = asked.plan(plugins)?;
    match args.engine {
        Engine::Local => local(args, &asked, &plan, plugins),
        Engine::Slurm => slurm::run(args, &asked, &plan, plugins),
    }
}

fn check_options(args: &StudyRunArgs) -> Outcome {
    let of_slurm = [("--slurm", !args.slurm.is_empty()), ("--wait", args.wait)];
    match (args.engine, of_slurm.into_iter().find(|(_, is_given)| *is_given)) {
        (Engine::Local, Some((option, _))) => Err(Failure::Input(format!(
            "{option} belongs to --engine slurm, which is not asked for"
        ))),
        _ => Ok(()),
    }
}

/// As processes of this machine.
fn local(args: &StudyRunArgs, asked: &Asked, plan: &Plan, plugins: &Plugins) -> Outcome {
    let threads = |run: &PlannedRun| run.config.run.threads.max(run.config.run.env_threads);
    let threads = plan.runs.iter().map(threads).max().unwrap_or(1);
    let share = Share::of(device::cores(), plan.runs.len(), args.jobs, threads);
    let needs = check::build(&asked.folder, plan, |config| {
        let experiment = experiment::build(config, plugins)?;
        check_memory_for(&experiment, share.at_once)?;
        Ok(experiment)
    })?;
    if args.dry_run {
        return check::describe(asked, plan, needs, Some(share.at_once), plugins);
    }
    let folder = &asked.folder;
    let _lock = folder.lock()?;
    take_up(asked, plan, plugins)?;
    let view = View::sure(folder, plan)?;
    let jobs: Vec<Job> = due(&view, args.retry)
        .into_iter()
        .map(|(run, state)| job(folder, run, &state, &plugins.libraries))
        .collect();
    say_what_comes(plan, folder, &jobs, share);
    say_what_is_left(&view, args.retry);
    let stop = signals::stop()?;
    let progress = Progress::new(jobs.iter().map(|job| job.budget_frames).sum());
    let gpus = Gpus::to_deal_out(plan.runs.iter().map(|run| run.config.run.device.as_str()));
    let program = Path::new("/proc/self/exe");
    let ended = engine::run_all(program, &jobs, share.at_once, &gpus, &progress, &stop);
    progress.close();
    say!("{}", View::of(folder, plan).table());
    outcome(&view, &jobs, &ended)
}

/// Remembers the plan in the study's folder.
pub fn take_up(asked: &Asked, plan: &Plan, plugins: &Plugins) -> Outcome {
    let added = asked.folder.plan(&asked.text, &asked.extent, plan, plugins)?;
    if added > 0 {
        tell!("{added} runs are new in this study");
    }
    Ok(())
}

/// The runs to be made now.
pub fn due<'a>(view: &View<'a>, retry: bool) -> Vec<(&'a PlannedRun, RunState)> {
    let states = view.plan.runs.iter().map(|run| (run, view.folder.state(&run.name()).0));
    states
        .filter(|(run, state)| is_due(state, retry) && view.queued(&run.name()).is_none())
        .collect()
}

/// Says which runs are not made though they are not finished.
pub fn say_what_is_left(view: &View<'_>, retry: bool) {
    let queued = view.queue.as_ref().map_or(0, engine::slurm::Queue::len);
    if queued > 0 {
        tell!("{queued} runs are in Slurm's queue and are left to it");
    }
    let failed = view.failed().len();
    if failed > 0 && !retry {
        tell!("{failed} runs failed before and are left; --retry runs them too");
    }
}

fn is_due(state: &RunState, retry: bool) -> bool {
    match state {
        RunState::Waiting | RunState::Interrupted => true,
        RunState::Failed(_) => retry,
        RunState::Running | RunState::Finished => false,
    }
}

/// A run that has begun goes on; `resume` begins one again that came to no checkpoint.
fn job(folder: &StudyFolder, run: &PlannedRun, state: &RunState, libraries: &[Library]) -> Job {
    let name = run.name();
    let directory = folder.run(&name);
    let mut arguments: Vec<OsString> = libraries
        .iter()
        .flat_map(|library| ["--plugin".into(), library.path.clone().into()])
        .collect();
    match state {
        RunState::Waiting => {
            arguments.extend(["train".into(), folder.config(&name).into()]);
            arguments.extend(["--out".into(), directory.clone().into()]);
        }
        _ => arguments.extend(["resume".into(), directory.clone().into()]),
    }
    Job { name, arguments, run: directory, budget_frames: run.config.run.budget_frames }
}

fn say_what_comes(plan: &Plan, folder: &StudyFolder, jobs: &[Job], share: Share) {
    let Share { at_once, threads } = share;
    tell!(
        "{} of {} runs to do in {}, {at_once} at a time, threads for each: {threads}",
        jobs.len(),
        plan.runs.len(),
        folder.path().display()
    );
}

/// An error that lists what failed, now or before.
fn outcome(view: &View<'_>, jobs: &[Job], ended: &[Ended]) -> Outcome {
    let why =
        |(job, ended): (&Job, &Ended)| Some(format!("{}: {}", job.name, ended.error.as_ref()?));
    let failed: Vec<String> = jobs.iter().zip(ended).filter_map(why).collect();
    if !failed.is_empty() {
        return Err(Failure::Run(format!("{} runs failed: {}", failed.len(), failed.join("; "))));
    }
    let folder = view.folder.path().display();
    let before = view.failed();
    if !before.is_empty() {
        let names: Vec<String> = before.into_iter().map(|(name, _)| name).collect();
        return Err(Failure::Run(format!(
            "{} runs failed before: {}; why: pliant study status {folder}; once more: pliant study run {folder} --retry",
            names.len(),
            names.join(", ")
        )));
    }
    if status::is_unfinished(view.folder, view.plan) {
        say!("not finished; go on with: pliant study run {folder}");
    } else {
        say!("all runs are finished; to see what came of them: pliant study report {folder}");
    }
    Ok(())
}
