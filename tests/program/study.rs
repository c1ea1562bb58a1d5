//! Many runs of one question.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, UNIX_EPOCH},
};

use pliant_core::seeds::Seeds;

use crate::common::{
    Ran, metrics_without_time, newest_tensors, pliant, pliant_with, signal, started, succeeds,
    wait_until,
};

/// Two widths, with and without layer norm, two seeds: eight runs of a second.
const STUDY: &str = r#"
[study]
name = "small"
title = "Width and layer norm"
[base]
preset = "mnist_true_label"
[base.run]
device = "cpu"
[base.agent]
learning_starts = 200
target_period_updates = 50
[base.eval]
steps = 100
every_frames = 0
[[axes]]
name = "width"
setting = "network.width"
values = [8, 16]
[[axes]]
name = "norm"
conditions = [{ name = "none" }, { name = "layer_norm", label = "LayerNorm", with = ["layer_norm"] }]
[[curves]]
name = "loss"
title = "Loss & more"
tag = "train/loss"
lines = "norm"
x = "updates"
[[tables]]
name = "accuracy"
title = "Accuracy"
tag = "eval/accuracy"
rows = "norm"
against = "none"
[[tables]]
name = "change"
title = "Change of accuracy"
tag = "eval/accuracy"
take = "change"
rows = "width"
[scales.smoke]
about = "seconds"
seeds = "0..1"
set = { run = { budget_frames = 600 }, checkpoint = { every_frames = 300 }, log = { every_frames = 200 } }
"#;

const RUNS: [&str; 8] = [
    "8/none/seed0",
    "8/none/seed1",
    "8/layer_norm/seed0",
    "8/layer_norm/seed1",
    "16/none/seed0",
    "16/none/seed1",
    "16/layer_norm/seed0",
    "16/layer_norm/seed1",
];

/// A folder with the study's file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("small.toml"), STUDY).expect("writable");
    folder
}

fn run_of(folder: &Path, name: &str) -> PathBuf {
    folder.join("runs").join(name)
}

fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(words.iter().all(|word| ran.err.contains(word)), "{words:?}: {}", ran.err);
}

