//! Supervised tasks as the program runs them.

use std::{fs, path::Path};

use serde_json::Value;

use crate::common::{metrics_without_time, newest_tensors, pliant, short, succeeds};

/// A run of three tasks of 40 steps with 16 images each, from a preset.
fn short_tasks<'a>(preset: &'a str, out: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let set = [
        "run.budget_frames=1600",
        "run.num_envs=16",
        "agent.target_period_updates=40",
        "eval.every_frames=640",
        "eval.steps=200",
        "eval.num_envs=8",
        "log.every_frames=320",
        "checkpoint.every_frames=640",
        "probes=[]",
    ];
    short(preset, out, &set, extra)
}

/// The same of labels of 100 images on a small perceptron.
fn short_labels<'a>(out: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let set = ["network.width=16", "env.images=100", "env.tasks=3", "env.steps_per_task=40"];
    let set = set.iter().flat_map(|setting| ["--set", *setting]);
    let extra: Vec<&str> = set.chain(extra.iter().copied()).collect();
    short_tasks("label_memorisation", out, &extra)
}

/// The values under a tag, by frames.
fn series(run: &Path, tag: &str) -> Vec<(u64, f64)> {
    let table = fs::read_to_string(run.join("metrics.csv")).expect("a run writes metrics.csv");
    let rows = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.filter(|row| row[4] == tag)
        .map(|row| (row[0].parse().expect("frames"), row[5].parse().expect("a number")))
        .collect()
}

/// Chance is 0.1: for 200 images the share that is right by it is below 0.2 but for once in 10,000.
#[test]
fn two_hundred_random_labels_are_memorised_and_then_two_hundred_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = [
        "run.num_envs=32",
        "network.width=128",
        "env.images=200",
        "env.steps_per_task=300",
        "run.budget_frames=19200",
        "eval.every_frames=9600",
        "eval.steps=1000",
        "log.every_frames=3200",
        "checkpoint.every_frames=0",
    ];
    let set: Vec<&str> = set.iter().flat_map(|setting| ["--set", *setting]).collect();
    succeeds(folder.path(), &short_labels("run", &set));
    let run = folder.path().join("run");
    let accuracy = series(&run, "eval/accuracy");
    assert_eq!(accuracy.iter().map(|(frames, _)| *frames).collect::<Vec<_>>(), [0, 9600, 19_200]);
    assert!(accuracy[0].1 < 0.2 && accuracy[1].1 > 0.95 && accuracy[2].1 > 0.95, "{accuracy:?}");
    let tasks: Vec<f64> = series(&run, "env/task").into_iter().map(|(_, task)| task).collect();
    assert_eq!(tasks, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    // Other labels: what was right is right by chance.
    let answers = series(&run, "train/accuracy");
    assert!(answers[2].1 > 0.9 && answers[3].1 < answers[2].1 - 0.2, "{answers:?}");
    assert!(series(&run, "train/reward_per_step").is_empty(), "it answers in evaluation alone");
}

#[test]
fn a_run_resumed_in_its_second_task_equals_one_that_never_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let parts = [
        "--with",
        "reset_last_layer",
        "--with",
        "shrink_and_perturb:every_updates=30",
        "--with",
        "l2_init",
        "--probe",
        "units:batch_size=60,every_updates=20",
        "--probe",
        "plasticity:observations=64,batch_size=32,targets=2,steps=5,every_updates=50",
        "--set",
        "eval.every_frames=320",
    ];
    succeeds(folder.path(), &short_labels("whole", &parts));
    let half = [&parts[..], &["--set", "run.budget_frames=960"]].concat();
    succeeds(folder.path(), &short_labels("parts", &half));
    succeeds(folder.path(), &["resume", "parts", "--set", "run.budget_frames=1600"]);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    assert!(newest_tensors(&whole) == newest_tensors(&parts), "the parameters differ");
    assert_eq!(metrics_without_time(&whole), metrics_without_time(&parts));
    // Reset with the last update of each task.
    let acted = series(&whole, "reset_last_layer/acted").into_iter().map(|(frames, _)| frames);
    assert_eq!(acted.collect::<Vec<_>>(), [656, 1296]);
}

