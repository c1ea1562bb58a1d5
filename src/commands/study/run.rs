//! `pliant study run`

use std::{ffi::OsString, path::Path};

use pliant_core::registry::{Library, Plugins};

use super::{Asked, status};
use crate::{
    cli::StudyRunArgs,
    device,
    engine::{self, Ended, Job, Share},
    experiment::{self, check_memory_for},
    failure::{Failure, Outcome},
    signals,
    sinks::Progress,
    study::{Plan, PlannedRun, RunState, StudyFolder},
};

/// Runs what is not finished of a study.
pub fn run(args: &StudyRunArgs, plugins: &Plugins) -> Outcome {
    let asked = Asked::of(&args.study)?;
    let plan = asked.plan(plugins)?;
    let share = check(&plan, args.jobs, plugins)?;
    if args.dry_run {
        describe(&plan);
        return Ok(());
    }
    let folder = &asked.folder;
    let _lock = folder.lock()?;
    let added = folder.plan(&asked.text, &asked.scale, &asked.set, &plan)?;
    if added > 0 {
        tell!("{added} runs are new in this study");
    }
    let (begun, failed) = status::of_runs(folder, &plan);
    let jobs: Vec<Job> = (plan.runs.iter().zip(&begun))
        .filter(|(_, state)| is_due(state, args.retry))
        .map(|(run, state)| job(folder, run, state, &plugins.libraries))
        .collect();
    say_what_comes(&plan, folder, &jobs, share, if args.retry { 0 } else { failed });
    let stop = signals::stop()?;
    let progress = Progress::new(jobs.iter().map(|job| job.budget_frames).sum());
    let ended =
        engine::run_all(Path::new("/proc/self/exe"), &jobs, share.at_once, &progress, &stop);
    progress.close();
    say!("{}", status::table(folder, &plan));
    outcome(folder, &plan, &jobs, &ended)
}

/// Builds one run of every combination of conditions, and returns how the machine is shared.
fn check(plan: &Plan, at_once: Option<usize>, plugins: &Plugins) -> Outcome<Share> {
    let first_seed = plan.runs.first().map(|run| run.seed);
    let threads = plan.runs.iter().map(|run| run.config.run.threads).max().unwrap_or(1);
    let share = Share::of(device::cores(), plan.runs.len(), at_once, threads);
    for run in plan.runs.iter().filter(|run| Some(run.seed) == first_seed) {
        let named = |failure: Failure| Failure::Input(format!("run {}: {failure}", run.name()));
        let experiment = experiment::build(run.config.clone(), plugins).map_err(named)?;
        check_memory_for(&experiment, share.at_once).map_err(named)?;
    }
    Ok(share)
}

fn describe(plan: &Plan) {
    say!("everything was checked and built; nothing was run");
    for run in &plan.runs {
        say!("{}  {} frames", run.name(), run.config.run.budget_frames);
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

fn say_what_comes(plan: &Plan, folder: &StudyFolder, jobs: &[Job], share: Share, failed: usize) {
    let Share { at_once, threads } = share;
    tell!(
        "{} of {} runs to do in {}, {at_once} at a time, threads for each: {threads}",
        jobs.len(),
        plan.runs.len(),
        folder.path().display()
    );
    if failed > 0 {
        tell!("{failed} runs failed before and are left; --retry runs them too");
    }
}

/// An error that lists what failed.
fn outcome(folder: &StudyFolder, plan: &Plan, jobs: &[Job], ended: &[Ended]) -> Outcome {
    let why =
        |(job, ended): (&Job, &Ended)| Some(format!("{}: {}", job.name, ended.error.as_ref()?));
    let failed: Vec<String> = jobs.iter().zip(ended).filter_map(why).collect();
    if !failed.is_empty() {
        return Err(Failure::Run(format!("{} runs failed: {}", failed.len(), failed.join("; "))));
    }
    let (states, _) = status::of_runs(folder, plan);
    if states.iter().any(|state| *state != RunState::Finished) {
        say!("not finished; go on with: pliant study run {}", folder.path().display());
    }
    Ok(())
}
