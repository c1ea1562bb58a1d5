//! One configuration under several seeds.

use std::fs;

use crate::common::{
    has_state, metrics_without_time, newest_tensors, pliant, short_mnist, signal, started,
    succeeds, wait_until,
};

#[test]
fn each_seed_is_the_run_that_it_would_be_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let several = pliant(folder.path(), &short_mnist("all", &["--seeds", "4,7", "--jobs", "2"]));
    assert_eq!(several.code, Some(0), "{}{}", several.out, several.err);
    assert!(several.out.contains("over 2 finished seeds"), "{}", several.out);
    succeeds(folder.path(), &short_mnist("alone", &["--seed", "7"]));
    let (one, alone) = (folder.path().join("all/seed7"), folder.path().join("alone"));
    assert!(newest_tensors(&one) == newest_tensors(&alone), "the parameters differ");
    assert_eq!(metrics_without_time(&one), metrics_without_time(&alone));
    let other = metrics_without_time(&folder.path().join("all/seed4"));
    assert_ne!(other, metrics_without_time(&alone));
    let again = pliant(folder.path(), &short_mnist("all", &["--seeds", "1..2"]));
    assert_eq!(again.code, Some(2), "{}", again.out);
    assert!(again.err.contains("not empty"), "{}", again.err);
}

#[test]
fn a_seed_that_fails_is_named_with_its_error_and_the_others_finish() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A file where the run directory of the second seed would be.
    let mut args = short_mnist("all", &["--seeds", "1..2", "--jobs", "1"]);
    args.extend(["--set", "run.budget_frames=400"]);
    let seed2 = folder.path().join("all/seed2");
    let spoil = std::thread::spawn(move || {
        while !seed2.with_file_name("seed1").exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        fs::write(&seed2, "in the way").expect("writable");
    });
    let ran = pliant(folder.path(), &args);
    spoil.join().expect("no panic");
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("seed 2:") && ran.err.contains("seed2.log"), "{}", ran.err);
    assert!(ran.out.contains("finished") && ran.out.contains("failed"), "{}", ran.out);
}

#[test]
fn runs_stop_in_order_when_the_program_that_began_them_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = ["--seeds", "1..2", "--jobs", "2", "--set", "run.budget_frames=10_000_000"];
    let mut parent = started(folder.path(), &short_mnist("all", &more));
    let runs = ["all/seed1", "all/seed2"].map(|run| folder.path().join(run));
    let have = |state| runs.iter().all(|run| has_state(run, state));
    wait_until("both under way", || have("running"));
    signal(&parent, "KILL");
    parent.wait().expect("it ends");
    wait_until("both stopped", || have("stopped"));
}
