//! Runs as processes of this machine, so many at a time.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::gpus::{self, Gpus};
use crate::{
    config, disk,
    run_dir::{RunDirectory, State, Status},
    sinks::Progress,
};

/// How often the processes are looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// One run: what this program is started with, and the run directory that comes of it.
#[derive(Clone, Debug)]
pub struct Job {
    /// For messages.
    pub name: String,
    /// The command line behind the program's name.
    pub arguments: Vec<OsString>,
    /// The run directory; what the process prints goes into a file beside it that ends in `.log`.
    pub run: PathBuf,
    /// The run's budget.
    pub budget_frames: u64,
}

/// How a job ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// The run's own account of it; `None` if it did not come to have one.
    pub status: Option<Status>,
    /// Why it failed. Nothing of both is a job that never began, as it was to stop before.
    pub error: Option<String>,
}

impl Ended {
    /// True if the run is where it was to go.
    pub fn is_finished(&self) -> bool {
        self.state() == "finished"
    }

    /// `finished`, `stopped`, `failed` or `not begun`.
    pub fn state(&self) -> &'static str {
        match self.status.as_ref().map(|status| status.state) {
            _ if self.error.is_some() => "failed",
            Some(State::Finished) => "finished",
            Some(_) => "stopped",
            None => "not begun",
        }
    }
}

/// Shares of a machine: how many runs at a time, and threads for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Runs at a time.
    pub at_once: usize,
    /// Threads of each, that compute and that step environments.
    pub threads: usize,
}

impl Share {
    /// Of `cores` for `count` runs. What is wanted of either wins: a thread each computes more in sum than
    /// one run with all of them, as runs do not wait for each other.
    pub fn of(cores: usize, count: usize, at_once: Option<usize>, threads: usize) -> Self {
        let wanted = at_once.unwrap_or(cores / threads.max(1));
        let at_once = wanted.clamp(1, count.max(1));
        let threads = if threads == 0 { (cores / at_once).max(1) } else { threads };
        Self { at_once, threads }
    }
}

/// Runs all jobs, at most `at_once` at a time, and says how each ended, in their order. When `stop` becomes
/// true those under way are asked to stop in order, and no others begin.
pub fn run_all(
    program: &Path,
    jobs: &[Job],
    at_once: usize,
    gpus: &Gpus,
    progress: &Progress,
    stop: &AtomicBool,
) -> Vec<Ended> {
    let mut fleet = Fleet {
        program,
        gpus,
        waiting: jobs.iter().enumerate().collect(),
        under_way: Vec::new(),
        ended: vec![None; jobs.len()],
        is_without_room: false,
    };
    let mut is_told = false;
    loop {
        let is_stopped = stop.load(Ordering::Relaxed);
        if is_stopped && !is_told {
            fleet.stop();
            is_told = true;
        }
        while fleet.under_way.len() < at_once && !is_stopped {
            let Some((index, job)) = fleet.waiting.pop_front() else { break };
            fleet.start(index, job, progress);
        }
        if fleet.under_way.is_empty() {
            break;
        }
        thread::sleep(PERIOD);
        fleet.reap(progress, is_told);
        fleet.give_up_without_room(progress);
        progress.advance(jobs.iter().map(|job| frames(&job.run)).sum());
    }
    fleet.ended.into_iter().map(Option::unwrap_or_default).collect()
}

struct Fleet<'a> {
    program: &'a Path,
    gpus: &'a Gpus,
    waiting: VecDeque<(usize, &'a Job)>,
    under_way: Vec<UnderWay<'a>>,
    ended: Vec<Option<Ended>>,
    /// The last one failed for want of room.
    is_without_room: bool,
}

struct UnderWay<'a> {
    index: usize,
    job: &'a Job,
    /// Of those in which jobs run at a time, from 0 on.
    place: usize,
    child: Child,
    /// What the run said of itself before.
    before: Option<Status>,
}

