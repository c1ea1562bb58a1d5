//! What a long run takes of the machine's memory.

use std::fs;

use crate::common::{has_state, started};

/// Kibibytes in memory, and the frames that the run has reached.
fn resident(id: u32, run: &std::path::Path) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let status = fs::read_to_string(run.join("status.json")).ok()?;
    let frames = status.split("\"frames\": ").nth(1)?.split(',').next()?.parse().ok()?;
    Some((kibibytes, frames))
}

/// More than 100,000 emulator steps and 10,000 updates, with checkpoints, evaluations, films, probes and interventions.
#[test]
#[ignore = "slow: a minute"]
fn it_stays_flat_once_the_replay_is_full() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let set = [
        "run.budget_frames=160000",
        "run.num_envs=4",
        "run.env_threads=2",
        "run.threads=1",
        "env.max_num_frames_per_episode=2000",
        "network.width=0.125",
        "agent.batch_size=8",
        "agent.update_every_agent_steps=2",
        "agent.replay_capacity=2000",
        "eval.every_frames=10000",
        "eval.episodes=1",
        "eval.num_envs=1",
        "checkpoint.every_frames=4000",
        "log.every_frames=2000",
    ];
    let mut args = vec!["train", "quickstart", "--out", "run", "--device", "cpu"];
    args.extend(set.iter().flat_map(|setting| ["--set", *setting]));
    args.extend(["--with", "layer_norm", "--with", "redo:every_updates=500"]);
    args.extend([
        "--probe",
        "units:every_updates=500",
        "--probe",
        "rank:every_updates=500,batch_size=256",
    ]);
    let mut child = started(folder.path(), &args);
    let mut seen = Vec::new();
    while child.try_wait().expect("it can be asked").is_none() {
        seen.extend(resident(child.id(), &run));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(has_state(&run, "finished"));
    let most_between = |from: u64, to: u64| {
        let within = seen.iter().filter(|(_, frames)| (from..to).contains(frames));
        within.map(|(kibibytes, _)| *kibibytes).max().expect("it was looked at")
    };
    let (early, late) = (most_between(20_000, 60_000), most_between(120_000, 160_000));
    println!("{early} KiB until 60,000 frames, {late} KiB after 120,000");
    assert!(late < early + 4096, "{early} KiB until 60,000 frames, {late} KiB after 120,000");
}
