//! Studies as job arrays, on a Slurm that is a few scripts. `scripts/test-slurm` has a real one.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::common::{
    Ran, has_state, metrics_without_time, newest_tensors, pliant_with_path, signal, started_by,
    succeeds, wait_until,
};

/// Two seeds of two networks.
const STUDY: &str = r#"
[study]
name = "small"
title = "Small"
[base]
preset = "mnist_true_label"
[base.run]
device = "cuda:0"
[base.agent]
learning_starts = 200
target_period_updates = 50
[base.eval]
steps = 100
every_frames = 0
[[axes]]
name = "width"
setting = "network.width"
values = [8, 16]
[scales.smoke]
about = "seconds"
seeds = "0..1"
slurm = { gpus = 1, memory = "8G" }
set = { run = { budget_frames = 600 }, checkpoint = { every_frames = 200 }, log = { every_frames = 200 } }
"#;

const RUNS: [&str; 4] = ["8/seed0", "16/seed0", "8/seed1", "16/seed1"];

/// Writes down what it was called with, and runs every task at once unless it is to hold them.
const SBATCH: &str = r#"
[ "$1" = --version ] && exit
[ -e FAKE/refuses ] && { echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1; }
printf '%s\n' "$@" >FAKE/sbatch
for script; do case "$script" in
    --array=0-*) last=${script#--array=0-} ;;
    --job-name=*) name=${script#--job-name=} ;;
esac; done
[ -e FAKE/loses ] && { echo "$name|77" >FAKE/named; echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1; }
echo "words of the site"
echo "7$(ls FAKE/jobs | wc -l);cluster"
echo "and more of them"
mktemp FAKE/jobs/XXXXXX >/dev/null
[ -e FAKE/holds ] && exit
for index in $(seq 0 "${last%\%*}"); do
    SLURM_ARRAY_JOB_ID=70 SLURM_ARRAY_TASK_ID=$index sh "$script" || :
done >&2
"#;

const SQUEUE: &str = r#"
case "$*" in
    --version) ;;
    *) [ -e FAKE/silent ] && { echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1; } ;;
esac
case "$*" in
    --version) ;;
    *--name=*) cat FAKE/named 2>/dev/null || : ;;
    *--Format=State*) cat FAKE/state ;;
    *) cat FAKE/queue 2>/dev/null || { echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; } ;;
esac
"#;

const SCONTROL: &str = r#"[ "$1" = --version ] || echo "$@" >>FAKE/scontrol"#;

/// A folder with the study's file, and a Slurm.
struct Login {
    folder: tempfile::TempDir,
}

impl Login {
    fn new() -> Self {
        let login = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::write(login.at("small.toml"), STUDY).expect("writable");
        fs::create_dir_all(login.at("fake/jobs")).expect("writable");
        fs::create_dir_all(login.at("bin")).expect("writable");
        let fake = login.at("fake").display().to_string();
        for (name, script) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL)] {
            let path = login.at("bin").join(name);
            let script = format!("#!/bin/sh\n{}\n", script.replace("FAKE", &fake));
            fs::write(&path, script).expect("writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        }
        login
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// What a script has written, or will find.
    fn fake(&self, name: &str) -> PathBuf {
        self.at("fake").join(name)
    }

    fn path(&self) -> String {
        let path = std::env::var("PATH").expect("a PATH");
        format!("{}:{path}", self.at("bin").display())
    }

    fn pliant(&self, args: &[&str]) -> Ran {
        pliant_with_path(self.folder.path(), args, &self.path())
    }

    /// `pliant study run small.toml --engine slurm`, and more.
    fn submits(&self, more: &[&str]) -> Ran {
        let device = ["study", "run", "small.toml", "--engine", "slurm", "--set", "run.device=cpu"];
        self.pliant(&[&device[..], more].concat())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.fake(name), text).expect("writable");
    }

    /// One of the runs as a task of an array: under way until it is told to stop.
    fn task(&self, study: &str, run: &str) -> std::process::Child {
        let path = format!("PATH={}", self.path());
        let variables = ["SLURM_ARRAY_JOB_ID=70", "SLURM_ARRAY_TASK_ID=3", &path];
        started_by(&variables, self.folder.path(), &["study", "one", "--requeue", study, run])
    }

    /// Runs the same study by the local engine.
    fn local(&self) {
        let args = ["study", "run", "small.toml", "--set", "run.device=cpu", "--out", "local"];
        succeeds(self.folder.path(), &args);
    }

    fn assert_equal_to_local(&self, study: &str, run: &str) {
        let [ours, local] = [study, "local"].map(|folder| self.at(folder).join("runs").join(run));
        assert!(newest_tensors(&ours) == newest_tensors(&local), "{run}");
        assert_eq!(metrics_without_time(&ours), metrics_without_time(&local), "{run}");
    }
}

fn ends_with(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
    let both = format!("{}{}", ran.out, ran.err);
    assert!(words.iter().all(|word| both.contains(word)), "{words:?}: {both}");
}

fn lines(path: &Path) -> Vec<String> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