#[test]
fn every_run_is_made_once_and_is_the_run_that_it_would_be_alone() {
    let folder = folder();
    let study = folder.path().join("studies/small-smoke");
    let ran = pliant(folder.path(), &["study", "run", "small.toml", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 10, "{}", ran.out);
    assert!(ran.out.contains("not finished: 8 runs, 4800 frames"), "{}", ran.out);
    assert!(!study.exists());
    succeeds(folder.path(), &["study", "run", "small.toml"]);
    let ran = pliant(folder.path(), &["study", "run", "small.toml", "--dry-run"]);
    assert_eq!(ran.out.matches("600 frames, finished").count(), 8, "{}", ran.out);
    let whole = pliant(folder.path(), &["doctor", "studies/small-smoke"]);
    let words = "8 planned, 8 begun, of 8 of them there is nothing to say";
    assert!(whole.code == Some(0) && whole.out.contains(words), "{}{}", whole.out, whole.err);
    let before = RUNS.map(|name| fs::read(run_of(&study, name).join("status.json")).expect(name));
    let ran = pliant(folder.path(), &["study", "run", "small.toml"]);
    assert!(ran.code == Some(0) && ran.err.contains("0 of 8 runs to do"), "{}{}", ran.out, ran.err);
    let after = RUNS.map(|name| fs::read(run_of(&study, name).join("status.json")).expect(name));
    assert!(before == after, "finished runs are left alone");
    let config = study.join("configs/16/layer_norm/seed1.toml");
    let config = config.to_str().expect("a name");
    succeeds(folder.path(), &["train", config, "--out", "alone"]);
    let (alone, of_study) = (folder.path().join("alone"), run_of(&study, RUNS[7]));
    assert!(newest_tensors(&alone) == newest_tensors(&of_study));
    let ran = pliant(folder.path(), &["study", "status", "studies/small-smoke"]);
    assert!(ran.code == Some(0) && ran.out.contains("16/layer_norm"), "{}{}", ran.out, ran.err);
}

/// More seeds than the scale has, then more than the study has; fewer than it has are refused.
#[test]
fn a_study_has_the_seeds_that_are_asked_for() {
    let folder = folder();
    let run = |args: &[&str]| pliant(folder.path(), &[&["study", "run"], args].concat());
    let small = ["--set", "run.budget_frames=300", "--set", "eval.steps=20"];
    let one = run(&[&["small.toml", "--seeds", "5"], &small[..]].concat());
    assert!(one.code == Some(0) && one.err.contains("4 of 4 runs to do"), "{}", one.err);
    let study = folder.path().join("studies/small-smoke");
    assert!(run_of(&study, "8/none/seed5").exists() && !run_of(&study, "8/none/seed0").exists());
    // By its name it is the study that was begun.
    let again = run(&[&["small.toml"], &small[..]].concat());
    assert!(again.code == Some(0) && again.err.contains("0 of 4 runs to do"), "{}", again.err);
    let words = ["--seeds", "has runs of seed 5"];
    refused(&run(&["studies/small-smoke", "--seeds", "6", "--dry-run"]), &words);
    // So it was remembered before there was --seeds.
    let json = study.join("study.json");
    let text = fs::read_to_string(&json).expect("written");
    let seeds = "  \"seeds\": [\n    5\n  ],\n";
    assert!(text.contains(seeds), "{text}");
    fs::write(&json, text.replace(seeds, "")).expect("writable");
    refused(&run(&["studies/small-smoke"]), &["seed5 is no longer part of it"]);
    fs::write(&json, text).expect("writable");
    let more = run(&["studies/small-smoke", "--seeds", "5,2"]);
    assert!(more.err.contains("4 runs are new in this study"), "{}", more.err);
    let status = pliant(folder.path(), &["study", "status", "studies/small-smoke"]);
    assert!(status.code == Some(0), "{}{}", status.out, status.err);
    let all = run(&["studies/small-smoke", "--dry-run"]);
    assert_eq!(all.out.matches(", finished").count(), 8, "{}", all.out);
    // A run that is not whole is named.
    fs::write(run_of(&study, "8/none/seed2").join("status.json"), "{").expect("writable");
    let doctor = pliant(folder.path(), &["doctor", "studies/small-smoke"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(doctor.out.contains("8/none/seed2: cannot be read"), "{}", doctor.out);
    assert!(doctor.out.contains("8 begun, of 7"), "{}", doctor.out);
}

/// They are taken with the plan, as `--set` is, and lie over nothing after it.
#[test]
fn variables_of_the_environment_are_part_of_what_was_planned_and_of_nothing_else() {
    let folder = folder();
    let with = |args: &[&str], variable, value| pliant_with(folder.path(), args, variable, value);
    let seed = with(&["study", "run", "small.toml"], "PLIANT__RUN__SEED", "7");
    refused(&seed, &["run.seed=7", "have the seeds of its scale"]);
    let ran = with(&["study", "run", "small.toml"], "PLIANT__EVAL__STEPS", "20");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let study = folder.path().join("studies/small-smoke");
    let config = |name| fs::read_to_string(run_of(&study, name).join("config.toml")).expect(name);
    assert!(config(RUNS[0]).contains("steps = 20"), "{}", config(RUNS[0]));
    // The same folder from a shell without it, and from one with another.
    let again = pliant(folder.path(), &["study", "run", "studies/small-smoke"]);
    assert!(again.code == Some(0) && again.err.contains("0 of 8 runs"), "{}", again.err);
    fs::remove_dir_all(run_of(&study, RUNS[1])).expect("a run");
    let again = with(&["study", "run", "studies/small-smoke"], "PLIANT__RUN__SEED", "7");
    assert!(again.code == Some(0) && again.err.contains("1 of 8 runs"), "{}", again.err);
    assert!(again.err.contains("PLIANT__RUN__SEED is not heeded"), "{}", again.err);
    assert!(config(RUNS[1]).contains("seed = 1"), "{}", config(RUNS[1]));
    let scaled =
        pliant(folder.path(), &["study", "run", "studies/small-smoke", "--scale", "smoke"]);
    refused(&scaled, &["--scale", "has them already"]);
    let report = with(&["study", "report", "small.toml"], "PLIANT__EVAL__STEPS", "30");
    assert!(report.code == Some(0) && report.err.is_empty(), "{}", report.err);
    let picked = pliant(folder.path(), &["study", "report", "small.toml", "--seeds", "0"]);
    refused(&picked, &["--seeds", "belong to `pliant study run`"]);
}

#[test]
fn a_study_by_its_name_is_found_beside_a_folder_of_that_name() {
    let folder = folder();
    fs::create_dir(folder.path().join("interventions")).expect("writable");
    let status = ["study", "status", "interventions", "--scale", "smoke"];
    let ran = pliant(folder.path(), &status);
    assert!(ran.code == Some(0) && ran.out.contains("scale smoke"), "{}{}", ran.out, ran.err);
}

/// A CSV file's rows, without quotes.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fields = |line: &str| line.split(',').map(|field| field.replace('"', "")).collect();
    text.lines().map(fields).collect()
}

/// The values of a tag in a run's table.
/// Of a line of a CSV, as readers that know quotes count them.
fn count_of_fields(line: &str) -> usize {
    let parts = line.split('"').step_by(2);
    1 + parts.map(|outside| outside.matches(',').count()).sum::<usize>()
}

fn values(run: &Path, tag: &str) -> Vec<f64> {
    let of_tag = rows(&run.join("metrics.csv")).into_iter().filter(|row| row[4] == tag);
    of_tag.map(|row| row[5].parse().expect("a number")).collect()
}

#[test]
fn a_report_shows_means_over_seeds_and_claims_nothing_of_two() {
    let folder = folder();
    let study = folder.path().join("out");
    let refused_early = pliant(folder.path(), &["study", "report", "small.toml", "--out", "out"]);
    refused(&refused_early, &["no run can be shown (8 runs not finished)"]);
    succeeds(folder.path(), &["study", "run", "small.toml", "--out", "out"]);
    succeeds(folder.path(), &["study", "report", "out"]);
    let report = study.join("report");
    let last =
        |name: &str| *values(&run_of(&study, name), "eval/accuracy").last().expect("measured");
    let table = rows(&report.join("accuracy~8.csv"));
    let labels: Vec<&str> = table.iter().skip(1).map(|row| &*row[0]).collect();
    assert_eq!(labels, ["none", "LayerNorm"]);
    let number = |row: usize, column: usize| table[row][column].parse::<f64>().expect("a number");
    let [none, norm] =
        ["none", "layer_norm"].map(|name| [0, 1].map(|seed| last(&format!("8/{name}/seed{seed}"))));
    let mean = |both: [f64; 2]| f64::midpoint(both[0], both[1]);
    assert!((number(1, 1) - mean(none)).abs() < 1e-12 && number(1, 7) == 2.0, "{table:?}");
    assert!((number(2, 1) - mean(norm)).abs() < 1e-12);
    let difference = f64::midpoint(norm[0] - none[0], norm[1] - none[1]);
    assert!((number(2, 10) - difference).abs() < 1e-12);
    assert!(table[2][14].starts_with("too few (2 of"), "{table:?}");
    // `change`: the last less the first.
    let change = rows(&report.join("change~layer_norm.csv"));
    let of = |seed: u64| {
        let values = values(&run_of(&study, &format!("16/layer_norm/seed{seed}")), "eval/accuracy");
        values[values.len() - 1] - values[0]
    };
    assert_eq!(change[2][0], "16");
    assert!((change[2][1].parse::<f64>().expect("a number") - mean([of(0), of(1)])).abs() < 1e-12);
    let loss = rows(&report.join("loss~16.csv"));
    let first =
        |seed: u64| values(&run_of(&study, &format!("16/none/seed{seed}")), "train/loss")[0];
    let point = &loss[1];
    assert_eq!((&*point[0], &*point[5]), ("none", "2"));
    assert!(
        (point[2].parse::<f64>().expect("a number") - mean([first(0), first(1)])).abs() < 1e-12
    );
    for file in ["loss~16.svg", "loss~16.png", "loss~8.svg"] {
        assert!(report.join(file).exists(), "{file}");
    }
    let page = fs::read_to_string(report.join("index.html")).expect("a page");
    for words in ["Loss &amp; more: 16", "<svg", "network.width", "too few (2 of", "8 runs."] {
        assert!(page.contains(words), "{words}");
    }
    let pictures = page.matches("src=").count();
    assert!(!page.contains("http-equiv"), "it needs nothing else");
    assert_eq!(page.matches("src=\"data:image/").count(), pictures, "pictures are in it");
    fs::remove_file(run_of(&study, RUNS[0]).join("status.json")).expect("there");
    let ran = pliant(folder.path(), &["study", "report", "out"]);
    assert!(ran.code == Some(0) && ran.err.contains("1 run not finished"), "{}", ran.err);
}

#[test]
fn seeds_that_are_lost_are_told_and_nothing_is_claimed_of_those_that_are_left() {
    let folder = folder();
    let study = folder.path().join("out");
    succeeds(folder.path(), &["study", "run", "small.toml", "--out", "out"]);
    let rewrite = |name: &str, file: &str, from: &str, to: &str| {
        let path = run_of(&study, name).join(file);
        let text = fs::read_to_string(&path).expect("written");
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).expect("writable");
    };
    rewrite("8/none/seed0", "status.json", "finished", "failed");
    rewrite("16/layer_norm/seed1", "metrics.csv", "eval/accuracy,", "eval/accuracy,nan #");
    let metrics = run_of(&study, "16/layer_norm/seed1").join("metrics.csv");
    let text = fs::read_to_string(&metrics).expect("written");
    let cut = |line: &str| line.split(" #").next().expect("a part").to_owned() + "\n";
    fs::write(&metrics, text.lines().map(cut).collect::<String>()).expect("writable");
    let longer = ["resume", "out/runs/8/layer_norm/seed1", "--set", "run.budget_frames=800"];
    succeeds(folder.path(), &longer);
    let ran = pliant(folder.path(), &["study", "report", "out"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for words in [
        "1 run failed",
        "8/none/seed0",
        "1 run with other settings",
        "run.budget_frames: 600 -> 800",
    ] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    let page = fs::read_to_string(study.join("report/index.html")).expect("a page");
    for words in ["1 of 2 (1 failed)", "1 of 2 (1 without a finite number)", "as seeds are lost"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("too few"), "every comparison has lost a seed");
    let entries = fs::read_dir(study.join("report")).expect("a report").flatten();
    let tables =
        entries.map(|entry| entry.path()).filter(|path| path.extension() == Some("csv".as_ref()));
    for table in tables {
        let text = fs::read_to_string(&table).expect("written");
        let counts: Vec<usize> = text.lines().map(count_of_fields).collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{}: {text}", table.display());
    }
    let row = &rows(&study.join("report/accuracy~16.csv"))[2];
    assert_eq!((&*row[7], &*row[8], &*row[9]), ("1", "2", "1"), "{row:?}");
    let ran = pliant(folder.path(), &["study", "status", "out"]);
    assert!(ran.out.contains("8/layer_norm/seed1 is not what was planned"), "{}", ran.out);
}

#[test]
fn stopped_and_killed_studies_go_on_and_end_as_if_they_had_not_been() {
    let folder = folder();
    succeeds(folder.path(), &["study", "run", "small.toml", "--out", "whole"]);
    let study = folder.path().join("parts");
    let done =
        || RUNS.iter().filter(|name| run_of(&study, name).join("checkpoints").exists()).count();
    for (count, how) in [(1, "TERM"), (3, "KILL"), (5, "INT")] {
        let args = ["study", "run", "small.toml", "--out", "parts"];
        let mut child = started(folder.path(), &args);
        wait_until("some runs", || done() >= count);
        signal(&child, how);
        child.wait().expect("it ends");
        // The runs of a killed study stop by themselves.
        wait_until("no run under way", || {
            let out = pliant(folder.path(), &["study", "status", "parts"]).out;
            out.lines().skip(4).all(|row| row.split('┆').nth(2).is_none_or(|n| n.trim().is_empty()))
        });
    }
    succeeds(folder.path(), &["study", "run", "parts"]);
    for name in RUNS {
        let [whole, parts] = ["whole", "parts"].map(|out| run_of(&folder.path().join(out), name));
        assert!(newest_tensors(&whole) == newest_tensors(&parts), "{name}");
        assert_eq!(metrics_without_time(&whole), metrics_without_time(&parts), "{name}");
    }
}

/// The tables and curves of a report, by file.
fn numbers(report: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(report).expect("a report").flatten();
    let csv = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "csv"));
    let name = |path: &Path| path.file_name().expect("named").to_string_lossy().into_owned();
    let mut all: Vec<(String, String)> =
        csv.map(|path| (name(&path), fs::read_to_string(&path).expect("text"))).collect();
    all.sort();
    all
}

#[test]
#[ignore = "slow: two minutes"]
fn forty_runs_killed_at_ten_random_times_end_with_the_tables_of_those_that_were_not() {
    let folder = folder();
    fs::write(folder.path().join("forty.toml"), STUDY.replace("\"0..1\"", "\"0..9\""))
        .expect("writable");
    succeeds(folder.path(), &["study", "run", "forty.toml", "--out", "whole"]);
    succeeds(folder.path(), &["study", "report", "whole"]);
    let seed = UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Seeds::new(seed).stream("kills");
    for _ in 0..10 {
        let args = ["study", "run", "forty.toml", "--out", "parts"];
        let mut child = started(folder.path(), &args);
        thread::sleep(Duration::from_secs_f64(0.5 + 4.0 * random.fraction()));
        signal(&child, "KILL");
        child.wait().expect("it ends");
    }
    wait_until("no run under way", || {
        let out = pliant(folder.path(), &["study", "status", "parts"]).out;
        out.lines().skip(4).all(|row| row.split('┆').nth(2).is_none_or(|n| n.trim().is_empty()))
    });
    succeeds(folder.path(), &["study", "run", "parts"]);
    succeeds(folder.path(), &["study", "report", "parts"]);
    let report = |out: &str| numbers(&folder.path().join(out).join("report"));
    assert_eq!(report("whole"), report("parts"));
    assert_eq!(report("whole").len(), 6);
}

#[test]
fn a_run_that_fails_is_told_and_made_again_when_asked_to() {
    let folder = folder();
    let study = folder.path().join("studies/small-smoke");
    // In the way of one run's checkpoints.
    let run = run_of(&study, RUNS[2]);
    fs::create_dir_all(&run).expect("writable");
    fs::write(run.join("x"), "").expect("writable");
    let ran = pliant(folder.path(), &["study", "run", "small.toml"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("1 runs failed: 8/layer_norm/seed0"), "{}", ran.err);
    fs::remove_file(run.join("x")).expect("there");
    succeeds(folder.path(), &["study", "run", "small.toml"]);
    // One that fails while it runs.
    let status = fs::read_to_string(run.join("status.json")).expect("written");
    let failed =
        status.replace("finished", "failed").replace("\"error\": null", "\"error\": \"why\"");
    fs::write(run.join("status.json"), failed).expect("writable");
    let ran = pliant(folder.path(), &["study", "run", "small.toml"]);
    let words = ["0 of 8 runs", "1 runs failed before: 8/layer_norm/seed0", "--retry"];
    assert!(ran.code == Some(1) && words.iter().all(|it| ran.err.contains(it)), "{}", ran.err);
    let ran = pliant(folder.path(), &["study", "status", "small.toml"]);
    assert!(ran.out.contains("8/layer_norm/seed0 failed: why"), "{}", ran.out);
    succeeds(folder.path(), &["study", "run", "small.toml", "--retry"]);
    let ran = pliant(folder.path(), &["study", "status", "small.toml"]);
    assert!(!ran.out.contains("why"), "{}", ran.out);
}

#[test]
fn a_study_that_was_changed_is_refused_with_the_difference_and_may_grow() {
    let folder = folder();
    let file = folder.path().join("small.toml");
    let args = ["study", "run", "small.toml", "--set", "run.budget_frames=400"];
    succeeds(folder.path(), &[&args[..], &["--out", "out"]].concat());
    let again = |text: String| {
        fs::write(&file, text).expect("writable");
        pliant(folder.path(), &[&args[..], &["--out", "out"]].concat())
    };
    let ran = again(STUDY.replace("learning_starts = 200", "learning_starts = 300"));
    refused(&ran, &["study folder out", "agent.learning_starts: 200 -> 300", "and 7 other runs"]);
    let ran = again(STUDY.replace("values = [8, 16]", "values = [16]"));
    refused(&ran, &["8/layer_norm/seed0 is no longer part of it", "and 3 other runs"]);
    let ran = again(STUDY.replace("seeds = \"0..1\"", "seeds = \"0..2\""));
    assert!(ran.code == Some(0) && ran.err.contains("4 runs are new"), "{}{}", ran.out, ran.err);
    assert!(run_of(&folder.path().join("out"), "16/none/seed2").join("metrics.csv").exists());
}

#[test]
fn what_a_study_will_not_do_or_show_is_told() {
    let folder = folder();
    let text = STUDY
        .replace("learning_starts = 200", "learning_starts = 2000")
        .replace("tag = \"train/loss\"", "tag = \"train/losses\"");
    fs::write(folder.path().join("small.toml"), text).expect("writable");
    let ran = pliant(folder.path(), &["study", "run", "small.toml", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.err.matches("nothing will be learned").count(), 1, "{}", ran.err);
    assert!(ran.err.contains("8/none, 8/layer_norm, 16/none, 16/layer_norm"), "{}", ran.err);
    succeeds(folder.path(), &["study", "run", "small.toml"]);
    let twins =
        ["study", "run", "small.toml", "--dry-run", "--set", "network.width=8", "--out", "twins"];
    let ran = pliant(folder.path(), &twins);
    for words in [
        "warning: 8/none and 16/none have the same settings",
        "warning: 8/layer_norm and 16/layer_norm have the same settings",
    ] {
        assert!(ran.code == Some(0) && ran.err.contains(words), "{}", ran.err);
    }
    let text =
        STUDY.replace("[scales.smoke]", "[scales.smoke]\nonly = { norm = [\"layer_norm\"] }");
    fs::write(folder.path().join("alone.toml"), text).expect("writable");
    let ran = pliant(folder.path(), &["study", "run", "alone.toml", "--dry-run", "--out", "alone"]);
    let words = "warning: accuracy compares nothing: `none` is not among";
    assert!(ran.code == Some(0) && ran.err.contains(words), "{}", ran.err);
    let ran = pliant(folder.path(), &["study", "report", "small.toml"]);
    let words = "no run has measured train/losses; there are train/epsilon";
    assert!(ran.code == Some(0) && ran.err.contains(words), "{}", ran.err);
}

#[test]
fn bad_studies_are_refused_before_anything_is_run() {
    let folder = folder();
    let file = folder.path().join("small.toml");
    for (from, to, words) in [
        ("values = [8, 16]", "values = []", &["small.toml: axis width is empty"][..]),
        ("values = [8, 16]", "values = [8, \"x\"]", &["study small, width x", "`width`"]),
        ("values = [8, 16]", "values = [8, 0]", &["network"]),
        ("\"network.width\"", "\"network.widht\"", &["widht", "width"]),
        ("with = [\"layer_norm\"]", "with = [\"layer_nrom\"]", &["layer_nrom", "layer_norm"]),
        ("[scales.smoke]", "[scale.smoke]", &["small.toml, line", "scale"]),
        ("seeds = \"0..1\"", "seeds = \"0..1\"\nsteps = 3", &["small.toml, line", "steps"]),
    ] {
        fs::write(&file, STUDY.replace(from, to)).expect("writable");
        let ran = pliant(folder.path(), &["study", "run", "small.toml"]);
        refused(&ran, words);
        assert!(!folder.path().join("studies").exists(), "{to}");
    }
    fs::write(&file, STUDY).expect("writable");
    let asked = |args: &[&str]| pliant(folder.path(), args);
    refused(&asked(&["study", "run", "small.toml", "--scale", "paper"]), &["`paper`", "`smoke`"]);
    refused(&asked(&["study", "run", "no.toml"]), &["cannot read study no.toml"]);
    refused(&asked(&["study", "run", "scalign"]), &["did you mean `scaling`?"]);
    refused(&asked(&["doctor", "scaling"]), &["`scaling` is a study", "--dry-run"]);
    refused(&asked(&["study", "run", "small.toml", "--seeds", "3..1"]), &["--seeds", "lower end"]);
    refused(&asked(&["study", "status", "."]), &["no study.json"]);
    refused(&asked(&["study", "run", ".", "--scale", "smoke"]), &["no study.json"]);
}
