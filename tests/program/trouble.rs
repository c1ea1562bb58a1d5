//! What may go wrong around a run: nothing that was saved is lost, and what goes on goes on exactly.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{
    Ran, has_state, metrics_without_time, newest_tensors, pliant, short_atari, short_mnist, signal,
    started, succeeds, wait_until,
};

/// The checkpoints' names.
fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The newest checkpoint's folder.
fn newest(run: &Path) -> PathBuf {
    let numbers = checkpoints(run).into_iter().filter_map(|name| name.parse::<u64>().ok());
    run.join("checkpoints").join(numbers.max().expect("a checkpoint").to_string())
}

fn assert_equal(a: &Path, b: &Path) {
    assert!(newest_tensors(a) == newest_tensors(b), "the parameters differ");
    assert_eq!(metrics_without_time(a), metrics_without_time(b));
}

/// Runs the program with a limit on the size of what it writes, in blocks of 1024 bytes.
fn limited(folder: &Path, blocks: u32, args: &[&str]) -> Ran {
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_pliant")]).args(args).current_dir(folder);
    let output = command.output().expect("bash starts");
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What is said goes to a full disk, or to nobody.
#[test]
fn a_run_whose_words_cannot_be_written_is_made_all_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (out, place) in [("full", ">/dev/full 2>/dev/full"), ("closed", ">&- 2>&-")] {
        let script = format!("\"$0\" \"$@\" {place}");
        let mut command = Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_pliant")]);
        // A budget that a reset comes too late for: a warning.
        let args = short_mnist(out, &["--with", "reset_full"]);
        let status = command.args(args).current_dir(folder.path()).status().expect("bash starts");
        assert_eq!(status.code(), Some(0), "{place}");
        assert!(has_state(&folder.path().join(out), "finished"));
    }
}

#[test]
fn files_that_cannot_grow_stop_a_run_in_order_and_it_goes_on_where_they_can() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let budget = ["--set", "checkpoint.keep=3"];
    succeeds(folder.path(), &short_mnist("whole", &budget));
    // The table of metrics is a few kilobytes, the tensors some hundred.
    let ran = limited(folder.path(), 64, &short_mnist("run", &budget));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("error: cannot write checkpoint"), "{}", ran.err);
    assert!(has_state(&run, "failed"));
    assert_eq!(checkpoints(&run), [""; 0], "half a checkpoint takes no space");
    succeeds(folder.path(), &["resume", "run"]);
    assert_equal(&whole, &run);
}

#[test]
fn event_files_that_cannot_be_written_stop_a_run_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let probe =
        ["--set", "checkpoint.every_frames=0", "--probe", "norms:every_updates=2,batch_size=32"];
    succeeds(folder.path(), &short_mnist("whole", &probe));
    let small = [&probe[..], &["--set", "log.csv=false"]].concat();
    let ran = limited(folder.path(), 32, &short_mnist("run", &small));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("events.out.tfevents"), "{}", ran.err);
    assert!(has_state(&run, "failed"));
    succeeds(folder.path(), &["resume", "run", "--set", "log.csv=true"]);
    assert_equal(&whole, &run);
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_run_and_keeps_the_last_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    succeeds(folder.path(), &short_mnist("whole", &["--set", "checkpoint.every_frames=400"]));
    let half = ["--set", "checkpoint.every_frames=400", "--set", "run.budget_frames=800"];
    succeeds(folder.path(), &short_mnist("run", &half));
    // In the place where the next checkpoint would be written.
    let kept = checkpoints(&run);
    let in_the_way = run.join("checkpoints/.250.new");
    fs::write(&in_the_way, "").expect("writable");
    let resume = ["resume", "run", "--set", "run.budget_frames=1600"];
    let ran = pliant(folder.path(), &resume);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("cannot write checkpoint"), "{}", ran.err);
    assert!(kept.iter().all(|name| checkpoints(&run).contains(name)));
    fs::remove_file(in_the_way).expect("there");
    succeeds(folder.path(), &resume);
    assert_equal(&whole, &run);
}

#[test]
fn a_run_directory_that_goes_away_ends_the_run_and_does_not_come_back_in_part() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let long = ["--set", "run.budget_frames=1000000", "--set", "eval.every_frames=0"];
    let mut child = started(folder.path(), &short_mnist("run", &long));
    wait_until("a checkpoint", || !checkpoints(&run).is_empty());
    fs::rename(&run, folder.path().join("elsewhere")).expect("writable");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(1));
    assert!(!run.exists());
}

