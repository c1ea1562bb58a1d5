//! Films of evaluation, as files and in runs.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::common::{
    metrics_without_time, newest_tensors, pliant, pliant_with_path, short_atari, short_mnist,
    succeeds,
};

/// Bytes of an Atari screen.
const SCREEN: usize = 160 * 210 * 3;

/// A trained agent on Pong, whose games are cut off at 500 frames.
fn pong(folder: &Path) {
    succeeds(folder, &short_atari("run", &["--set", "run.budget_frames=240"]));
}

/// Size, number of frames and hundredths of a second of a GIF file.
fn decoded(path: &Path) -> (u16, u16, usize, u64) {
    let file = fs::File::open(path).expect("a film");
    let mut decoder = gif::DecodeOptions::new().read_info(file).expect("a GIF");
    let (mut frames, mut time) = (0, 0);
    while let Some(frame) = decoder.read_next_frame().expect("a whole frame") {
        (frames, time) = (frames + 1, time + u64::from(frame.delay));
    }
    (decoder.width(), decoder.height(), frames, time)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_film_is_of_the_whole_first_game_in_its_time_and_changes_no_number() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    pong(folder);
    let eval = ["eval", "run", "--episodes", "2", "--seed", "5", "--epsilon", "0.5"];
    let film = ["--video", "out.gif"];
    let filmed = pliant(folder, &[&eval[..], &film].concat());
    assert_eq!((filmed.code, filmed.out), (Some(0), pliant(folder, &eval).out), "{}", filmed.err);
    let (width, height, _, time) = decoded(&folder.join("out.gif"));
    assert_eq!((width, height), (160, 210));
    // 500 frames of 1/60 s, of which at most 30 are no-ops.
    assert!((780..=834).contains(&time), "{time} hundredths of a second");
    succeeds(folder, &[&eval[..], &film, &["--video-steps", "30"]].concat());
    assert_eq!(decoded(&folder.join("out.gif")).3, 200, "30 steps at 15 a second");
    assert_eq!(names(folder), ["out.gif", "run"]);
}

#[test]
fn what_cannot_become_a_film_is_refused_before_evaluating() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    pong(folder);
    let refused = |film: &str, path: &str| {
        let ran = pliant_with_path(folder, &["eval", "run", "--video", film], path);
        assert_eq!(ran.code, Some(2), "{film}\n{}{}", ran.out, ran.err);
        ran.err
    };
    let message = refused("out.mp4", "");
    assert!(message.contains("ffmpeg") && message.contains(".gif"), "{message}");
    assert!(refused("out.avi", "").contains("ends in .gif or .mp4"));
    assert!(refused("no/out.gif", "").contains("there is no folder no"));
    assert!(refused("run", "").contains("ends in .gif or .mp4"));
    let alone = pliant(folder, &["eval", "run", "--video-steps", "3"]);
    assert_eq!(alone.code, Some(2));
    assert!(alone.err.contains("--video"), "{}", alone.err);
    assert_eq!(names(folder), ["run"]);
}

/// Puts a program called `ffmpeg` into `folder/bin` and returns a PATH on which it comes first.
fn with_ffmpeg(folder: &Path, script: &str) -> String {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("writable");
    fs::write(bin.join("ffmpeg"), script).expect("writable");
    fs::set_permissions(bin.join("ffmpeg"), fs::Permissions::from_mode(0o755)).expect("ours");
    format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"))
}

#[test]
fn an_mp4_is_what_ffmpeg_makes_of_the_pictures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    pong(folder);
    let recorder = "#!/bin/sh\nprintf '%s ' \"$@\" > \"$0.arguments\"\ncat > \"$0.pixels\"\n\
                    for last; do :; done\necho film > \"$last\"\n";
    let path = with_ffmpeg(folder, recorder);
    let eval = ["eval", "run", "--episodes", "1", "--video-steps", "9", "--video", "out.mp4"];
    let ran = pliant_with_path(folder, &eval, &path);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(fs::read(folder.join("out.mp4")).expect("a film"), b"film\n");
    assert_eq!(fs::read(folder.join("bin/ffmpeg.pixels")).expect("pixels").len(), 9 * SCREEN);
    let arguments = fs::read_to_string(folder.join("bin/ffmpeg.arguments")).expect("arguments");
    for expected in ["-f rawvideo", "rgb24", "160x210", "-framerate 60/4", "libx264", "yuv420p"] {
        assert!(arguments.contains(expected), "{expected}: {arguments}");
    }
    assert_eq!(names(folder), ["bin", "out.mp4", "run"]);
}

