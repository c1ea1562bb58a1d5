//! A sequence of Atari tasks: trained, stopped in its second task, resumed, evaluated.

use std::path::Path;

use serde_json::Value;

use crate::common::{metrics_without_time, newest_tensors, pliant, short_atari, succeeds};

/// Trains on Breakout for 1200 frames, then on a mode of Pong.
fn train(folder: &Path, out: &str, budget: &str) {
    let set = [
        "env={kind=\"continual_atari\",tasks=[\"breakout\",\"pong:mode=1\"],period_frames=1200}",
        "env.atari.screen_size=42",
        "env.atari.repeat_action_probability=0.25",
        "env.atari.max_num_frames_per_episode=300",
        "eval.every_frames=800",
        "eval.episodes=1",
        "eval.all_tasks=true",
        "log.every_frames=100",
        budget,
    ];
    let set: Vec<&str> = set.iter().flat_map(|setting| ["--set", *setting]).collect();
    succeeds(folder, &short_atari(out, &set));
}

/// The values under a tag, by frames, out of the text of `metrics_without_time`.
fn series(metrics: &str, tag: &str) -> Vec<(u64, f64)> {
    let rows = metrics.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let tagged = rows.filter(|row| row[3] == tag);
    tagged.map(|row| (number(row[0]) as u64, number(row[4]))).collect()
}

#[test]
fn a_sequence_of_tasks_stopped_in_its_second_goes_on_as_if_it_never_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    train(folder, "whole", "run.budget_frames=2400");
    train(folder, "parts", "run.budget_frames=1500");
    succeeds(folder, &["resume", "parts", "--set", "run.budget_frames=2400"]);
    let metrics = metrics_without_time(&folder.join("whole"));
    assert_eq!(metrics, metrics_without_time(&folder.join("parts")));
    assert!(
        newest_tensors(&folder.join("whole")) == newest_tensors(&folder.join("parts")),
        "the parameters differ"
    );
    let task = series(&metrics, "env/task");
    assert_eq!(task.len(), 24, "{task:?}");
    for (frames, index) in task {
        assert_eq!(index, if frames < 1300 { 0.0 } else { 1.0 }, "at {frames} frames");
    }
    for tag in ["eval/return", "eval/return/breakout", "eval/return/pong_mode_1"] {
        assert_eq!(series(&metrics, tag).len(), 2, "{tag} at 800 and 1600");
    }
    let ran = pliant(folder, &["eval", "parts", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let result: Value = serde_json::from_str(&ran.out).expect("one JSON object");
    assert_eq!(result["task"], "pong:mode=1", "{result}");
    assert_eq!(result["tasks"].as_array().map(Vec::len), Some(2), "{result}");
}