impl<'a> Fleet<'a> {
    fn start(&mut self, index: usize, job: &'a Job, progress: &Progress) {
        progress.println(&format!("{}: begins", job.name));
        let before = status(&job.run);
        let is_free = |place: &usize| self.under_way.iter().all(|one| one.place != *place);
        let place = (0..).find(is_free).expect("numbers do not end");
        match start(self.program, job, self.gpus.of_place(place)) {
            Ok(child) => self.under_way.push(UnderWay { index, job, place, child, before }),
            Err(error) => {
                let error = format!("cannot be started: {error}");
                progress.println(&format!("{}: {error}", job.name));
                self.ended[index] = Some(Ended { status: None, error: Some(error) });
            }
        }
    }

    /// Takes out those that ended. One that was told to stop so early that there is no run never began.
    fn reap(&mut self, progress: &Progress, is_told: bool) {
        let mut left = Vec::new();
        for mut one in self.under_way.drain(..) {
            let code = match one.child.try_wait() {
                Ok(None) => {
                    left.push(one);
                    continue;
                }
                Ok(Some(code)) => Ok(code),
                Err(error) => Err(error.to_string()),
            };
            let mut ended = how_it_ended(&one, &code, is_told);
            if ended.error.is_some() && has_no_room(&one.job.run) {
                let error = ended.error.get_or_insert_default();
                *error = format!("no room is left on the disk: {error}");
                self.is_without_room = true;
            }
            if !is_told && let Some(error) = &ended.error {
                account_for(&one.job.run, error);
            }
            let said = ended.error.clone().unwrap_or_else(|| ended.state().to_owned());
            progress.println(&format!("{}: {said}", one.job.name));
            self.ended[one.index] = Some(ended);
        }
        self.under_way = left;
    }

    /// Where one failed as the disk is full, so would all others.
    fn give_up_without_room(&mut self, progress: &Progress) {
        let left = self.waiting.len();
        if self.is_without_room && left > 0 {
            self.waiting.clear();
            progress.println(&format!("{left} more do not begin, as no room is left on the disk"));
        }
    }

