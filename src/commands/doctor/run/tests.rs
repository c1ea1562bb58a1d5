use pliant_core::clock::Clock;

use super::*;
use crate::{
    commands::doctor::finding::Verdict,
    fakes::{experiment, run_directory},
    run_dir::unix_seconds,
};

/// A run directory with this status.
fn run_at(folder: &Path, state: State, updated_unix_s: u64) -> RunDirectory {
    let run = run_directory(&folder.join("run"), &experiment(&[]));
    let clock = Clock { frames: 7, ..Clock::default() };
    let error = (state == State::Failed).then(|| "the disk is full".to_owned());
    let status = Status { state, clock, updated_unix_s, error, ..Status::default() };
    run.write_status(&status).expect("writable");
    run
}

#[test]
fn a_run_that_says_running_and_is_held_by_nobody_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run_at(folder.path(), State::Running, unix_seconds());
    let lock = run.lock().expect("nobody holds it");
    assert!(run.is_held());
    assert_eq!(status(&run, run.is_held()).verdict, Verdict::Ok);
    drop(lock);
    let finding = status(&run, run.is_held());
    assert!(finding.has_failed() && finding.text.contains("pliant resume"), "{}", finding.text);
}

#[test]
fn how_a_run_ended_is_said() {
    let at = |state| {
        let folder = tempfile::tempdir().expect("a folder");
        status(&run_at(folder.path(), state, unix_seconds()), false)
    };
    assert_eq!(at(State::Finished).verdict, Verdict::Ok);
    assert_eq!(at(State::Stopped).verdict, Verdict::Note);
    let failed = at(State::Failed);
    assert!(failed.has_failed() && failed.text.contains("the disk is full"), "{}", failed.text);
}

#[test]
fn a_run_from_the_future_says_that_the_clock_was_set_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run_at(folder.path(), State::Stopped, unix_seconds());
    let now = SystemTime::now();
    assert_eq!(clock(&run, now).verdict, Verdict::Ok);
    assert!(clock(&run, now - Duration::from_secs(3600)).has_failed(), "by its files");
    let run = run_at(&folder.path().join("other"), State::Stopped, unix_seconds() + 3600);
    let finding = clock(&run, now);
    assert!(finding.has_failed() && finding.text.contains("set back"), "by its status");
}

#[test]
fn pictures_that_are_cut_off_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let png = b"\x89PNG\r\n\x1a\n..IEND\xae\x42\x60\x82";
    for (name, whole) in
        [("a.png", &png[..]), ("a.gif", b"GIF89a;"), ("a.svg", b"<svg></svg>\n"), ("a.txt", b"x")]
    {
        let path = folder.path().join(name);
        fs::write(&path, whole).expect("writable");
        assert!(is_whole_picture(&path), "{name}");
        fs::write(&path, &whole[..whole.len() / 2]).expect("writable");
        assert!(!is_whole_picture(&path), "{name}");
    }
}

#[test]
fn a_disk_without_room_for_the_next_checkpoint_fails() {
    assert_eq!(enough(8, 8).verdict, Verdict::Ok);
    let finding = enough(9, 8);
    assert!(finding.has_failed() && finding.text.contains("checkpoint.keep"), "{}", finding.text);
}
