//! Measuring stored checkpoints with other probes.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::common::{pliant, short_mnist, signal, started, succeeds, wait_until};

fn run_with_checkpoints(folder: &Path, extra: &[&str]) {
    let set = ["--set", "checkpoint.every_frames=400", "--set", "checkpoint.keep=9"];
    succeeds(folder, &short_mnist("run", &[&set[..], extra].concat()));
}

#[test]
fn every_checkpoint_is_measured_in_order_and_as_the_run_did_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = ["--probe", "rank:batch_size=64,every_updates=50"];
    run_with_checkpoints(folder.path(), &own);
    let args = ["probe", "run", "--probe", "rank:batch_size=64", "--probe", "norms", "--json"];
    let ran = pliant(folder.path(), &args);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let updates: Vec<u64> = lines.iter().filter_map(|line| line["updates"].as_u64()).collect();
    assert!(updates.len() >= 4 && updates.is_sorted(), "{updates:?}");
    // Ranks of weights do not depend on what was drawn: the run's own are the same.
    let metrics = fs::read_to_string(folder.path().join("run/metrics.csv")).expect("written");
    let tag = "rank/weight_stable/dense2";
    let mut compared = 0;
    for line in &lines {
        let at = format!(",{},", line["updates"]);
        let own = metrics.lines().find(|row| row.contains(&at) && row.contains(tag));
        if let Some(own) = own.and_then(|row| row.rsplit(',').next()?.parse::<f64>().ok()) {
            assert_eq!(line["metrics"][tag].as_f64(), Some(own), "{at}");
            compared += 1;
        }
    }
    assert!(compared >= 2, "{compared} of {updates:?}\n{metrics}");
    let table = pliant(folder.path(), &args[..args.len() - 1]);
    assert_eq!(table.code, Some(0), "{}", table.err);
    assert!(table.out.contains("rank/srank") && !table.out.contains(tag), "{}", table.out);
    assert_eq!(fs::read_to_string(folder.path().join("run/metrics.csv")).expect("there"), metrics);
}

#[test]
fn transitions_can_come_from_a_file_and_bad_ones_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_with_checkpoints(folder.path(), &["--set", "checkpoint.replay=false"]);
    let probe = |data: &[&str]| {
        let args = [&["probe", "run", "--probe", "units:batch_size=4"], data].concat();
        pliant(folder.path(), &args)
    };
    let none = probe(&[]);
    assert_eq!(none.code, Some(2), "{}", none.out);
    assert!(none.err.contains("--data FILE"), "{}", none.err);
    let pictures = tch::Tensor::full([8, 1, 28, 28], 7, (tch::Kind::Uint8, tch::Device::Cpu));
    let numbers = tch::Tensor::ones([8], (tch::Kind::Float, tch::Device::Cpu));
    let actions = tch::Tensor::zeros([8], (tch::Kind::Int64, tch::Device::Cpu));
    let write = |name: &str, actions: &tch::Tensor| {
        let tensors = [
            ("s_tm1", &pictures),
            ("s_t", &pictures),
            ("a_tm1", actions),
            ("r_t", &numbers),
            ("discount_t", &numbers),
        ];
        tch::Tensor::write_safetensors(&tensors, folder.path().join(name)).expect("written");
    };
    write("good", &actions);
    let good = probe(&["--data", "good"]);
    assert_eq!(good.code, Some(0), "{}", good.err);
    write("floats", &numbers);
    write("short", &actions.narrow(0, 0, 7));
    fs::write(folder.path().join("text"), "no tensors").expect("written");
    for (file, word) in
        [("floats", "`a_tm1`"), ("short", "length"), ("text", "text"), ("none", "none")]
    {
        let ran = probe(&["--data", file]);
        assert_eq!(ran.code, Some(2), "{file}: {}", ran.out);
        assert!(ran.err.contains(word) && !ran.err.contains("panicked"), "{file}: {}", ran.err);
    }
}