    /// Asks those under way to stop. One that ended meanwhile cannot be asked.
    fn stop(&self) {
        for UnderWay { child, .. } in &self.under_way {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
}

/// In a process group of its own: Ctrl-C reaches this program alone, which passes it on once. If this program ends
/// without having done so, the system tells the process to stop.
fn start(program: &Path, job: &Job, gpu: Option<&str>) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log_file(&job.run))?;
    let mut command = Command::new(program);
    command.arg0("pliant").args(&job.arguments).process_group(0);
    command.envs(gpu.map(|gpu| (gpus::VARIABLE, gpu)));
    // They are in what the process is told already, and would lie over what differs between the jobs.
    for (name, _) in config::variables() {
        command.env_remove(name);
    }
    // SAFETY: between fork and exec this makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

/// Less than a checkpoint of the smallest network takes.
const LITTLE: u64 = 1_000_000;

fn has_no_room(run: &Path) -> bool {
    run.ancestors()
        .find(|path| path.is_dir())
        .is_some_and(|path| disk::free(path).is_ok_and(|free| free < LITTLE))
}

/// Writes down what a process that was killed could not say itself, so that its run counts as failed and not as one that
/// somebody stopped.
fn account_for(run: &Path, error: &str) {
    let Ok(directory) = RunDirectory::open(run) else { return };
    let Some(status) = directory.status() else { return };
    if status.state == State::Running && !directory.is_held() {
        let error = Some(error.to_owned());
        // Where it cannot be written, the run is one that can go on, as before.
        let _ = directory.write_status(&Status { state: State::Failed, error, ..status });
    }
}

fn log_file(run: &Path) -> PathBuf {
    let mut name = run.as_os_str().to_owned();
    name.push(".log");
    PathBuf::from(name)
}

/// By its exit code and, where it is not from before, what the run says of itself. `is_told`: it was asked to stop.
fn how_it_ended(one: &UnderWay<'_>, code: &Result<ExitStatus, String>, is_told: bool) -> Ended {
    let status = status(&one.job.run);
    let log = log_file(&one.job.run);
    let see = |code: &str| Some(format!("{code}{}; see {}", last_error(&log), log.display()));
    let is_own = status != one.before;
    let error = match (code, &status) {
        (Err(error), _) => see(error),
        (Ok(code), Some(Status { state: State::Finished | State::Stopped, .. }))
            if code.success() =>
        {
            None
        }
        // So early that it has changed nothing.
        (Ok(code), _) if is_told && code.signal() == Some(Signal::TERM.as_raw()) => None,
        (Ok(code), Some(Status { state: State::Failed, error: Some(error), .. }))
            if is_own && !code.success() =>
        {
            Some(error.clone())
        }
        (Ok(code), _) => see(&code.to_string()),
    };
    Ended { status, error }
}

/// The error that a program which ended ended with, if it said one.
fn last_error(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let error = last.filter(|line| line.starts_with("error"));
    error.map(|line| format!(" ({line})")).unwrap_or_default()
}

fn frames(run: &Path) -> u64 {
    status(run).map_or(0, |status| status.clock.frames)
}

fn status(run: &Path) -> Option<Status> {
    RunDirectory::open(run).ok().and_then(|run| run.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_shared_out() {
        let share = |cores, count, at_once, threads| {
            let Share { at_once, threads } = Share::of(cores, count, at_once, threads);
            (at_once, threads)
        };
        assert_eq!(share(2, 4, None, 0), (2, 1));
        assert_eq!(share(16, 4, None, 0), (4, 4), "none is left idle");
        assert_eq!(share(16, 4, Some(2), 0), (2, 8));
        assert_eq!(share(16, 40, None, 4), (4, 4));
        assert_eq!(share(2, 4, None, 8), (1, 8));
        assert_eq!(share(2, 4, Some(4), 0), (4, 1), "as asked");
    }

    fn job(folder: &Path, name: &str, script: &str) -> Job {
        let arguments = ["-c", script].map(OsString::from).to_vec();
        let (name, run) = (name.to_owned(), folder.join(name));
        Job { name, arguments, run, budget_frames: 1 }
    }

    #[test]
    fn so_many_at_a_time_run_and_what_fails_is_told_with_where_to_look() {
        let folder = tempfile::tempdir().expect("a folder");
        // Each fails if it is not alone.
        let alone =
            format!("cd {0}; mkdir busy || exit 9; sleep 0.3; rmdir busy", folder.path().display());
        let jobs: Vec<Job> =
            (0..3).map(|i| job(folder.path(), &format!("run{i}"), &alone)).collect();
        let (quiet, go_on) = (Progress::quiet(), AtomicBool::new(false));
        let ended = run_all(Path::new("/bin/sh"), &jobs, 1, &Gpus::default(), &quiet, &go_on);
        for (index, ended) in ended.iter().enumerate() {
            let error = ended.error.as_deref().expect("they leave no run behind");
            assert!(
                error.contains("exit status: 0") && error.contains(&format!("run{index}.log")),
                "{error}"
            );
        }
        let failing = [job(folder.path(), "bad", "echo error: why >&2; exit 3")];
        let ended = run_all(Path::new("/bin/sh"), &failing, 1, &Gpus::default(), &quiet, &go_on);
        let error = ended[0].error.as_deref().expect("it failed");
        assert!(error.contains("exit status: 3 (error: why); see"), "{error}");
        assert_eq!(
            fs::read_to_string(folder.path().join("bad.log")).expect("a log"),
            "error: why\n"
        );
        let ended =
            run_all(Path::new("/no/such/program"), &failing, 1, &Gpus::default(), &quiet, &go_on);
        assert!(ended[0].error.as_deref().is_some_and(|error| error.contains("cannot be started")));
    }

    #[test]
    fn those_that_run_at_a_time_each_see_a_gpu_of_their_own() {
        let folder = tempfile::tempdir().expect("a folder");
        // The first is over when the third begins, which takes its place.
        let script = |seconds: f64| format!("echo $CUDA_VISIBLE_DEVICES; sleep {seconds}");
        let jobs = [0.1, 1.2, 0.1].map(script);
        let jobs: Vec<Job> =
            (0..).zip(&jobs).map(|(i, it)| job(folder.path(), &format!("run{i}"), it)).collect();
        let (gpus, quiet) = (Gpus::among(2, Some("5,7")), Progress::quiet());
        run_all(Path::new("/bin/sh"), &jobs, 2, &gpus, &quiet, &AtomicBool::new(false));
        let log = |name| fs::read_to_string(folder.path().join(name)).expect("a log");
        assert_eq!(["run0.log", "run1.log", "run2.log"].map(log), ["5\n", "7\n", "5\n"]);
    }

    /// A run that goes on still has the account of its former session.
    #[test]
    fn what_a_run_said_of_itself_before_is_not_how_it_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        for state in [State::Stopped, State::Failed] {
            let error = (state == State::Failed).then(|| "an old one".to_owned());
            let status = Status { state, error, ..Status::default() };
            let run = folder.path().join("run");
            fs::create_dir_all(&run).expect("writable");
            fs::write(run.join("config.toml"), "").expect("writable");
            let text = serde_json::to_string(&status).expect("plain data");
            fs::write(run.join("status.json"), text).expect("writable");
            let jobs = [job(folder.path(), "run", "exit 2")];
            let go_on = AtomicBool::new(false);
            let ended = run_all(
                Path::new("/bin/sh"),
                &jobs,
                1,
                &Gpus::default(),
                &Progress::quiet(),
                &go_on,
            );
            assert_eq!(ended[0].state(), "failed");
            let error = ended[0].error.as_deref().expect("it failed");
            assert!(error.contains("exit status: 2") && !error.contains("old"), "{error}");
        }
    }

    #[test]
    fn a_run_whose_process_was_killed_has_failed_by_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        fs::create_dir(&run).expect("writable");
        fs::write(run.join("config.toml"), "").expect("writable");
        let status = Status { state: State::Running, budget_frames: 9, ..Status::default() };
        let status = serde_json::to_string(&status).expect("plain data");
        let script = format!("echo '{status}' >{}/status.json; kill -9 $$", run.display());
        let jobs = [job(folder.path(), "run", &script)];
        let (quiet, stop) = (Progress::quiet(), AtomicBool::new(false));
        let ended = run_all(Path::new("/bin/sh"), &jobs, 1, &Gpus::default(), &quiet, &stop);
        assert_eq!(ended[0].state(), "failed");
        let found = super::status(&run).expect("an account");
        assert_eq!((found.state, found.budget_frames), (State::Failed, 9));
        assert!(found.error.is_some_and(|error| error.contains("signal: 9")));
    }

