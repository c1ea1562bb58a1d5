//! Numbers gone wrong.

use std::{fs, path::Path};

use serde_json::Value;

use crate::common::{
    has_state, metrics_without_time, newest_tensors, pliant, short_atari, short_mnist,
};

/// With these settings the step that follows is infinite as f32, though loss and gradients are finite.
const TO_INFINITY: [&str; 4] =
    ["--set", "agent.optimizer.learning_rate=1e39", "--set", "checkpoint.every_frames=0"];

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// The one folder in `failures/`.
fn dump(run: &Path) -> std::path::PathBuf {
    let mut all = fs::read_dir(run.join("failures")).expect("a dump").flatten();
    let dump = all.next().expect("a dump").path();
    assert!(all.next().is_none(), "one dump");
    dump
}

#[test]
fn a_run_whose_numbers_go_wrong_stops_before_them_says_what_and_can_be_retried() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let ran = pliant(folder.path(), &short_atari("run", &TO_INFINITY));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    for words in
        ["update 1 would leave", "the step of the optimizer", "pliant retry run", "`conv1/weight`"]
    {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    assert!(has_state(&run, "failed"));
    let dump = dump(&run);
    let found = json(&dump.join("found.json"));
    assert_eq!((&found["update"], &found["stage"]), (&1.into(), &"parameters".into()));
    assert!(found["tensors"].as_array().is_some_and(|all| !all.is_empty()), "{found}");

    let again = pliant(folder.path(), &["retry", "run"]);
    assert_eq!(again.code, Some(1), "{}{}", again.out, again.err);
    assert!(again.err.contains("fails again, with the same"), "{}", again.err);
    let rate = "agent.optimizer.learning_rate=0.0001";
    let cured = pliant(folder.path(), &["retry", "run", "--update", "1", "--set", rate]);
    assert_eq!(cured.code, Some(0), "{}{}", cured.out, cured.err);
    assert!(cured.out.contains(&format!("pliant resume run --set {rate}")), "{}", cured.out);
    let none = pliant(folder.path(), &["retry", "run", "--update", "2"]);
    assert_eq!(none.code, Some(2), "{}{}", none.out, none.err);

    let data = dump.join("batch.safetensors");
    let data = data.to_str().expect("a plain path");
    let probed =
        ["probe", "run", "--data", data, "--probe", "norms:batch_size=8", "--device", "cpu"];
    let probed = pliant(folder.path(), &probed);
    assert_eq!(probed.code, Some(0), "{}{}", probed.out, probed.err);
}

/// From the checkpoint the run meets the same batch; with another step size it is the run that had that from
/// the beginning, since no update was made before.
#[test]
fn a_run_goes_on_from_before_the_update_as_if_it_had_never_failed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = pliant(folder.path(), &short_atari("run", &TO_INFINITY));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let run = folder.path().join("run");
    let batch = || fs::read(dump(&run).join("batch.safetensors")).expect("a batch");
    let first = batch();
    let again = pliant(folder.path(), &["resume", "run"]);
    assert_eq!(again.code, Some(1), "{}", again.err);
    assert!(again.err.contains("update 1 would leave"), "{}", again.err);
    assert!(batch() == first, "another batch was drawn");
    let rate = ["--set", "agent.optimizer.learning_rate=0.0001"];
    let resumed = pliant(folder.path(), &[&["resume", "run"][..], &rate].concat());
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let extra = [&TO_INFINITY[..], &rate].concat();
    let whole = pliant(folder.path(), &short_atari("whole", &extra));
    assert_eq!(whole.code, Some(0), "{}", whole.err);
    let whole = folder.path().join("whole");
    assert!(newest_tensors(&whole) == newest_tensors(&run), "the parameters differ");
    assert_eq!(metrics_without_time(&whole), metrics_without_time(&run));
}

#[test]
fn a_run_that_may_skip_counts_and_stops_when_it_does_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let skip = ["--set", "agent.non_finite=skip", "--set", "agent.max_skipped_in_a_row=20"];
    let extra = [&TO_INFINITY[..], &skip].concat();
    let ran = pliant(folder.path(), &short_mnist("run", &extra));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("update 1 would leave"), "{}", ran.err);
    assert!(ran.err.contains("as agent.max_skipped_in_a_row allows"), "{}", ran.err);
    assert!(!ran.err.contains("non_finite=skip"), "it is set: {}", ran.err);
    let metrics = metrics_without_time(&folder.path().join("run"));
    assert!(metrics.contains(",train/skipped_updates,"), "{metrics}");
    let status = json(&folder.path().join("run/status.json"));
    assert_eq!(status["clock"]["updates"], 0);
}

#[test]
fn parameters_that_no_setting_mends_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rate = ["--set", "agent.optimizer.learning_rate=1e30", "--with", "layer_norm"];
    let ran = pliant(folder.path(), &short_mnist("run", &rate));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("had grown to 1e30 before it"), "{}", ran.err);
}