#[test]
fn a_damaged_newest_checkpoint_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let half = ["--set", "run.budget_frames=800", "--set", "checkpoint.every_frames=400"];
    succeeds(folder.path(), &short_mnist("run", &half));
    let damaged = newest(&run);
    let path = damaged.join("tensors.safetensors");
    let mut bytes = fs::read(&path).expect("written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    let ran = pliant(folder.path(), &["eval", "run"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("checksum") && ran.err.contains("the one before"), "{}", ran.err);
    let ran = pliant(folder.path(), &["resume", "run", "--set", "run.budget_frames=1200"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    for words in ["tensors.safetensors: its checksum", ".damaged", "without its replay"] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    let name = damaged.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(checkpoints(&run).contains(&format!("{name}.damaged")), "nothing is thrown away");
    let rows = metrics_without_time(&run);
    let frames = rows.lines().skip(1).map(|row| row.split(',').next().expect("frames"));
    let frames: Vec<u64> = frames.map(|frames| frames.parse().expect("a number")).collect();
    assert!(frames.is_sorted() && frames.last() == Some(&1200), "{frames:?}");
}

#[test]
fn a_run_killed_before_its_first_checkpoint_begins_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let extra = ["--set", "checkpoint.every_frames=0", "--set", "run.budget_frames=3000"];
    succeeds(folder.path(), &short_mnist("whole", &extra));
    let mut child = started(folder.path(), &short_mnist("run", &extra));
    let rows = || fs::read_to_string(run.join("metrics.csv")).unwrap_or_default();
    wait_until("a row of training", || rows().contains("train/loss"));
    child.kill().and_then(|()| child.wait()).expect("it ends");
    let ran = pliant(folder.path(), &["resume", "run"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("it begins again"), "{}", ran.err);
    assert_equal(&whole, &run);
}

#[test]
fn a_run_stopped_in_its_first_evaluation_begins_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let extra = ["--set", "run.budget_frames=400", "--set", "eval.steps=30000"];
    succeeds(folder.path(), &short_mnist("whole", &extra));
    let mut child = started(folder.path(), &short_mnist("run", &extra));
    wait_until("a run under way", || has_state(&run, "running"));
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(has_state(&run, "stopped") && checkpoints(&run).is_empty());
    succeeds(folder.path(), &["resume", "run"]);
    assert_equal(&whole, &run);
}

#[test]
fn a_run_stopped_in_its_last_evaluation_makes_it_when_it_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let extra = ["--set", "eval.every_frames=0", "--set", "eval.steps=60000"];
    let extra = [&extra[..], &["--set", "eval.before_training=false"]].concat();
    succeeds(folder.path(), &short_mnist("whole", &extra));
    for (how, state) in [("TERM", "stopped"), ("KILL", "running")] {
        let _none = fs::remove_dir_all(&run);
        let mut child = started(folder.path(), &short_mnist("run", &extra));
        wait_until("the last checkpoint", || checkpoints(&run).contains(&"350".to_owned()));
        signal(&child, how);
        child.wait().expect("it ends");
        assert!(has_state(&run, state), "{how}");
        assert!(!metrics_without_time(&run).contains("eval/"), "{how} came too late");
        succeeds(folder.path(), &["resume", "run"]);
        assert!(has_state(&run, "finished"), "{how}");
        assert_equal(&whole, &run);
        let ran = pliant(folder.path(), &["resume", "run"]);
        assert_eq!(ran.code, Some(2), "nothing is left to do: {}", ran.err);
    }
}

/// The log and a probe come due in the same step; all rows stand where they would.
#[test]
fn an_evaluation_that_a_stop_cuts_short_is_made_when_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let extra = ["--set", "eval.steps=60000", "--set", "eval.before_training=false"];
    let extra = [&extra[..], &["--probe", "units:batch_size=32,every_updates=50"]].concat();
    succeeds(folder.path(), &short_mnist("whole", &extra));
    let mut child = started(folder.path(), &short_mnist("run", &extra));
    let rows = || fs::read_to_string(run.join("metrics.csv")).unwrap_or_default();
    wait_until("the log of the step that evaluates", || rows().contains("\n800,800,"));
    signal(&child, "TERM");
    child.wait().expect("it ends");
    assert!(!rows().contains("eval/"), "the signal came too late");
    succeeds(folder.path(), &["resume", "run"]);
    assert_equal(&whole, &run);
    assert!(rows().contains(",eval/accuracy,"));
}

#[test]
fn a_finished_run_that_was_killed_before_it_could_say_so_measures_its_end_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    succeeds(folder.path(), &short_mnist("whole", &[]));
    succeeds(folder.path(), &short_mnist("run", &[]));
    let status = fs::read_to_string(run.join("status.json")).expect("written");
    fs::write(run.join("status.json"), status.replace("finished", "running")).expect("writable");
    succeeds(folder.path(), &["resume", "run"]);
    assert_equal(&whole, &run);
}

#[test]
fn checkpoints_by_the_clock_change_no_number() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (none, many) = (folder.path().join("none"), folder.path().join("many"));
    let never = ["--set", "checkpoint.every_frames=0", "--set", "checkpoint.keep=1000"];
    succeeds(folder.path(), &short_atari("none", &never));
    let often = [&never[..], &["--set", "checkpoint.every_minutes=0.0005"]].concat();
    succeeds(folder.path(), &short_atari("many", &often));
    assert_eq!(checkpoints(&none).len(), 1);
    assert!(checkpoints(&many).len() > 3, "{:?}", checkpoints(&many));
    assert_equal(&none, &many);
}

#[test]
fn a_run_that_goes_on_on_other_threads_says_that_its_numbers_differ() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("run", &["--set", "run.budget_frames=400"]));
    let more = ["--set", "run.budget_frames=600", "--set", "run.threads=2"];
    let ran = pliant(folder.path(), &[&["resume", "run"], &more[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("threads 2 instead of 1"), "{}", ran.err);
}

#[test]
fn of_two_runs_that_begin_in_one_folder_one_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = short_mnist("run", &[]);
    let ran = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| pliant(folder.path(), &args)));
        both.map(|thread| thread.join().expect("no panic"))
    });
    let mut codes = ran.each_ref().map(|ran| ran.code.expect("an exit"));
    codes.sort_unstable();
    assert_eq!(codes, [0, 2], "{}{}", ran[0].err, ran[1].err);
    assert!(has_state(&folder.path().join("run"), "finished"));
}

#[test]
fn a_folder_left_by_a_run_that_was_killed_before_it_began_can_be_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    fs::create_dir(&run).expect("writable");
    for name in [".lock", ".config.toml.new"] {
        fs::write(run.join(name), "half").expect("writable");
    }
    succeeds(folder.path(), &short_mnist("run", &["--set", "run.budget_frames=400"]));
}
