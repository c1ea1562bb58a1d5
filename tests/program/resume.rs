//! Stopping and going on.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    has_state, metrics_without_time, newest_tensors, pliant, short_atari, short_mnist, signal,
    started, started_by, succeeds, wait_until,
};

#[test]
fn a_run_resumed_at_half_its_budget_equals_one_that_never_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compared = ["--set", "eval.before_training=true"];
    let half = [&compared[..], &["--set", "run.budget_frames=1200"]].concat();
    let said = pliant(folder.path(), &short_atari("whole", &compared)).out;
    succeeds(folder.path(), &short_atari("parts", &half));
    let resumed = ["resume", "parts", "--set", "run.budget_frames=2400"];
    let said_resumed = pliant(folder.path(), &resumed).out;
    assert_eq!(table(&said), table(&said_resumed), "what is compared at the end");
    assert!(table(&said).len() > 5, "{said}");
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    assert!(newest_tensors(&whole) == newest_tensors(&parts), "the parameters differ");
    assert_eq!(metrics_without_time(&whole), metrics_without_time(&parts));
    let text = fs::read_to_string(parts.join("provenance.json")).expect("written");
    assert_eq!(text.matches("\"libtorch\"").count(), 2, "both sessions are on record:\n{text}");
}

/// The lines of the table that a run ends with.
fn table(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with(['│', '╞', '┌', '└'])).collect()
}

#[test]
fn a_run_that_another_process_holds_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("run", &["--set", "run.budget_frames=240"]));
    let held = fs::File::create(folder.path().join("run/.lock")).expect("writable");
    held.lock().expect("no one else holds it");
    let args = ["resume", "run", "--set", "run.budget_frames=480"];
    let ran = pliant(folder.path(), &args);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("another process"), "{}", ran.err);
    drop(held);
    succeeds(folder.path(), &args);
}

#[test]
fn a_finished_run_and_a_folder_that_is_no_run_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("done", &["--set", "run.budget_frames=240"]));
    let ran = pliant(folder.path(), &["resume", "done"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("budget of 240 frames"), "{}", ran.err);
    let ran = pliant(folder.path(), &["resume", "nothing"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("does not exist"), "{}", ran.err);
}

/// The saved games would go on in their old mode, whatever the configuration said.
#[test]
fn what_the_saved_state_belongs_to_cannot_change() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("run", &["--set", "run.budget_frames=240"]));
    let config = fs::read(folder.path().join("run/config.toml")).expect("written");
    for setting in [
        "env.mode=1",
        "env.screen_size=44",
        "env.game=breakout",
        "network.width=1.0",
        "run.seed=9",
        "run.num_envs=2",
        "env.kind=classification",
    ] {
        let args = ["resume", "run", "--set", "run.budget_frames=480", "--set", setting];
        let ran = pliant(folder.path(), &args);
        assert_eq!(ran.code, Some(2), "{setting}: {}{}", ran.out, ran.err);
        let key = setting.split('=').next().expect("a key");
        let says = ran.err.contains(&format!("{key} cannot change"));
        assert!(says, "{setting}: {}", ran.err);
    }
    assert_eq!(fs::read(folder.path().join("run/config.toml")).expect("still there"), config);
    let changes =
        ["resume", "run", "--set", "run.budget_frames=480", "--set", "log.every_frames=60"];
    succeeds(folder.path(), &changes);
}

/// Sweeps start runs of one name and seed within a second.
#[test]
fn runs_that_begin_in_the_same_second_get_folders_of_their_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args: Vec<&str> = short_atari("unused", &["--set", "run.budget_frames=60"]);
    let without_out: Vec<&str> =
        args.into_iter().filter(|word| !["--out", "unused"].contains(word)).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| succeeds(folder.path(), &without_out));
        }
    });
    let runs = fs::read_dir(folder.path().join("runs")).expect("runs were made").count();
    assert_eq!(runs, 3);
}