    #[test]
    fn when_it_is_to_stop_those_under_way_are_told_and_no_others_begin() {
        let folder = tempfile::tempdir().expect("a folder");
        // The first two leave the account of a run behind, the third would.
        let script = |i: usize| {
            let run = folder.path().join(format!("run{i}"));
            let status = Status { state: State::Stopped, ..Status::default() };
            let status = serde_json::to_string(&status).expect("plain data");
            let run = run.display();
            let leave =
                format!("mkdir {run}; echo '{status}' >{run}/status.json; : >{run}/config.toml");
            format!("leave() {{ {leave}; exit 0; }}; trap leave TERM; while :; do sleep 0.05; done")
        };
        let jobs: Vec<Job> =
            (0..3).map(|i| job(folder.path(), &format!("run{i}"), &script(i))).collect();
        let stop = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            let running = scope.spawn(|| {
                run_all(Path::new("/bin/sh"), &jobs, 2, &Gpus::default(), &Progress::quiet(), &stop)
            });
            thread::sleep(Duration::from_millis(600));
            stop.store(true, Ordering::Relaxed);
            running.join().expect("no panic")
        });
        let states: Vec<&str> = ended.iter().map(Ended::state).collect();
        assert_eq!(states, ["stopped", "stopped", "not begun"], "{ended:?}");
    }
}