#[test]
fn a_failing_ffmpeg_is_one_clear_error_that_costs_no_number_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    pong(folder);
    fs::write(folder.join("out.mp4"), "an older film").expect("writable");
    let early = "#!/bin/sh\necho \"Unknown encoder 'libx264'\" >&2\nexit 1\n";
    let late = "#!/bin/sh\ncat > /dev/null\necho 'No space left on device' >&2\nexit 1\n";
    let unfilmed = ["eval", "run", "--episodes", "1"];
    let eval = [&unfilmed[..], &["--video", "out.mp4"]].concat();
    let numbers = pliant(folder, &unfilmed).out;
    for (script, words) in [(early, "Unknown encoder"), (late, "No space left")] {
        let path = with_ffmpeg(folder, script);
        let ran = pliant_with_path(folder, &eval, &path);
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
        assert_eq!(ran.out, numbers);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert!(ran.err.contains("ffmpeg") && ran.err.contains(words), "{}", ran.err);
        assert_eq!(fs::read(folder.join("out.mp4")).expect("kept"), b"an older film");
        assert_eq!(names(folder), ["bin", "out.mp4", "run"]);
    }
}

#[test]
fn films_change_no_number_of_a_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Random actions, so that one draw too many would be seen.
    let random = ["--set", "eval.epsilon=0.5"];
    let none = ["--set", "eval.video_steps=0"];
    succeeds(folder.path(), &short_mnist("with", &random));
    succeeds(folder.path(), &short_mnist("without", &[random, none].concat()));
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    assert_eq!(metrics_without_time(&with), metrics_without_time(&without));
    assert!(newest_tensors(&with) == newest_tensors(&without), "the parameters differ");
    assert_eq!(names(&with.join("media")), ["eval-0.gif", "eval-1600.gif", "eval-800.gif"]);
    assert!(!without.join("media").exists());
    for film in names(&with.join("media")) {
        let film = fs::read(with.join("media").join(film)).expect("a film");
        assert!(events(&with).windows(film.len()).any(|bytes| bytes == film), "in TensorBoard");
    }
}

/// The bytes of a run's TensorBoard event file.
fn events(run: &Path) -> Vec<u8> {
    let names = names(run);
    let file = names.iter().find(|name| name.contains("tfevents")).expect("an event file");
    fs::read(run.join(file)).expect("readable")
}

#[test]
fn a_run_with_evaluations_and_films_resumed_at_half_equals_one_that_never_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let set = [
        ["--set", "eval.every_frames=600"],
        ["--set", "eval.frames=600"],
        ["--set", "eval.num_envs=2"],
        ["--set", "eval.video_steps=40"],
        ["--set", "eval.after_training=true"],
    ]
    .concat();
    let half = [&set[..], &["--set", "run.budget_frames=1200"]].concat();
    succeeds(folder.path(), &short_atari("whole", &set));
    succeeds(folder.path(), &short_atari("parts", &half));
    succeeds(folder.path(), &["resume", "parts", "--set", "run.budget_frames=2400"]);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let metrics = metrics_without_time(&whole);
    assert_eq!(metrics, metrics_without_time(&parts));
    assert_eq!(metrics.matches("eval/return").count(), 4, "{metrics}");
    assert!(newest_tensors(&whole) == newest_tensors(&parts), "the parameters differ");
    let films = names(&whole.join("media"));
    assert_eq!((films.len(), &films), (4, &names(&parts.join("media"))));
    for film in &films {
        let bytes = |run: &Path| fs::read(run.join("media").join(film)).expect("a film");
        assert!(bytes(&whole) == bytes(&parts), "{film} differs");
        assert_eq!(decoded(&whole.join("media").join(film)).3, 267, "40 steps at 15 a second");
    }
}