#[test]
fn a_damaged_checkpoint_is_one_clear_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_atari("run", &["--set", "run.budget_frames=600"]));
    let checkpoints = folder.path().join("run/checkpoints");
    for entry in fs::read_dir(checkpoints).expect("a run writes checkpoints").flatten() {
        for name in ["replay.zst", "tensors.safetensors", "envs.zst", "state.json"] {
            let path = entry.path().join(name);
            let Ok(bytes) = fs::read(&path) else { continue };
            fs::write(&path, &bytes[..bytes.len() * 2 / 3]).expect("writable");
            let args = ["resume", "run", "--set", "run.budget_frames=1200"];
            let ran = pliant(folder.path(), &args);
            assert_eq!(ran.code, Some(2), "{name}: {}{}", ran.out, ran.err);
            assert!(ran.err.starts_with("error: checkpoint"), "{name}: {}", ran.err);
            fs::write(&path, &bytes).expect("writable");
        }
    }
}

#[test]
fn a_budget_below_what_a_run_has_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("run", &[]));
    let config = folder.path().join("run/config.toml");
    let before = fs::read(&config).expect("written");
    let ran = pliant(folder.path(), &["resume", "run", "--set", "run.budget_frames=1000"]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("has 1600 frames already"), "{}", ran.err);
    assert!(before == fs::read(&config).expect("there"));
}

#[test]
fn a_run_with_none_but_damaged_checkpoints_does_not_begin_again_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("run", &[]));
    let checkpoints = folder.path().join("run/checkpoints");
    for entry in fs::read_dir(&checkpoints).expect("a run writes checkpoints").flatten() {
        let mut aside = entry.path().into_os_string();
        aside.push(".damaged");
        fs::rename(entry.path(), aside).expect("renamed");
    }
    let more = ["resume", "run", "--set", "run.budget_frames=2000"];
    let ran = pliant(folder.path(), &more);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("no checkpoint but damaged ones"), "{}", ran.err);
    let doctor = pliant(folder.path(), &["doctor", "run"]);
    assert!(doctor.out.contains("damaged and set aside"), "{}", doctor.out);
    fs::remove_dir_all(&checkpoints).expect("removed");
    let ran = pliant(folder.path(), &more);
    assert!(ran.code == Some(0) && ran.err.contains("begins again"), "{}", ran.err);
}

#[test]
fn interventions_go_on_as_they_began_but_for_their_settings_and_the_former_ones_are_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with = ["--with", "hl_gauss:min=-10,max=10", "--with", "redo:tau=0.5,every_updates=10"];
    let half = [&with[..], &["--set", "run.budget_frames=800"]].concat();
    succeeds(folder.path(), &short_mnist("run", &half));
    let resume = |interventions: &str| {
        let set = format!("interventions=[{interventions}]");
        pliant(folder.path(), &["resume", "run", "--set", "run.budget_frames=1200", "--set", &set])
    };
    let redo = "{kind=\"redo\", tau=0.125, every_updates=10}";
    for (other, word) in [
        (format!("{{kind=\"hl_gauss\", min=-1, max=1}}, {redo}"), "part of the network"),
        (redo.to_owned(), "hl_gauss, redo"),
        (format!("{redo}, {{kind=\"hl_gauss\"}}"), "hl_gauss, redo"),
    ] {
        let ran = resume(&other);
        assert_eq!(ran.code, Some(2), "{other}\n{}", ran.err);
        assert!(ran.err.contains(word), "{}", ran.err);
    }
    let ran = resume(&format!("{{kind=\"hl_gauss\"}}, {redo}"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let read = |name: &str| fs::read_to_string(folder.path().join("run").join(name)).expect(name);
    assert!(read("config.toml").contains("tau = 0.125"));
    assert!(read("config-until-150.toml").contains("tau = 0.5"));
    let acted = read("metrics.csv").lines().filter(|line| line.contains(",redo/acted,")).count();
    assert_eq!(acted, 25, "every ten of 250 updates");
    // From the same update once more, as a run that failed would: the first ones stay.
    let config = read("config.toml");
    fs::write(folder.path().join("run/config-until-250.toml"), "other").expect("writable");
    let more = ["resume", "run", "--set", "run.budget_frames=1300", "--set", "log.every_frames=50"];
    succeeds(folder.path(), &more);
    assert_eq!(read("config-until-250.toml"), "other");
    assert_eq!(read("config-until-250-2.toml"), config);
}

#[test]
fn a_run_goes_on_with_probes_that_it_did_not_have() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = ["--probe", "units:batch_size=64,every_updates=100"];
    succeeds(folder.path(), &short_mnist("run", &own));
    let probes =
        "probes=[{kind=\"units\",batch_size=64,every_updates=100},{kind=\"norms\",batch_size=64}]";
    let more = ["resume", "run", "--set", "run.budget_frames=2400", "--set", probes];
    succeeds(folder.path(), &more);
    let metrics = metrics_without_time(&folder.path().join("run"));
    let frames = |tag: &str| -> Vec<u64> {
        let rows = metrics.lines().filter(|row| row.contains(&format!(",{tag},")));
        rows.filter_map(|row| row.split(',').next()?.parse().ok()).collect()
    };
    let (units, norms) = (frames("units/dead"), frames("norms/q_max"));
    assert!(units.len() == 6 && units.is_sorted() && norms == [1600], "{units:?} {norms:?}");
}

