//! What `pliant doctor` finds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::common::{pliant, short_atari, short_mnist, succeeds};

/// The findings of `doctor WHAT`, as (what, verdict, text); checks that the exit code goes with them.
fn findings(folder: &Path, args: &[&str]) -> Vec<(String, String, String)> {
    let ran = pliant(folder, &[&["doctor"], args, &["--json"]].concat());
    let all: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    let findings = all["findings"].as_array().expect("a list").iter();
    let findings: Vec<_> =
        findings.map(|one| (text(one, "what"), text(one, "verdict"), text(one, "text"))).collect();
    let has_failed = findings.iter().any(|(_, verdict, _)| verdict == "failed");
    assert_eq!(ran.code, Some(i32::from(has_failed)), "{}{}", ran.out, ran.err);
    assert_eq!(all["all_well"], !has_failed);
    findings
}

/// What failed, with its text.
fn failed(folder: &Path, args: &[&str]) -> Vec<(String, String)> {
    let all = findings(folder, args).into_iter();
    all.filter(|(_, verdict, _)| verdict == "failed").map(|(what, _, text)| (what, text)).collect()
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).expect("checkpoints").flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Every kind of damage is one finding that names it; put back, all is well again.
#[test]
fn damage_to_a_run_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let probe = ["--probe", "units:batch_size=64,every_updates=100"];
    succeeds(folder.path(), &short_mnist("run", &probe));
    let run = folder.path().join("run");
    let whole = failed(folder.path(), &["run"]);
    assert!(whole.is_empty(), "{whole:?}");
    let with_replay = checkpoints(&run).into_iter().find(|path| path.join("replay.zst").is_file());
    let newest = with_replay.expect("the newest checkpoint has a replay");
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let flipped = |bytes: &[u8]| {
        let (mut bytes, middle) = (bytes.to_vec(), bytes.len() / 2);
        bytes[middle] ^= 1;
        bytes
    };
    let no_rows = |bytes: &[u8]| [bytes, b"nonsense\n"].concat();
    type Damage<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let cases: [(PathBuf, Damage<'_>, &str, &str); 6] = [
        (newest.join("tensors.safetensors"), &half, "checkpoint", "tensors.safetensors"),
        (newest.join("replay.zst"), &flipped, "checkpoint", "replay.zst"),
        (newest.join("envs.zst"), &half, "checkpoint", "envs.zst"),
        (run.join("metrics.csv"), &no_rows, "metrics.csv", "is no row of metrics"),
        (run.join("config.toml"), &no_rows, "config.toml", "config.toml"),
        (run.join("status.json"), &half, "status.json", "resume"),
    ];
    for (path, damage, what, words) in cases {
        let bytes = fs::read(&path).expect("a file of the run");
        fs::write(&path, damage(&bytes)).expect("writable");
        let found = failed(folder.path(), &["run"]);
        let is_named = found.len() == 1 && found[0].0 == what && found[0].1.contains(words);
        assert!(is_named, "{}: {found:?}", path.display());
        fs::write(&path, bytes).expect("writable");
    }
    assert!(failed(folder.path(), &["run"]).is_empty());
}

#[test]
fn torn_ends_and_leftovers_are_noted_and_no_failure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("run", &[]));
    let run = folder.path().join("run");
    let torn = |path: &Path| {
        let bytes = fs::read(path).expect("a file of the run");
        fs::write(path, &bytes[..bytes.len() - 3]).expect("writable");
    };
    torn(&run.join("metrics.csv"));
    let status = fs::read_to_string(run.join("status.json")).expect("written");
    fs::write(run.join("status.json"), status.replace("finished", "stopped")).expect("writable");
    let names = fs::read_dir(&run).expect("a run").flatten().map(|entry| entry.path());
    let is_events = |path: &PathBuf| path.to_string_lossy().contains("tfevents");
    torn(&names.into_iter().find(is_events).expect("an event file"));
    fs::create_dir(run.join("checkpoints/.9.new")).expect("writable");
    let all = findings(folder.path(), &["run"]);
    let noted: Vec<&str> =
        all.iter().filter(|one| one.1 == "note").map(|one| one.0.as_str()).collect();
    assert_eq!(noted, ["status.json", "metrics.csv", "event files", "leftovers"]);
}

#[test]
fn a_failed_update_is_reported_with_the_way_to_retry_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rate = ["--set", "agent.optimizer.learning_rate=1e39"];
    assert_eq!(pliant(folder.path(), &short_atari("run", &rate)).code, Some(1));
    let all = findings(folder.path(), &["run"]);
    let of = |what: &str| all.iter().filter(|one| one.0 == what).collect::<Vec<_>>();
    let failures = of("failures");
    assert_eq!(failures.len(), 1, "{all:?}");
    assert!(failures[0].2.contains("pliant retry run --update 1"), "{failures:?}");
    assert_eq!(of("status.json")[0].1, "failed");
}

#[test]
fn metrics_that_end_before_their_run_are_told_and_not_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("run", &[]));
    let path = folder.path().join("run/metrics.csv");
    let whole = fs::read_to_string(&path).expect("written");
    let lines: Vec<&str> = whole.lines().collect();
    let rows = lines[..3].join("\n") + "\n";
    let torn = whole[..whole.len() - 3].to_owned();
    for (text, words) in [(&rows, "ends at frame"), (&torn, "ends within a row")] {
        fs::write(&path, text).expect("writable");
        let found = failed(folder.path(), &["run"]);
        assert!(
            found.iter().any(|(what, it)| what == "metrics.csv" && it.contains(words)),
            "{found:?}"
        );
        let ran = pliant(folder.path(), &["report", "run"]);
        assert!(ran.code == Some(2) && ran.err.contains(words), "{}", ran.err);
    }
    fs::remove_file(&path).expect("there");
    assert!(failed(folder.path(), &["run"]).iter().any(|(what, _)| what == "metrics.csv"));
    fs::write(&path, whole).expect("writable");
    succeeds(folder.path(), &["doctor", "run"]);
}

#[test]
fn a_configuration_is_held_against_the_machine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let threads = ["quickstart", "--device", "cpu", "--set", "run.threads=500"];
    let all = findings(folder.path(), &threads);
    let noted = all.iter().find(|one| one.0 == "run.threads").expect("a finding");
    assert!(noted.1 == "note" && noted.2.contains("lower run.threads"), "{noted:?}");
    for what in ["configuration", "inputs", "replay", "checkpoints"] {
        assert!(all.iter().any(|one| one.0 == what && one.1 == "ok"), "{what}: {all:?}");
    }
    let device = ["quickstart", "--device", "cuda:77"];
    let found = failed(folder.path(), &device);
    assert!(found.iter().any(|(what, text)| what == "configuration" && text.contains("cuda:77")));
}

#[test]
fn what_is_neither_preset_nor_file_nor_run_is_bad_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("empty")).expect("writable");
    for (args, words) in [
        (&["doctor", "quikstart"][..], "`quickstart`"),
        (&["doctor", "empty"], "has no config.toml"),
        (&["doctor", "--set", "run.seed=1"], "PRESET"),
    ] {
        let ran = pliant(folder.path(), args);
        assert_eq!(ran.code, Some(2), "{args:?} {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{args:?} {}", ran.err);
    }
}
