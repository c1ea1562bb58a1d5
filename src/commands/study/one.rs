//! `pliant study one`: one run of a study in this process, as the tasks of job arrays make them.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use pliant_core::registry::Plugins;

use crate::{
    cli::{ConfigArgs, ResumeArgs, StudyOneArgs, TrainArgs},
    commands::{resume, train},
    engine::slurm::OwnTask,
    failure::{Failure, Outcome},
    run_dir::write_whole,
    signals,
    study::{RunState, StudyFolder},
};

/// How long a task waits for the process that made the run before it: of a node that Slurm has given up it may live on.
const PATIENCE: Duration = Duration::from_secs(300);

/// So often a task may come back without having come further: it is then not given the time that its start takes.
const MOST_STOPS: u64 = 5;

/// For how long Slurm is asked, and how often.
const ASKED_FOR: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(3);

/// Begins the run, or continues it; nothing is to be done of one that is finished.
pub fn run(args: &StudyOneArgs, plugins: &Plugins) -> Outcome {
    let stop = signals::stop()?;
    let folder = StudyFolder::at(args.folder.clone());
    if !folder.config(&args.run).is_file() {
        return Err(Failure::Input(format!(
            "study folder {}: there is no run `{}`, expected one of those in its configs/",
            folder.path().display(),
            args.run
        )));
    }
    write_into(&folder.log(&args.run))?;
    wait_for_predecessor(&folder, &args.run, &stop);
    let (state, before) = folder.state(&args.run);
    if state == RunState::Finished {
        tell!("run {} is finished", args.run);
        return Ok(());
    }
    if !stop.load(Ordering::Relaxed) {
        make(&folder, &args.run, &state, plugins)?;
    }
    let (state, after) = folder.state(&args.run);
    if state == RunState::Finished || !args.requeue {
        return Ok(());
    }
    let idle = Idle(folder.log(&args.run).with_extension("idle"));
    let stops =
        if after.clock.frames > before.clock.frames { idle.forget() } else { idle.count()? };
    requeue(stops)
}

/// What is printed from here on goes where the local engine has it too.
fn write_into(log: &Path) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::while_doing(format!("cannot write {}", log.display()), error)
    };
    let file = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    rustix::stdio::dup2_stdout(&file).map_err(|error| failed(error.into()))?;
    rustix::stdio::dup2_stderr(&file).map_err(|error| failed(error.into()))
}

fn wait_for_predecessor(folder: &StudyFolder, run: &str, stop: &AtomicBool) {
    let begun = Instant::now();
    while folder.state(run).0 == RunState::Running
        && begun.elapsed() < PATIENCE
        && !stop.load(Ordering::Relaxed)
    {
        thread::sleep(Duration::from_millis(500));
    }
}

fn make(folder: &StudyFolder, run: &str, state: &RunState, plugins: &Plugins) -> Outcome {
    match state {
        RunState::Waiting => {
            let config = ConfigArgs::of_file(&folder.config(run));
            let out = Some(folder.run(run));
            train::run(&TrainArgs { config, seeds: None, jobs: None, out, dry_run: false }, plugins)
        }
        _ => {
            let run = folder.run(run);
            resume::run(
                &ResumeArgs { run, set: Vec::new(), device: None, is_resolved: true },
                plugins,
            )
        }
    }
}

/// How often in a row a run was stopped before it came further: a file beside its log.
struct Idle(PathBuf);

impl Idle {
    fn forget(&self) -> u64 {
        let _none = fs::remove_file(&self.0);
        0
    }

    /// Once more.
    fn count(&self) -> Outcome<u64> {
        let before = fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok());
        let now = before.unwrap_or(0u64) + 1;
        write_whole(&self.0, now.to_string().as_bytes())?;
        Ok(now)
    }
}

/// Puts this task back into the queue. Slurm does that itself when it ends a task to requeue it, and one that was
/// cancelled shall not come back: both are no longer running then. `stops`: how often it did not come further.
fn requeue(stops: u64) -> Outcome {
    let Some(task) = OwnTask::find() else {
        return Err(Failure::Input("--requeue: this is no task of a Slurm job array".to_owned()));
    };
    let id = task.id();
    if !patiently(|| task.is_running())? {
        tell!("stopped; Slurm has ended task {id}");
        return Ok(());
    }
    if stops > MOST_STOPS {
        return Err(Failure::Run(format!(
            "task {id} was stopped {stops} times before it came further: it has too little time, or --slurm notice_s is \
             too long for it"
        )));
    }
    tell!("stopped; task {id} goes back into the queue");
    patiently(|| task.requeue())
}

/// Asks Slurm again where it does not answer: when an array reaches its limit, all of its tasks ask at once.
fn patiently<T>(ask: impl Fn() -> Outcome<T>) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(_) if begun.elapsed() < ASKED_FOR => thread::sleep(AGAIN),
            answer => return answer,
        }
    }
}