#[test]
fn schedulers_signals_stop_in_order_and_may_come_twice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    for name in ["TERM", "HUP", "USR1", "USR2", "XCPU"] {
        let long = ["--set", "run.budget_frames=10_000_000"];
        let mut child = started(folder.path(), &short_mnist("run", &long));
        wait_until("a run under way", || has_state(&run, "running"));
        signal(&child, name);
        signal(&child, name);
        wait_until("an end in order", || has_state(&run, "stopped"));
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{name}");
        fs::remove_dir_all(&run).expect("a run");
    }
}

/// Some of libtorch's kernels keep numbers below the end of their stack, where a signal that interrupts them writes.
#[test]
fn signals_do_not_interrupt_what_computes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("calm", &[]));
    let mut child = started(folder.path(), &short_mnist("run", &[]));
    let run = folder.path().join("run");
    wait_until("a run under way", || has_state(&run, "running"));
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    let ended = loop {
        // Has a handler and stops nothing.
        kill_process(id, Signal::XFSZ).expect("a process of ours");
        std::thread::sleep(Duration::from_micros(300));
        if let Some(ended) = child.try_wait().expect("a child") {
            break ended;
        }
    };
    assert!(ended.success(), "{ended}");
    let calm = folder.path().join("calm");
    assert!(newest_tensors(&calm) == newest_tensors(&run), "not the same numbers");
}

#[test]
fn a_run_under_nohup_goes_on_when_the_terminal_is_closed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let args = short_mnist("run", &[]);
    let mut child = started_by(&["--ignore-signal=HUP"], folder.path(), &args);
    wait_until("a run under way", || has_state(&run, "running"));
    signal(&child, "HUP");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(has_state(&run, "finished"));
}

#[test]
fn a_program_that_computes_starts_anew_with_threads_that_sleep() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = ["--set", "run.budget_frames=10_000_000"];
    let mut child = started(folder.path(), &short_mnist("run", &long));
    let run = folder.path().join("run");
    wait_until("a run under way", || has_state(&run, "running"));
    let environment = fs::read(format!("/proc/{}/environ", child.id())).expect("its own user's");
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
    assert!(variables.contains(&b"GOMP_SPINCOUNT=1000".as_slice()));
}

#[test]
fn a_file_in_the_place_of_a_run_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("my.toml"), "").expect("writable");
    for (name, what) in [("my.toml", "is a file"), ("none", "does not exist")] {
        let ran = pliant(folder.path(), &["resume", name]);
        assert_eq!(ran.code, Some(2), "{}", ran.out);
        assert!(ran.err.contains(what), "{}", ran.err);
    }
}
