//! Same configuration, seed and threads: the same bits.

use std::{fs, path::Path};

use crate::common::{metrics_without_time, newest_tensors, short_atari, short_mnist, succeeds};

fn assert_same(folder: &Path, a: &str, b: &str) {
    let (a, b) = (folder.join(a), folder.join(b));
    assert_eq!(metrics_without_time(&a), metrics_without_time(&b));
    assert!(newest_tensors(&a) == newest_tensors(&b), "the checkpoints' tensors differ");
}

#[test]
fn the_same_run_twice_on_atari_gives_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("a", &[]));
    succeeds(folder.path(), &short_atari("b", &[]));
    assert_same(folder.path(), "a", "b");
    succeeds(folder.path(), &short_atari("c", &["--seed", "1"]));
    let other = metrics_without_time(&folder.path().join("c"));
    assert_ne!(metrics_without_time(&folder.path().join("a")), other, "the seed must matter");
}

#[test]
fn the_number_of_environment_threads_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("one", &["--set", "run.env_threads=1"]));
    succeeds(folder.path(), &short_atari("three", &["--set", "run.env_threads=3"]));
    assert_same(folder.path(), "one", "three");
}

#[test]
fn probes_change_no_number_of_a_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let train = "targets=2,steps=10,observations=64,batch_size=32";
    let probes: Vec<String> = ["norms", "q_error", "rank", "units", "interference", "sharpness"]
        .iter()
        .map(|kind| format!("{kind}:batch_size=64"))
        .chain(["plasticity", "random_labels"].map(|kind| format!("{kind}:{train}")))
        .chain(["hessian:batch_size=64,steps=5,grid=700".to_owned()])
        .chain(["gradient_covariance:batch_size=64,order=state".to_owned()])
        .map(|probe| format!("{probe},every_updates=150"))
        .collect();
    let probes: Vec<&str> = probes.iter().flat_map(|probe| ["--probe", probe]).collect();
    succeeds(folder.path(), &short_mnist("without", &[]));
    succeeds(folder.path(), &short_mnist("with", &probes));
    let with = metrics_without_time(&folder.path().join("with"));
    let areas = [
        "gradient_covariance",
        "hessian",
        "interference",
        "norms",
        "plasticity",
        "probe",
        "q_error",
        "random_labels",
        "rank",
        "sharpness",
        "units",
    ];
    let is_measured = |line: &str| areas.iter().any(|area| line.contains(&format!(",{area}/")));
    for area in areas {
        assert!(with.contains(&format!(",{area}/")), "{area} was measured:\n{with}");
    }
    let kept: Vec<&str> = with.lines().filter(|line| !is_measured(line)).collect();
    assert_eq!(metrics_without_time(&folder.path().join("without")), kept.join("\n"));
}

#[test]
fn a_resolved_configuration_gives_the_same_run_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("a", &["--with", "layer_norm"]));
    succeeds(folder.path(), &["train", "a/config.toml", "--out", "b"]);
    assert_same(folder.path(), "a", "b");
    let config = |run: &str| fs::read_to_string(folder.path().join(run).join("config.toml"));
    assert_eq!(config("a").expect("written"), config("b").expect("written"));
}
