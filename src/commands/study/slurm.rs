//! `pliant study run --engine slurm`

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use pliant_core::registry::Plugins;

use super::{
    Asked, check,
    run::{self, due},
    status::{self, View},
};
use crate::{
    cli::StudyRunArgs,
    engine::slurm::{self, Array, Queue, Submission},
    experiment,
    failure::{Failure, Outcome},
    signals,
    sinks::Progress,
    study::{Plan, PlannedRun, RunState, StudyFolder},
};

/// Slurm's default limit on the tasks of an array (`MaxArraySize` less one).
const MOST_TASKS: usize = 1000;

/// How often `--wait` asks Slurm, and for how long it may give no answer.
const PERIOD: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(600);

/// Submits what is neither finished nor queued.
pub fn run(args: &StudyRunArgs, asked: &Asked, plan: &Plan, plugins: &Plugins) -> Outcome {
    let settings = asked.file.scale(&asked.extent.scale).map_err(Failure::Input)?.slurm.clone();
    let settings = settings.with(&args.slurm).map_err(Failure::Input)?;
    if !args.dry_run {
        slurm::check()?;
    }
    let needs = check::build(&asked.folder, plan, |mut config| {
        // Devices and memory are the nodes' own.
        "cpu".clone_into(&mut config.run.device);
        experiment::build(config, plugins)
    })?;
    if args.dry_run {
        return check::describe(asked, plan, needs, None, plugins);
    }
    let lock = asked.folder.lock()?;
    run::take_up(asked, plan, plugins)?;
    let folder = rooted(&asked.folder)?;
    let queue = Queue::of(&folder.slurm())?;
    let view = View { folder: &folder, plan, queue };
    let runs: Vec<&PlannedRun> = due(&view, args.retry).into_iter().map(|(run, _)| run).collect();
    run::say_what_is_left(&view, args.retry);
    submit(&runs[..runs.len().min(MOST_TASKS)], args, &settings, &view, asked, plugins)?;
    if runs.len() > MOST_TASKS {
        tell!("{} runs are left for another array: run this again", runs.len() - MOST_TASKS);
    }
    drop(lock);
    if args.wait {
        return wait(&folder, plan);
    }
    say!("{}", View::of(&folder, plan).table());
    say!("to see where it stands: pliant study status {}", asked.folder.path().display());
    Ok(())
}

fn submit(
    runs: &[&PlannedRun],
    args: &StudyRunArgs,
    settings: &slurm::Settings,
    view: &View<'_>,
    asked: &Asked,
    plugins: &Plugins,
) -> Outcome {
    if runs.is_empty() {
        tell!("nothing is to be submitted");
        return Ok(());
    }
    let names: Vec<String> = runs.iter().map(|run| run.name()).collect();
    let threads = |run: &&PlannedRun| run.config.run.threads.max(run.config.run.env_threads);
    let libraries = plugins.libraries.iter();
    let array = Array {
        name: &format!("pliant-{}", asked.file.study.name),
        study: view.folder.path(),
        runs: &names,
        at_once: args.jobs,
        threads: runs.iter().map(threads).max().unwrap_or(1),
        settings,
        program: &program()?,
        plugins: &libraries.map(|library| library.path.clone()).collect::<Vec<PathBuf>>(),
    };
    let submitted = slurm::submit(&array, &view.folder.slurm())?;
    tell!(
        "{} of {} runs submitted as job {}: {}",
        names.len(),
        view.plan.runs.len(),
        submitted.job,
        submitted.folder.join("array.sh").display()
    );
    Ok(())
}

/// This program, where the nodes can start it too.
fn program() -> Outcome<PathBuf> {
    let path = env::current_exe()
        .map_err(|error| Failure::while_doing("cannot tell where this program lies", error))?;
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::Input(format!(
        "{}: this program was replaced while it ran; submit with the new one",
        path.display()
    )))
}

/// The same folder by its path from the root.
fn rooted(folder: &StudyFolder) -> Outcome<StudyFolder> {
    let path = std::path::absolute(folder.path())
        .map_err(|error| Failure::Input(format!("{}: {error}", folder.path().display())))?;
    Ok(StudyFolder::at(path))
}

/// Returns when Slurm is done with all runs of a study, or at a signal, which leaves them to it.
fn wait(folder: &StudyFolder, plan: &Plan) -> Outcome {
    let stop = signals::stop()?;
    let progress = Progress::new(plan.runs.iter().map(|run| run.config.run.budget_frames).sum());
    let mut answered = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match Queue::of(&folder.slurm()) {
            Ok(None) => break,
            Ok(Some(queue)) if queue.is_empty() => break,
            Ok(Some(_)) => answered = Instant::now(),
            Err(_) if answered.elapsed() < PATIENCE => {}
            Err(failure) => return Err(failure),
        }
        let frames = |run: &PlannedRun| folder.state(&run.name()).1.clock.frames;
        progress.advance(plan.runs.iter().map(frames).sum());
        pause(PERIOD, &stop);
    }
    progress.close();
    let is_stopped = stop.load(Ordering::Relaxed);
    if is_stopped {
        tell!("what is queued stays with Slurm");
    }
    let view = View::of(folder, plan);
    say!("{}", view.table());
    describe(&view);
    outcome(&view, is_stopped)
}

/// Sleeps, unless it is to stop.
fn pause(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
    }
}

/// An error that lists what failed, or was lost though nobody stopped it.
fn outcome(view: &View<'_>, is_stopped: bool) -> Outcome {
    let failed = view.failed();
    if !failed.is_empty() {
        let failed: Vec<String> =
            failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
        return Err(Failure::Run(format!("{} runs failed: {}", failed.len(), failed.join("; "))));
    }
    let folder = view.folder.path().display();
    let lost: Vec<String> = lost(view).into_iter().map(|(run, _)| run).collect();
    if !is_stopped && !lost.is_empty() {
        return Err(Failure::Run(format!(
            "{} runs were killed or cancelled: {}; go on with: pliant study run {folder} --engine slurm",
            lost.len(),
            lost.join(", ")
        )));
    }
    if status::is_unfinished(view.folder, view.plan) {
        say!("not finished; go on with: pliant study run {folder} --engine slurm");
    }
    Ok(())
}

/// Says what Slurm has of a study, and which runs it is done with though they are not finished.
pub fn describe(view: &View<'_>) {
    if let Some(queue) = &view.queue {
        let mut pending: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (run, queued) in queue.iter() {
            if queued.is_pending() {
                *pending.entry((&queued.state, &queued.whereabouts)).or_default() += 1;
            } else {
                say!("{run}: {} {} {}", queued.task, queued.state, queued.whereabouts);
            }
        }
        for ((state, reason), count) in pending {
            say!("{count} runs: {state} {reason}");
        }
        for (run, log) in lost(view) {
            let own = view.folder.log(&run);
            say!("{run} is not queued any more; see {} and {}", own.display(), log.display());
        }
    }
}

/// The runs that were submitted, are not queued, and neither finished nor failed; and what Slurm says of them.
fn lost(view: &View<'_>) -> Vec<(String, PathBuf)> {
    let submissions = Submission::all(&view.folder.slurm());
    let lost = |run: &PlannedRun| {
        let name = run.name();
        let state = view.folder.state(&name).0;
        let is_left = matches!(state, RunState::Waiting | RunState::Interrupted);
        let log = submissions.iter().rev().find_map(|submission| submission.log(&name))?;
        (is_left && view.queued(&name).is_none()).then_some((name, log))
    };
    view.plan.runs.iter().filter_map(lost).collect()
}