/// The updates of a run's newest checkpoint.
fn newest(run: &Path) -> u64 {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let updates = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    updates.max().unwrap_or(0)
}

#[test]
fn runs_of_an_array_are_those_of_the_local_engine() {
    let login = Login::new();
    let study = "it's %j \"here\"";
    let more =
        ["--out", study, "--jobs", "3", "--slurm", "partition=gpu", "--slurm", "gpus=a100:1"];
    ends_with(
        &login.submits(&[&more[..], &["--wait"]].concat()),
        0,
        &["4 of 4 runs submitted as job 70"],
    );
    let folder = login.at(study).join("slurm/1");
    assert_eq!(lines(&folder.join("runs")), RUNS);
    assert_eq!(lines(&folder.join("job")), ["70"]);
    let output = format!("--output={}/%a.log", folder.display().to_string().replace('%', "%%"));
    let script = folder.join("array.sh").display().to_string();
    let name = fs::read_to_string(folder.join("name")).expect("a name");
    assert!(name.starts_with("pliant-small-"), "{name}");
    let named = format!("--job-name={name}");
    let asked = [
        "--parsable",
        "--array=0-3%3",
        &named,
        "--requeue",
        "--open-mode=append",
        "--nodes=1",
        "--ntasks=1",
        &output,
        "--cpus-per-task=1",
        "--gres=gpu:a100:1",
        "--mem=8G",
        "--signal=B:USR1@120",
        "--partition=gpu",
        &script,
    ];
    assert_eq!(lines(&login.fake("sbatch")), asked);
    login.local();
    for run in RUNS {
        login.assert_equal_to_local(study, run);
        let log = login.at(study).join("runs").join(format!("{run}.log"));
        assert!(lines(&log).iter().any(|line| line.contains("600 frames in")), "{run}");
    }
    ends_with(&login.submits(&["--out", study]), 0, &["nothing is to be submitted"]);
    assert!(!login.at(study).join("slurm/2").exists());
}

#[test]
fn what_is_queued_is_shown_and_left_alone() {
    let login = Login::new();
    login.write("holds", "");
    ends_with(&login.submits(&["--out", "out"]), 0, &["pliant study status out"]);
    let queue =
        "70|0|RUNNING|node9\n70|1|PENDING|(Priority)\n70|2|PENDING|(Priority)\n9|3|RUNNING|x\n";
    login.write("queue", queue);
    let status = login.pliant(&["study", "status", "out"]);
    let log = login.at("out/slurm/1/3.log").display().to_string();
    let gone = format!("16/seed1 is not queued any more; see out/runs/16/seed1.log and {log}");
    let told = ["8/seed0: 70_0 RUNNING node9", "2 runs: PENDING (Priority)", "queued"];
    ends_with(&status, 0, &[&told[..], &[&gone.replace(&log, "out/slurm/1/3.log")]].concat());
    ends_with(
        &login.submits(&["--out", "out"]),
        0,
        &["3 runs are in Slurm's queue", "1 of 4 runs submitted as job 71"],
    );
    assert_eq!(lines(&login.at("out/slurm/2/runs")), ["16/seed1"]);
    // The local engine leaves them too.
    login.write("queue", &format!("{queue}71|0|PENDING|(Priority)\n"));
    let local = login.pliant(&["study", "run", "out"]);
    ends_with(&local, 0, &["0 of 4 runs to do", "4 runs are in Slurm's queue"]);
    // Slurm is done with all of them, and has made none.
    fs::remove_file(login.fake("queue")).expect("there");
    let again = login.submits(&["--out", "out", "--slurm", "time=5"]);
    ends_with(&again, 0, &["4 of 4 runs submitted as job 72"]);
    assert!(lines(&login.fake("sbatch")).contains(&"--time=5".to_owned()));
}

#[test]
fn a_task_that_is_stopped_goes_back_into_the_queue_and_goes_on_to_the_bit() {
    let login = Login::new();
    login.write("holds", "");
    let long = ["--set", "run.budget_frames=4000"];
    ends_with(&login.submits(&[&["--out", "out"], &long[..]].concat()), 0, &[]);
    let run = login.at("out/runs/16/seed0");
    let stopped = |state: &str, how: &str| {
        login.write("state", state);
        let before = newest(&run);
        let mut task = login.task("out", "16/seed0");
        wait_until("another checkpoint", || newest(&run) > before);
        signal(&task, how);
        let ended = task.wait().expect("it ends");
        let log = || fs::read_to_string(login.at("out/runs/16/seed0.log")).unwrap_or_default();
        assert!(ended.success(), "{ended}: {}", log());
        assert!(has_state(&run, "stopped"));
    };
    stopped("RUNNING             0\n", "USR1");
    assert_eq!(lines(&login.fake("scontrol")), ["requeue 70_3"]);
    // Slurm is ending it, or has started it anew: by preemption, or as it was cancelled.
    stopped("COMPLETING          0\n", "TERM");
    stopped("RUNNING             1\n", "TERM");
    assert_eq!(lines(&login.fake("scontrol")), ["requeue 70_3"]);
    assert!(login.task("out", "16/seed0").wait().expect("it ends").success());
    assert!(has_state(&run, "finished"));
    let status = fs::read(run.join("status.json")).expect("written");
    assert!(login.task("out", "16/seed0").wait().expect("it ends").success());
    assert!(status == fs::read(run.join("status.json")).expect("written"), "it is done once");
    let args = ["train", "out/configs/16/seed0.toml", "--out", "local/runs/16/seed0"];
    succeeds(login.folder.path(), &args);
    login.assert_equal_to_local("out", "16/seed0");
}

