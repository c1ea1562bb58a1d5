//! `pliant eval`, and evaluation during training.

use std::path::Path;

use serde_json::Value;

use crate::common::{Ran, metrics_without_time, pliant, short_atari, short_mnist, succeeds};

/// What `pliant eval run` with these options prints as JSON.
fn evaluated(folder: &Path, options: &[&str]) -> Value {
    let Ran { code, out, err } = pliant(folder, &[&["eval", "run", "--json"], options].concat());
    assert_eq!(code, Some(0), "{options:?}\n{out}{err}");
    serde_json::from_str(&out).expect("one JSON object")
}

fn refused(folder: &Path, options: &[&str]) -> String {
    let ran = pliant(folder, &[&["eval", "run"], options].concat());
    assert_eq!(ran.code, Some(2), "{options:?}\n{}{}", ran.out, ran.err);
    ran.err
}

/// A trained agent on Pong, whose games of 500 frames are evaluated one after the other.
fn pong(folder: &Path, set: &str) {
    let one = ["--set", "run.budget_frames=240", "--set", "eval.num_envs=1", "--set", set];
    succeeds(folder, &short_atari("run", &one));
}

#[test]
fn an_evaluation_by_frames_counts_the_games_that_end_within_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    pong(folder.path(), "eval.frames=1200");
    for (options, frames) in [(&[][..], 1200), (&["--frames", "1900"][..], 1900)] {
        let result = evaluated(folder.path(), options);
        let counted = result["evaluated_frames"].as_u64().expect("a number");
        assert!((frames..frames + 4).contains(&counted), "{counted} frames: {result}");
        // A game is cut off at 500 frames, no-ops included.
        let returns = result["returns"].as_array().expect("a list");
        assert_eq!(returns.len() as u64, frames / 490, "{result}");
        assert_eq!(result["episodes"], returns.len());
    }
    let result = evaluated(folder.path(), &["--frames", "200"]);
    assert_eq!((&result["episodes"], &result["returns"]), (&0.into(), &Value::Array(vec![])));
    assert!(result["mean"].is_number(), "the return so far: {result}");
    let result = evaluated(folder.path(), &["--episodes", "2"]);
    assert_eq!(result["episodes"], 2, "a number of episodes takes the place of the run's frames");
}

#[test]
fn a_run_evaluates_by_frames_as_its_settings_say() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = ["--set", "eval.frames=1200", "--set", "eval.after_training=true"];
    let one = ["--set", "run.budget_frames=240", "--set", "eval.num_envs=1"];
    succeeds(folder.path(), &short_atari("run", &[set, one].concat()));
    let metrics = metrics_without_time(&folder.path().join("run"));
    let episodes = metrics.lines().find(|line| line.contains("eval/episodes")).expect("recorded");
    assert!(episodes.ends_with(",2.0"), "{episodes}");
}

#[test]
fn frames_and_episodes_at_once_and_none_of_them_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let both = refused(folder.path(), &["--frames", "100", "--episodes", "1"]);
    assert!(both.contains("--episodes") && both.contains("--frames"), "{both}");
    assert!(refused(folder.path(), &["--frames", "0"]).contains("--frames"));
    let none = refused(folder.path(), &["--episodes", "0"]);
    assert!(none.contains("--episodes") && !none.contains("eval.episodes"), "{none}");
    assert!(refused(folder.path(), &["--episodes", "-1"]).contains("-1"));
}

#[test]
fn without_episodes_neither_frames_nor_episodes_can_be_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("run", &["--set", "run.budget_frames=400"]));
    for option in ["--frames", "--episodes"] {
        let message = refused(folder.path(), &[option, "10"]);
        assert!(message.contains(option) && message.contains("eval.steps"), "{message}");
    }
    let result = evaluated(folder.path(), &[]);
    assert_eq!((&result["agent_steps"], &result["episodes"]), (&200.into(), &Value::Null));
}

#[test]
fn a_run_that_computed_as_only_gpus_do_is_evaluated_and_probed_on_a_cpu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("run", &["--set", "run.budget_frames=400"]));
    let expected = evaluated(folder.path(), &["--device", "cpu"]);
    let path = folder.path().join("run/config.toml");
    let config = std::fs::read_to_string(&path).expect("written");
    let changed = config.replace("precision = \"f32\"", "precision = \"tf32\"");
    assert_ne!(config, changed);
    std::fs::write(&path, changed).expect("a file");
    assert_eq!(evaluated(folder.path(), &["--device", "cpu"]), expected);
    let probed = ["probe", "run", "--device", "cpu", "--probe", "norms:batch_size=64"];
    for args in [&["eval", "run", "--device", "cpu"][..], &probed] {
        let ran = pliant(folder.path(), args);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("tf32") && ran.err.contains("f32"), "{}", ran.err);
    }
    let on = ["resume", "run", "--device", "cpu", "--set", "run.budget_frames=600"];
    let resumed = pliant(folder.path(), &on);
    assert_eq!(resumed.code, Some(2), "{}", resumed.err);
    assert!(resumed.err.contains("expected f32 or bf16"), "{}", resumed.err);
}
