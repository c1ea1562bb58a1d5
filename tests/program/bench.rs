//! What dashboards read of `pliant bench`.

use serde_json::Value;

use crate::common::pliant;

fn measured(args: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = ["--envs", "2", "--threads", "2", "--steps", "40", "--rounds", "2"];
    let ran = pliant(folder.path(), &[&["bench", "env"], args, &small].concat());
    assert_eq!(ran.code, Some(0), "{args:?}\n{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).expect("one JSON object and nothing else")
}

#[test]
fn an_atari_game_is_measured_beside_its_emulator() {
    let speed = measured(&["--set", "env.game=pong"]);
    for key in ["agent_steps_per_s", "frames_per_s", "bare_agent_steps_per_s", "emulation_share"] {
        assert!(speed[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {speed}");
    }
    assert_eq!(speed["threads"], 2);
    assert_eq!(speed["device"], "cpu");
    assert_eq!(speed["tasks"][0], "pong");
    assert_eq!(speed["agent_steps_per_s_by_round"].as_array().map(Vec::len), Some(2));
    let frames_per_step = speed["frames_per_s"].as_f64().expect("a number")
        / speed["agent_steps_per_s"].as_f64().expect("a number");
    assert!((frames_per_step - 4.0).abs() < 1e-9, "no episode ends in 22 steps: {frames_per_step}");
}

#[test]
fn what_has_no_emulator_is_measured_alone() {
    let speed = measured(&["--env", "classification"]);
    assert!(speed["agent_steps_per_s"].as_f64().is_some_and(|value| value > 0.0), "{speed}");
    assert!(speed["emulation_share"].is_null(), "{speed}");
}

#[test]
fn loads_of_nothing_and_unknown_games_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases: [&[&str]; 5] = [
        &["--envs", "0"],
        &["--rounds", "0"],
        &["--steps", "0"],
        &["--envs", "100000"],
        &["--set", "env.game=pnog"],
    ];
    for args in cases {
        let ran = pliant(folder.path(), &[&["bench", "env"], args].concat());
        assert_eq!(ran.code, Some(2), "{args:?}\n{}{}", ran.out, ran.err);
        assert!(ran.err.contains(args[args.len() - 2].trim_start_matches("--set")), "{}", ran.err);
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
}

/// A small learner on the MNIST MDP, with these options.
fn learner(options: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut args = vec!["bench", "learner", "mnist_true_label", "--rounds", "2", "--updates", "3"];
    args.extend(options);
    let ran = pliant(folder.path(), &args);
    assert_eq!(ran.code, Some(0), "{args:?}\n{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).expect("one JSON object and nothing else")
}

#[test]
fn updates_are_measured_beside_those_without_interventions() {
    let speed = learner(&["--with", "layer_norm", "--with", "redo:every_updates=2"]);
    for key in ["updates_per_s", "plain_updates_per_s", "parameters", "threads"] {
        assert!(speed[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {speed}");
    }
    let ratio = speed["time_ratio"].as_array().expect("median, least and most");
    let ratio: Vec<f64> = ratio.iter().filter_map(Value::as_f64).collect();
    assert!(ratio[1] <= ratio[0] && ratio[0] <= ratio[2], "{ratio:?}");
    assert_eq!(speed["interventions"], serde_json::json!(["layer_norm", "redo"]));
    assert_eq!((&speed["precision"], &speed["is_recorded"]), (&"f32".into(), &false.into()));
    assert!(learner(&[])["time_ratio"].is_null(), "there is nothing to compare with");
}

#[test]
fn what_would_not_show_is_told_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = ["bench", "learner", "mnist_true_label", "--rounds", "2", "--updates", "3"];
    let ran = pliant(folder.path(), &[&small[..], &["--with", "redo:every_updates=13"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("`redo` does nothing in the 12 updates"), "{}", ran.err);
    let ran = pliant(folder.path(), &[&small[..], &["--with", "redo:every_updates=12"]].concat());
    assert!(!ran.err.contains("does nothing"), "{}", ran.err);
    let ran = pliant(folder.path(), &[&small[..], &["--probe", "units"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("pliant bench probe"), "{}", ran.err);
}

#[test]
fn a_control_measures_the_learner_without_interventions_beside_its_equal() {
    let speed = learner(&["--with", "layer_norm", "--control"]);
    assert_eq!(speed["interventions"], serde_json::json!([]));
    assert_eq!(speed["parameters"], learner(&[])["parameters"], "no scales and offsets");
    let ratio = speed["time_ratio"].as_array().expect("median, least and most");
    assert_eq!(ratio.len(), 3, "{speed}");
}

#[test]
fn each_probe_is_measured_beside_updates() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let probes = ["--probe", "units:batch_size=64", "--probe", "norms:batch_size=64"];
    let small = ["bench", "probe", "mnist_true_label", "--rounds", "2", "--updates", "3"];
    let ran = pliant(folder.path(), &[&small[..], &probes].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let costs: Value = serde_json::from_str(&ran.out).expect("one JSON object and nothing else");
    for (index, name) in ["units", "norms"].into_iter().enumerate() {
        let cost = &costs["probes"][index];
        assert_eq!(cost["probe"], name);
        assert_eq!(cost["measurement_s_by_round"].as_array().map(Vec::len), Some(2));
        let number = |value: &Value| value.as_f64().expect("a number");
        let ratio = number(&cost["measurement_s"]) * number(&costs["updates_per_s"]);
        assert!((ratio / number(&cost["updates_per_measurement"]) - 1.0).abs() < 1e-9, "{costs}");
    }
    let none = pliant(folder.path(), &small);
    assert_eq!(none.code, Some(2), "{}", none.out);
}