#[test]
fn transitions_that_do_not_fit_the_network_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_with_checkpoints(folder.path(), &["--set", "checkpoint.replay=false"]);
    let pictures = |height, width| {
        tch::Tensor::full([8, 1, height, width], 7, (tch::Kind::Uint8, tch::Device::Cpu))
    };
    let numbers = || tch::Tensor::ones([8], (tch::Kind::Float, tch::Device::Cpu));
    let actions = || tch::Tensor::zeros([8], (tch::Kind::Int64, tch::Device::Cpu));
    let with = |tensor: tch::Tensor, value: f64| {
        let _ = tensor.get(3).fill_(value);
        tensor
    };
    let cases = [
        ("s_tm1", pictures(28, 27), "[1, 28, 27]"),
        ("s_t", pictures(29, 28), "[1, 29, 28]"),
        ("a_tm1", with(actions(), 10.0), "is 10, expected 0 to 9"),
        ("a_tm1", with(actions(), -1.0), "is -1, expected 0 to 9"),
        ("r_t", with(numbers(), f64::NAN), "NaN"),
        ("discount_t", with(numbers(), f64::INFINITY), "inf"),
    ];
    for (bad, tensor, word) in cases {
        let mut tensors = vec![
            ("s_tm1", pictures(28, 28)),
            ("s_t", pictures(28, 28)),
            ("a_tm1", actions()),
            ("r_t", numbers()),
            ("discount_t", numbers()),
        ];
        tensors.retain(|(name, _)| *name != bad);
        tensors.push((bad, tensor));
        let path = folder.path().join("data");
        tch::Tensor::write_safetensors(&tensors, path).expect("written");
        let args = ["probe", "run", "--probe", "norms:batch_size=8", "--data", "data"];
        let ran = pliant(folder.path(), &args);
        assert_eq!(ran.code, Some(2), "{bad}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(&format!("`{bad}`")) && ran.err.contains(word), "{}", ran.err);
        assert!(!ran.err.contains("panicked"), "{bad}: {}", ran.err);
    }
}

#[test]
fn a_probe_that_cannot_measure_here_is_refused_before_the_first_frame() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["train", "atari_cpu", "--out", "run", "--device", "cpu", "--probe", "q_error"];
    let ran = pliant(folder.path(), &args);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("probes[0]") && ran.err.contains("classification"), "{}", ran.err);
    assert!(!folder.path().join("run").exists());
    let kron = ["--set", "agent.optimizer.kind=kron", "--probe", "sharpness"];
    let ran = pliant(folder.path(), &short_mnist("run", &kron));
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("`kron`"), "{}", ran.err);
}

/// The values of a tag in a file of metrics, in order.
fn series(path: &Path, tag: &str) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let of_tag = |row: &str| row.rsplit_once(&format!(",{tag},"))?.1.parse().ok();
    text.lines().filter_map(of_tag).collect()
}