#[test]
fn a_run_that_failed_is_submitted_again_when_asked_to() {
    let login = Login::new();
    // In the way of one run's checkpoints.
    let run = login.at("out/runs/16/seed0");
    fs::create_dir_all(&run).expect("writable");
    fs::write(run.join("x"), "").expect("writable");
    let waited = login.submits(&["--out", "out", "--wait"]);
    ends_with(
        &waited,
        1,
        &["16/seed0 is not queued any more", "1 runs were killed or cancelled: 16/seed0"],
    );
    fs::remove_file(run.join("x")).expect("there");
    ends_with(&login.submits(&["--out", "out"]), 0, &["1 of 4 runs submitted"]);
    let status = fs::read_to_string(run.join("status.json")).expect("written");
    let failed =
        status.replace("finished", "failed").replace("\"error\": null", "\"error\": \"why\"");
    fs::write(run.join("status.json"), failed).expect("writable");
    let left = login.submits(&["--out", "out", "--wait"]);
    ends_with(&left, 1, &["nothing is to be submitted", "--retry", "1 runs failed: 16/seed0: why"]);
    ends_with(&login.submits(&["--out", "out", "--retry"]), 0, &["1 of 4 runs submitted"]);
}

#[test]
fn what_cannot_be_submitted_is_not_taken_for_queued() {
    let login = Login::new();
    let args = ["study", "run", "small.toml", "--engine", "slurm"];
    let missing = pliant_with_path(login.folder.path(), &args, "/nowhere");
    ends_with(&missing, 2, &["there is no `sbatch` on the PATH", "--engine local"]);
    let bare = |more: &[&str]| login.pliant(&[&args[..3], more].concat());
    ends_with(&bare(&["--slurm", "time=1"]), 2, &["--slurm belongs to --engine slurm"]);
    ends_with(&bare(&["--wait"]), 2, &["--wait belongs to --engine slurm"]);
    ends_with(
        &login.submits(&["--slurm", "throttle=1"]),
        2,
        &["`throttle`", "`account`", "--jobs"],
    );
    ends_with(&login.submits(&["--dry-run"]), 0, &["nothing was run", "16/seed1"]);
    let text = STUDY.replace("gpus = 1", "gpu = 1");
    fs::write(login.at("wrong.toml"), text).expect("writable");
    let wrong = login.pliant(&["study", "run", "wrong.toml", "--engine", "slurm"]);
    ends_with(&wrong, 2, &["wrong.toml, line", "`gpu`", "`gpus`"]);
    assert!(!login.at("studies").exists());
    ends_with(&login.submits(&["--out", "back\\slash"]), 2, &["`\\`", "--out"]);
    login.write("refuses", "");
    ends_with(&login.submits(&["--out", "out"]), 2, &["invalid partition specified: nope"]);
    assert!(!login.at("out/slurm/1/job").exists());
    fs::remove_file(login.fake("refuses")).expect("there");
    login.write("holds", "");
    ends_with(&login.submits(&["--out", "out"]), 0, &["4 of 4 runs submitted", "slurm/2/array.sh"]);
    let one = login.pliant(&["study", "one", "out", "8/seed7"]);
    ends_with(&one, 2, &["study folder out", "`8/seed7`"]);
}

/// As after a time-out, or if this program is killed before it has written the job's id down.
#[test]
fn what_slurm_took_without_an_answer_is_not_submitted_twice() {
    let login = Login::new();
    login.write("loses", "");
    login.write("queue", "77|0|RUNNING|a\n77|1|PENDING|b\n77|2|PENDING|b\n77|3|PENDING|b\n");
    let lost = login.submits(&["--out", "out"]);
    ends_with(&lost, 0, &["4 of 4 runs submitted as job 77"]);
    fs::remove_file(login.at("out/slurm/1/job")).expect("there");
    ends_with(
        &login.submits(&["--out", "out"]),
        0,
        &["4 runs are in Slurm's queue", "nothing is to"],
    );
    assert_eq!(lines(&login.at("out/slurm/1/job")), ["77"]);
    // Nobody makes runs that Slurm may be making.
    login.write("silent", "");
    let words = ["Unable to contact", "was submitted to Slurm", "out/slurm"];
    ends_with(&login.pliant(&["study", "run", "out"]), 2, &words);
    let status = login.pliant(&["study", "status", "out"]);
    ends_with(&status, 0, &["what is queued is not known"]);
}
