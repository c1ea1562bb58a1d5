//! Running the program as a user would.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// What a run of the program printed and returned.
pub struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `pliant` with these arguments in `folder`.
pub fn pliant(folder: &Path, args: &[&str]) -> Ran {
    ran(Command::new(env!("CARGO_BIN_EXE_pliant")).args(args).current_dir(folder))
}

/// The same with another PATH.
pub fn pliant_with_path(folder: &Path, args: &[&str], path: &str) -> Ran {
    pliant_with(folder, args, "PATH", path)
}

/// The same with an environment variable.
pub fn pliant_with(folder: &Path, args: &[&str], variable: &str, value: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pliant"));
    ran(command.args(args).current_dir(folder).env(variable, value))
}

fn ran(command: &mut Command) -> Ran {
    let output: Output = command.output().expect("the program starts");
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `pliant` and expects it to succeed.
pub fn succeeds(folder: &Path, args: &[&str]) {
    let ran = pliant(folder, args);
    assert_eq!(ran.code, Some(0), "{args:?}\n{}{}", ran.out, ran.err);
}

/// `train PRESET` on the CPU with settings that make it a run of a few seconds, and `extra` arguments.
pub fn short<'a>(
    preset: &'a str,
    out: &'a str,
    set: &[&'a str],
    extra: &[&'a str],
) -> Vec<&'a str> {
    let mut args = vec!["train", preset, "--out", out, "--device", "cpu"];
    args.extend(set.iter().flat_map(|setting| ["--set", *setting]));
    args.extend(extra);
    args
}

/// A run of a few seconds on the MNIST MDP.
pub fn short_mnist<'a>(out: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let set = [
        "run.budget_frames=1600",
        "run.threads=1",
        "network.width=32",
        "agent.learning_starts=200",
        "agent.target_period_updates=50",
        "eval.steps=200",
        "eval.every_frames=800",
        "log.every_frames=200",
        "checkpoint.every_frames=800",
    ];
    short("mnist_true_label", out, &set, extra)
}

/// A run of a few seconds on an Atari game with sticky actions.
pub fn short_atari<'a>(out: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let set = [
        "run.budget_frames=2400",
        "run.threads=1",
        "run.num_envs=3",
        "env.game=pong",
        "env.repeat_action_probability=0.25",
        "env.max_num_frames_per_episode=500",
        "network.width=0.125",
        "agent.learning_starts=100",
        "agent.batch_size=8",
        "agent.replay_capacity=2000",
        "agent.target_period_updates=20",
        "eval.before_training=false",
        "eval.after_training=false",
        "log.every_frames=400",
        "checkpoint.every_frames=1200",
    ];
    short("quickstart", out, &set, extra)
}

/// `metrics.csv` without its column of wall time.
pub fn metrics_without_time(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("metrics.csv")).expect("a run writes metrics.csv");
    let strip = |line: &str| {
        let columns: Vec<&str> = line.split(',').collect();
        [&columns[..3], &columns[4..]].concat().join(",")
    };
    text.lines().map(strip).collect::<Vec<_>>().join("\n")
}

/// The bytes of the newest checkpoint's parameters, moments and counters.
pub fn newest_tensors(run: &Path) -> Vec<u8> {
    let newest = std::fs::read_dir(run.join("checkpoints"))
        .expect("a run writes checkpoints")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let updates: u64 = path.file_name()?.to_str()?.parse().ok()?;
            Some((updates, path))
        })
        .max()
        .expect("at least one checkpoint");
    std::fs::read(newest.1.join("tensors.safetensors")).expect("whole checkpoints")
}

/// Starts `pliant` with these arguments in `folder`, without the variables that say how threads wait; what it prints
/// is dropped. It has the default answer to a hang-up, whatever runs the tests.
pub fn started(folder: &Path, args: &[&str]) -> Child {
    started_by(&["--default-signal=HUP"], folder, args)
}

/// The same by way of `env` with these options.
pub fn started_by(options: &[&str], folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new("env");
    command.args(options).arg(env!("CARGO_BIN_EXE_pliant"));
    command.args(args).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.env_remove("GOMP_SPINCOUNT").env_remove("OMP_WAIT_POLICY");
    command.spawn().expect("the program starts")
}

/// Sends a signal: `TERM`, `INT`, ..
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("a shell's tool").success(), "{name}");
}

/// Waits until something holds, a minute at most.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "a minute without: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// True if a run's `status.json` says so.
pub fn has_state(run: &Path, state: &str) -> bool {
    let status = std::fs::read_to_string(run.join("status.json")).unwrap_or_default();
    status.contains(&format!("\"state\": \"{state}\""))
}
