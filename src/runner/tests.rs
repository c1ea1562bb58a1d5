use std::{fs, path::Path};

use super::*;
use crate::{
    fakes::{RETURNS, TASKS, TURN, experiment, run_directory},
    sinks::{CsvSink, Progress},
};

/// Trains on the environment of two tasks, from a checkpoint if there is one, and returns the rows
/// of its table as frames, tag and value.
fn train(path: &Path, set: &[&str]) -> Vec<(u64, String, f64)> {
    let experiment = experiment(set);
    let is_new = !path.exists();
    let directory = if is_new {
        run_directory(path, &experiment)
    } else {
        RunDirectory::open(path).expect("a run")
    };
    let mut runner = Runner::new(experiment, directory.clone(), Arc::default()).expect("a runner");
    let table = path.join("metrics.csv");
    let sink = if is_new {
        CsvSink::create(&table)
    } else {
        let loaded = newest(&directory);
        runner.restore(&loaded).expect("restored");
        CsvSink::resume(&table, loaded.clock.frames, u64::MAX)
    };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(sink.expect("a table"))];
    let outputs = outputs(sinks);
    runner.train(outputs).expect("trained");
    rows(&fs::read_to_string(table).expect("a table"))
}

fn rows(table: &str) -> Vec<(u64, String, f64)> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split(',').collect();
        let value = columns[5].parse().expect("a number");
        (columns[0].parse().expect("frames"), columns[4].to_owned(), value)
    };
    table.lines().skip(1).map(row).collect()
}

/// The values under a tag, by frames.
fn series(rows: &[(u64, String, f64)], tag: &str) -> Vec<(u64, f64)> {
    let tagged = rows.iter().filter(|row| row.1 == tag);
    tagged.map(|(frames, _, value)| (*frames, *value)).collect()
}

#[test]
fn training_and_evaluation_follow_the_task() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = ["run.budget_frames=100", "eval.every_frames=40"];
    let rows = train(&folder.path().join("run"), &set);
    let task = series(&rows, "env/task");
    let expected: Vec<_> =
        (1..=10).map(|i| (10 * i, if 10 * i <= TURN { 0.0 } else { 1.0 })).collect();
    assert_eq!(task, expected);
    let of_task = |name: &str, index: usize| {
        let series = series(&rows, &format!("episode/return/{name}"));
        assert_eq!(series.len(), 5, "{name}: one per log of its turn");
        assert!(series.iter().all(|(_, value)| *value == RETURNS[index]));
    };
    TASKS.iter().enumerate().for_each(|(index, (_, tag))| of_task(tag, index));
    let [low, high] = RETURNS;
    let evaluations = [(0, low), (40, low), (80, high), (100, high)];
    assert_eq!(series(&rows, "eval/return"), evaluations);
    assert_eq!(series(&rows, "eval/human_normalised"), [(0, 1.25), (40, 1.25)]);
}

#[test]
fn a_run_resumed_in_its_second_task_goes_on_evaluating_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let set =
        |budget| [budget, "eval.every_frames=20", "eval.all_tasks=true", "eval.video_steps=3"];
    let uninterrupted = train(&whole, &set("run.budget_frames=80"));
    train(&parts, &set("run.budget_frames=60"));
    assert_eq!(train(&parts, &set("run.budget_frames=80")), uninterrupted);
    let film = |run: &Path| fs::read(run.join("media/eval-80.gif")).expect("a film");
    assert_eq!(film(&whole), film(&parts));
    for (index, (_, tag)) in TASKS.iter().enumerate() {
        let scores = series(&uninterrupted, &format!("eval/return/{tag}"));
        assert_eq!(scores.len(), 5, "at 0, 20, 40, 60 and 80");
        assert!(scores.iter().all(|(_, value)| *value == RETURNS[index]));
    }
}

#[test]
fn a_film_lies_in_the_run_directory_unless_none_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = |run: &str, steps| {
        let run = folder.path().join(run);
        train(&run, &["run.budget_frames=20", "eval.every_frames=0", steps]);
        let entries = fs::read_dir(run.join("media")).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("with", "eval.video_steps=2"), ["eval-0.gif", "eval-20.gif"]);
    assert!(names("without", "eval.video_steps=0").is_empty());
}

#[test]
fn what_cannot_be_filmed_is_measured_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let trained = |run: &str, blind| {
        let set = ["run.budget_frames=20", "eval.every_frames=0", "eval.video_steps=3", blind];
        train(&folder.path().join(run), &set)
    };
    assert_eq!(trained("blind", "env.blind=true"), trained("seen", "env.blind=false"));
    assert!(!folder.path().join("blind/media").exists());
}

#[test]
fn an_environment_that_panics_ends_the_run_in_order_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let set = [
        "run.budget_frames=100",
        "run.num_envs=2",
        "env.panics_at=17",
        "eval.before_training=false",
        "checkpoint.every_frames=20",
    ];
    let experiment = experiment(&set);
    let directory = run_directory(&path, &experiment);
    let runner = Runner::new(experiment, directory.clone(), Arc::default()).expect("a runner");
    let table = path.join("metrics.csv");
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(CsvSink::create(&table).expect("a table"))];
    let outputs = outputs(sinks);
    let failure = runner.train(outputs).expect_err("a broken cartridge");
    assert_eq!(failure.exit_code(), 1);
    let message = failure.to_string();
    for word in ["environment 0", TASKS[0].0, "a broken cartridge"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    let status = fs::read_to_string(path.join("status.json")).expect("a status");
    assert!(status.contains("\"failed\"") && status.contains("a broken cartridge"), "{status}");
    assert!(fs::read_to_string(table).expect("a table").contains("\n20,"), "logged before is kept");
    newest(&directory);
}

/// The newest checkpoint, which must be whole.
fn newest(directory: &RunDirectory) -> checkpoint::Loaded {
    let newest = checkpoint::read_newest(&directory.checkpoints()).expect("whole ones");
    assert!(newest.damaged.is_empty());
    newest.loaded.expect("a checkpoint")
}

fn outputs(sinks: Vec<Box<dyn Sink>>) -> Outputs {
    Outputs::new(sinks, None, Progress::quiet(), (0, &Position::default()))
}