#[test]
fn the_same_run_twice_gives_the_same_bits_whatever_the_threads_of_the_environments() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_labels("a", &["--set", "run.env_threads=1"]));
    succeeds(folder.path(), &short_labels("b", &["--set", "run.env_threads=3"]));
    succeeds(folder.path(), &short_labels("c", &["--seed", "1"]));
    let run = |name: &str| folder.path().join(name);
    assert_eq!(metrics_without_time(&run("a")), metrics_without_time(&run("b")));
    assert!(newest_tensors(&run("a")) == newest_tensors(&run("b")));
    assert!(newest_tensors(&run("a")) != newest_tensors(&run("c")), "the seed must matter");
}

/// The names of a family's kinds.
fn kinds(folder: &Path, family: &str) -> Vec<String> {
    let listed: Value =
        serde_json::from_str(&pliant(folder, &["list", family, "--json"]).out).expect("JSON");
    let rows = listed[family].as_array().expect("a list");
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

/// Settings with which a probe measures within a few steps.
fn quick(probe: &str) -> String {
    let settings = match probe {
        "plasticity" | "random_labels" => "targets=2,steps=5,observations=64,batch_size=32",
        "hessian" => "batch_size=32,steps=4,grid=700",
        "interference" => "batch_size=32",
        _ => "batch_size=48",
    };
    format!("{probe}:{settings},every_updates=30")
}

#[test]
fn every_probe_measures_and_none_changes_a_number() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut probes = kinds(folder.path(), "probes");
    probes.retain(|kind| kind != "q_error");
    assert!(probes.len() >= 9, "{probes:?}");
    let given: Vec<String> = probes.iter().map(|kind| quick(kind)).collect();
    let given: Vec<&str> = given.iter().flat_map(|probe| ["--probe", probe]).collect();
    succeeds(folder.path(), &short_labels("without", &[]));
    succeeds(folder.path(), &short_labels("with", &given));
    let (without, with) = (folder.path().join("without"), folder.path().join("with"));
    assert!(newest_tensors(&without) == newest_tensors(&with), "the checkpoints' tensors differ");
    let table = metrics_without_time(&with);
    for kind in &probes {
        let rows = table.lines().filter(|line| line.contains(&format!(",{kind}/"))).count();
        assert!(rows >= 4, "{kind} has measured {rows} numbers");
    }
    let trained = |run: &Path| {
        let table = metrics_without_time(run);
        let lines = table.lines().filter(|line| line.contains(",train/"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(trained(&with), trained(&without));
    succeeds(folder.path(), &["probe", "with", "--probe", "rank:batch_size=32"]);
    succeeds(folder.path(), &["eval", "with", "--json"]);
}

/// All but those that make distributions of the outputs.
#[test]
fn every_intervention_goes_along_or_is_refused_for_what_it_makes_of_the_outputs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let distributions = ["c51", "hl_gauss", "two_hot"];
    for kind in kinds(folder.path(), "interventions") {
        let extra = ["--with", &kind, "--set", "run.budget_frames=960"];
        let quiet = ["--set", "eval.before_training=false", "--set", "checkpoint.every_frames=0"];
        let ran = pliant(folder.path(), &short_labels(&kind, &[&extra[..], &quiet].concat()));
        if distributions.contains(&kind.as_str()) {
            assert_eq!(ran.code, Some(2), "{kind}: {}", ran.err);
            assert!(ran.err.contains("one output per class"), "{kind}: {}", ran.err);
            continue;
        }
        assert_eq!(ran.code, Some(0), "{kind}: {}{}", ran.out, ran.err);
        let losses = series(&folder.path().join(&kind), "train/loss");
        assert!(losses.len() == 3 && losses.iter().all(|(_, loss)| *loss > 0.0), "{losses:?}");
    }
}

#[test]
fn the_presets_go_from_task_to_task() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let narrow = "network.width=0.0625";
    for (preset, set, names) in [
        (
            "permuted_inputs",
            ["env.steps_per_task=40", "network.width=16"],
            ["mnist_pixels_0", "mnist_pixels_9"],
        ),
        (
            "class_incremental",
            ["env.steps_per_task=40", narrow],
            ["cifar10_classes_0_1", "cifar10_classes_8_9"],
        ),
        (
            "warm_start",
            ["env.first_steps=40", narrow],
            ["cifar10_some_images", "cifar10_all_images"],
        ),
    ] {
        let set = set.into_iter().chain(["eval.all_tasks=true", "eval.steps=40"]);
        let extra: Vec<&str> = set.flat_map(|setting| ["--set", setting]).collect();
        let ran = pliant(folder.path(), &short_tasks(preset, preset, &extra));
        assert_eq!(ran.code, Some(0), "{preset}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("accuracy on held-out images"), "{}", ran.out);
        let run = folder.path().join(preset);
        let last = series(&run, "env/task").last().expect("logged").1;
        assert_eq!(last, if preset == "warm_start" { 1.0 } else { 2.0 }, "{preset}");
        for name in names {
            let scores = series(&run, &format!("eval/accuracy/{name}"));
            assert_eq!(scores.len(), 4, "{preset} {name}: before, after two tasks, at the end");
        }
    }
}

#[test]
fn agents_and_environments_that_do_not_fit_are_refused_before_the_first_frame() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases: [(&[&str], &[&str]); 8] = [
        (
            &["mnist_true_label", "--set", "env={kind=\"random_labels\"}"],
            &["`double_dqn` learns from rewards", "`random_labels` is supervised", "`classifier`"],
        ),
        (
            &["label_memorisation", "--set", "env={kind=\"classification\"}"],
            &["`classifier` learns from right answers", "`classification` pays rewards"],
        ),
        (
            &["label_memorisation", "--set", "env={kind=\"atari\"}"],
            &["`classifier` learns from right answers", "`random_labels`"],
        ),
        (&["label_memorisation", "--probe", "q_error"], &["probes[1]", "states behind"]),
        (&["label_memorisation", "--set", "env.images=60001"], &["`images` is 60001", "60000"]),
        (&["label_memorisation", "--set", "env.reward=\"x\""], &["unknown field `reward`"]),
        (&["label_memorisation", "--set", "agent.discount=0.9"], &["unknown field `discount`"]),
        (&["warm_start", "--set", "env.first_share=0"], &["`first_share` is 0"]),
    ];
    for (args, words) in cases {
        let ran = pliant(folder.path(), &[&["train", "--device", "cpu"], args].concat());
        assert_eq!(ran.code, Some(2), "{args:?}\n{}{}", ran.out, ran.err);
        for word in words {
            assert!(ran.err.contains(word), "{args:?} should say {word:?}:\n{}", ran.err);
        }
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing is left");
}

#[test]
fn its_updates_are_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let small = ["--set", "network.width=16", "--set", "run.num_envs=8", "--device", "cpu"];
    let args = ["bench", "learner", "label_memorisation", "--rounds", "2", "--updates", "3"];
    let ran = pliant(folder.path(), &[&args[..], &small].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let speed: Value = serde_json::from_str(&ran.out).expect("one JSON object");
    assert!(speed["updates_per_s"].as_f64().is_some_and(|value| value > 0.0), "{speed}");
}

/// The step that follows is infinite as f32.
#[test]
fn an_update_that_goes_wrong_is_kept_and_met_again_when_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wrong = ["--set", "agent.optimizer.learning_rate=1e39"];
    let right = ["--set", "agent.optimizer.learning_rate=0.001"];
    let ran = pliant(folder.path(), &short_labels("run", &wrong));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("update 1 would leave") && ran.err.contains("retry"), "{}", ran.err);
    for (command, code, words) in
        [("retry", 1, "fails again, with the same"), ("resume", 1, "update 1 would leave")]
    {
        let ran = pliant(folder.path(), &[command, "run"]);
        assert_eq!(ran.code, Some(code), "{command}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{command}: {}", ran.err);
    }
    let ran = pliant(folder.path(), &[&["resume", "run"][..], &right].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    succeeds(folder.path(), &short_labels("whole", &right));
    let [run, whole] = ["run", "whole"].map(|name| folder.path().join(name));
    assert!(newest_tensors(&run) == newest_tensors(&whole), "the parameters differ");
    assert_eq!(metrics_without_time(&run), metrics_without_time(&whole));
}