/// The names of a run's event files that hold what `pliant probe` measured.
fn reprobed_event_files(run: &Path) -> Vec<String> {
    let names = fs::read_dir(run).expect("a run").filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.starts_with("events").then_some(name)?.rsplit_once(".reprobe-").map(|x| x.1.to_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_later_call_takes_the_place_of_what_an_earlier_one_measured_with_the_same_probe() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_with_checkpoints(folder.path(), &["--probe", "units:batch_size=64"]);
    let run = folder.path().join("run");
    let none = pliant(folder.path(), &["probe", "run"]);
    assert_eq!(none.code, Some(0), "the run's own probes: {}", none.err);
    let units = run.join("reprobe/units.csv");
    let first = series(&units, "reprobe/units/dead/dense1");
    assert!(first.len() >= 4, "{first:?}");
    let other = ["--probe", "rank:batch_size=64", "--probe", "rank:batch_size=32", "--seed", "3"];
    succeeds(folder.path(), &[&["probe", "run"], &other[..]].concat());
    assert_eq!(series(&units, "reprobe/units/dead/dense1"), first);
    let second = series(&run.join("reprobe/rank_2.csv"), "reprobe/rank_2/weight_srank/dense1");
    assert_eq!(second.len(), first.len());
    let again = ["probe", "run", "--probe", "units:batch_size=2"];
    succeeds(folder.path(), &again);
    let dead = series(&units, "reprobe/units/dead/dense1");
    assert!(dead.len() == first.len() && dead != first, "two observations are not 64: {dead:?}");
    assert_eq!(reprobed_event_files(&run), ["rank", "rank_2", "units"]);
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_skipped_and_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_with_checkpoints(folder.path(), &[]);
    let checkpoints = folder.path().join("run/checkpoints");
    let mut updates: Vec<u64> = fs::read_dir(&checkpoints)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    updates.sort_unstable();
    let damaged = checkpoints.join(format!("{}/tensors.safetensors", updates[1]));
    let bytes = fs::read(&damaged).expect("a checkpoint");
    fs::write(&damaged, &bytes[..bytes.len() / 2]).expect("writable");
    let ran = pliant(folder.path(), &["probe", "run", "--probe", "units:batch_size=64"]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    let rows: Vec<&str> = ran.out.lines().filter(|row| row.contains("units/dead")).collect();
    let columns = rows[0].split(['\u{2502}', '\u{2506}']).count() - 3;
    assert_eq!(columns, updates.len() - 1, "the others are measured:\n{}", ran.out);
    let message = format!("1 of {} checkpoints are not measured", updates.len());
    let name = format!("checkpoints/{}: tensors.safetensors", updates[1]);
    assert!(ran.err.contains(&message) && ran.err.contains(&name), "{}", ran.err);
}

#[test]
fn what_was_measured_before_a_signal_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_with_checkpoints(folder.path(), &[]);
    let probe = "plasticity:targets=1,steps=3000,observations=64,batch_size=64";
    let mut child = Command::new(env!("CARGO_BIN_EXE_pliant"))
        .args(["probe", "run", "--json", "--probe", probe])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line for the first checkpoint");
    let first: Value = serde_json::from_str(&line).expect("JSON");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("a shell's tool").success());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{err}");
    assert!(err.contains("stopped: all probes have measured 1 of "), "{err}");
    let kept =
        series(&folder.path().join("run/reprobe/plasticity.csv"), "reprobe/plasticity/change");
    assert_eq!(kept.first().copied(), first["metrics"]["plasticity/change"].as_f64());
    assert_eq!(kept.len(), 1);
    // A second call that is stopped leaves the first one's.
    let run = folder.path().join("run");
    let table = run.join("reprobe/plasticity.csv");
    let (former, events) = (fs::read(&table).expect("written"), reprobed_event_files(&run));
    let mut child = started(folder.path(), &["probe", "run", "--probe", probe]);
    let aside = run.join("reprobe/unfinished/plasticity/plasticity.csv");
    wait_until("a first checkpoint", || fs::read(&aside).is_ok_and(|it| it.len() > 100));
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(former == fs::read(&table).expect("there") && aside.exists());
    assert_eq!(events, reprobed_event_files(&run));
    // Nor does another probe's call touch them.
    succeeds(folder.path(), &["probe", "run", "--probe", "norms:batch_size=64"]);
    assert!(aside.exists());
    // One that is not takes their place.
    let short = "plasticity:targets=1,steps=2,observations=64,batch_size=64";
    succeeds(folder.path(), &["probe", "run", "--probe", short]);
    assert!(former != fs::read(&table).expect("there") && !aside.exists());
    assert_eq!(reprobed_event_files(&run), ["norms", "plasticity"]);
    assert!(!run.join("reprobe/unfinished").exists());
}

#[test]
fn probes_that_need_more_than_is_stored_are_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_with_checkpoints(folder.path(), &[]);
    let args =
        ["probe", "run", "--probe", "units:batch_size=64", "--probe", "rank:batch_size=5000"];
    let ran = pliant(folder.path(), &args);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("probes[1]: probe `rank`") && ran.err.contains("1600"), "{}", ran.err);
    assert!(!folder.path().join("run/reprobe").exists());
    let ran = pliant(folder.path(), &["probe", "run"]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("--probe KIND"), "{}", ran.err);
}

#[test]
fn a_probe_that_the_budget_lets_measure_once_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dry = |probe: &str| {
        pliant(folder.path(), &short_mnist("run", &["--dry-run", "--probe", probe])).err
    };
    let once = dry("interference:every_updates=5000,batch_size=64");
    assert!(
        once.contains(
            "`interference` will measure once, at the beginning: it measures every 5000 updates"
        ),
        "{once}"
    );
    let often = dry("interference:every_updates=100,batch_size=64");
    assert!(!often.contains("will measure once"), "{often}");
}
