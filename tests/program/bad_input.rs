//! Bad input of any kind gets one clear error, exit code 2, and nothing is lost.

use std::fs;

use crate::common::{pliant, pliant_with, short_mnist};

/// Runs the program, expects exit code 2, and returns the one message.
fn refused(args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = pliant(folder.path(), args);
    assert_eq!(ran.code, Some(2), "{args:?}\n{}{}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{args:?}\n{}", ran.err);
    let left = fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(left, 0, "{args:?} left something behind");
    ran.err
}

fn assert_says(args: &[&str], words: &[&str]) {
    let message = refused(args);
    for word in words {
        assert!(message.contains(word), "{args:?} should say {word:?}:\n{message}");
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    assert_says(&["train", "quikstart"], &["quikstart", "`quickstart`"]);
    assert_says(&["train", "missing.toml"], &["missing.toml"]);
    assert_says(&["train", "quickstart", "--set", "env.game=brakeout"], &["brakeout", "breakout"]);
    assert_says(&["train", "quickstart", "--set", "env.gmae=pong"], &["gmae", "`game`", "[env]"]);
    assert_says(&["train", "quickstart", "--set", "agnet.discount=0.9"], &["agnet", "`agent`"]);
    assert_says(
        &["train", "quickstart", "--with", "layernorm"],
        &["layernorm", "did you mean `layer_norm`?"],
    );
    assert_says(&["train", "quickstart", "--with", "layer_norm:epss=1"], &["epss", "`eps`"]);
    assert_says(&["train", "quickstart", "--probe", "dormant"], &["`units`"]);
    assert_says(&["train", "quickstart", "--set", "env.kind=atary"], &["atary", "`atari`"]);
    assert_says(&["train", "quickstart", "--set", "agent.optimizer.kind=adm"], &["`adam`"]);
    assert_says(&["train", "atari_cpu+env_macado"], &["`env_macado`", "`env_machado`"]);
    assert_says(&["train", "my.toml+env_machado"], &["cannot be joined"]);
    assert_says(&["train", "quickstart", "--set", "env.game=joust"], &["two players"]);
}

#[test]
fn wrong_types_and_ranges_name_the_setting() {
    assert_says(&["train", "quickstart", "--set", "run.seed=x"], &["seed", "x"]);
    assert_says(&["train", "quickstart", "--set", "run.budget_frames=-5"], &["budget_frames"]);
    assert_says(&["train", "quickstart", "--set", "run.num_envs=0"], &["num_envs", "at least 1"]);
    assert_says(&["train", "quickstart", "--set", "eval.epsilon=1.5"], &["eval.epsilon", "0 to 1"]);
    assert_says(&["train", "quickstart", "--set", "agent.batch_size=0"], &["batch_size"]);
    assert_says(&["train", "quickstart", "--set", "agent.discount=1.5"], &["discount"]);
    assert_says(
        &["train", "quickstart", "--set", "agent.optimizer.learning_rate=-1"],
        &["learning_rate", "-1", "above 0"],
    );
    assert_says(&["train", "quickstart", "--set", "env=3"], &["[env]", "table"]);
    assert_says(
        &["train", "quickstart", "--probe", "plasticity:observations=64"],
        &["probes[0]", "`plasticity`", "`batch_size` is 128", "`observations`"],
    );
    assert_says(&["train", "quickstart", "--set", "nonsense"], &["KEY=VALUE"]);
    assert_says(&["train", "quickstart", "--seed", "-1"], &["--seed"]);
    assert_says(
        &["train", "quickstart", "--set", "agent.replay_capacity=100000000000"],
        &["replay"],
    );
}

#[test]
fn tasks_that_cannot_be_played_are_refused_with_their_place() {
    let train = ["train", "quickstart", "--set", "env.kind=continual_atari", "--set"];
    let says = |setting, words: &[&str]| assert_says(&[&train[..], &[setting]].concat(), words);
    says("env.tasks=[\"pong\", \"pogn\"]", &["tasks[1]", "pogn", "did you mean pong"]);
    says("env.tasks=[\"pong:mode=9\"]", &["tasks[0]", "no mode 9"]);
    says("env.tasks=[]", &["tasks is empty"]);
    says("env.atari.game=pong", &["[env]", "`game` cannot be set here"]);
    says("env.atari.full_action_space=false", &["always on"]);
    says("env.atari.frame_skpi=4", &["frame_skpi", "`frame_skip`"]);
}

#[test]
fn devices_that_are_not_there_are_refused() {
    assert_says(&["train", "quickstart", "--device", "gpu"], &["`gpu`", "cuda:N"]);
    assert_says(&["train", "quickstart", "--device", "cuda:77"], &["cuda:77", "not available"]);
}

#[test]
fn a_file_is_answered_with_its_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases = [
        ("preset = \"quickstart\"\n[env]\ngamee = \"pong\"\n", "line 3"),
        ("[run]\nseed = = 1\n", "line 2"),
        ("preset = \"no\"\n", "line 1"),
        ("[run]\n\n[[interventions]]\nkind = \"layer_norm\"\nesp = 1\n", "line 5"),
        ("[[probes]]\ntau = 1\n", "kind"),
        ("[rum]\n", "line 1"),
    ];
    for (text, expected) in cases {
        fs::write(folder.path().join("my.toml"), text).expect("writable");
        let ran = pliant(folder.path(), &["train", "my.toml", "--out", "run"]);
        assert_eq!(ran.code, Some(2), "{text}\n{}", ran.err);
        assert!(ran.err.contains("my.toml") && ran.err.contains(expected), "{text}\n{}", ran.err);
        assert!(!folder.path().join("run").exists());
    }
    fs::write(folder.path().join("my.toml"), [0xff, 0xfe, 0x00]).expect("writable");
    let ran = pliant(folder.path(), &["train", "my.toml"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

#[test]
fn an_existing_run_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("run")).expect("writable");
    fs::write(folder.path().join("run/precious"), "results").expect("writable");
    let ran = pliant(folder.path(), &short_mnist("run", &[]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("exists") && ran.err.contains("--out"), "{}", ran.err);
    let kept = fs::read_to_string(folder.path().join("run/precious")).expect("still there");
    assert_eq!(kept, "results");
    fs::write(folder.path().join("file"), "x").expect("writable");
    let ran = pliant(folder.path(), &short_mnist("file", &[]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let ran = pliant(folder.path(), &short_mnist("file/inside", &[]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

#[test]
fn bad_roms_data_and_actions_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    fs::create_dir(folder.join("roms")).expect("writable");
    fs::write(folder.join("roms/pong.bin"), "not a rom").expect("writable");
    let says = |args: &[&str], words: &[&str]| {
        let ran = pliant(folder, args);
        assert_eq!(ran.code, Some(2), "{args:?}\n{}{}", ran.out, ran.err);
        for word in words {
            assert!(ran.err.contains(word), "{args:?} should say {word:?}:\n{}", ran.err);
        }
    };
    let pong = ["train", "quickstart", "--set", "env.game=pong", "--set"];
    says(&[&pong[..], &["env.rom_folder=roms"]].concat(), &["pong.bin"]);
    says(&[&pong[..], &["env.rom_folder=nowhere"]].concat(), &["nowhere"]);
    says(&["train", "mnist_true_label", "--set", "env.data_folder=roms"], &["pliant fetch mnist"]);
    fs::write(folder.join("actions"), "0\n1\nfire\n").expect("writable");
    let trace = |actions| {
        ["trace", "--env", "atari", "--set", "env.game=pong", "--actions", actions, "--out", "t"]
    };
    says(&trace("actions"), &["actions", "line 3"]);
    fs::write(folder.join("actions"), "0\n99\n").expect("writable");
    says(&trace("actions"), &["line 2", "99"]);
    says(&trace("missing"), &["missing"]);
    assert!(!folder.join("t").exists(), "nothing was written");
    fs::write(folder.join("actions"), "0\n1\n").expect("writable");
    let mut full = trace("actions");
    full[8] = "roms";
    says(&full, &["roms", "not empty"]);
}

#[test]
fn a_data_folder_that_cannot_be_made_is_refused_before_anything_is_fetched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("writable");
    let place = file.to_str().expect("a plain path");
    let ran = pliant_with(folder.path(), &["fetch", "cifar10"], "PLIANT_DATA", place);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("data folder") && ran.err.contains(place), "{}", ran.err);
    assert!(!ran.err.contains("npm"), "{}", ran.err);
}

#[test]
fn a_command_without_a_preset_names_some_and_runs_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = pliant(folder.path(), &["train"]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("quickstart") && ran.err.contains("list presets"), "{}", ran.err);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn wrong_types_are_told_with_the_setting_and_in_plain_words() {
    assert_says(
        &["train", "quickstart", "--with", "redo:tau=abc"],
        &["`redo`", "`tau`", "expected a number"],
    );
    assert_says(
        &["train", "quickstart", "--with", "redo:every_updates=1.5"],
        &["`every_updates`", "expected a whole number from 0"],
    );
    assert_says(
        &["train", "quickstart", "--set", "run.seed=[1]"],
        &["`seed`", "expected a whole number from 0"],
    );
}

#[test]
fn settings_that_have_no_end_or_cannot_be_printed_are_refused_in_a_few_words() {
    let train = |setting: &str| refused(&["train", "quickstart", "--set", setting]);
    let deep = train(&format!("run{}=1", ".a".repeat(20_000)));
    assert!(deep.contains("at most 16"), "{deep}");
    let long = train(&format!("run.{}=1", "x".repeat(90_000)));
    assert!(long.contains("unknown field") && long.len() < 2000, "{long}");
    let escapes = train("run.\u{1b}[31mseed=1");
    assert!(escapes.contains("\\u{1b}[31mseed") && !escapes.contains('\u{1b}'), "{escapes}");
    assert_says(&["train", "/dev/zero"], &["/dev/zero", "cannot read configuration"]);
    assert_says(&["train", "quickstart", "--set", "env.frame_skip=4000000000"], &["frame_skip"]);
}

/// 4 TB of parameters, each layer of which is allowed.
#[test]
fn a_network_larger_than_the_memory_is_refused_before_it_is_made() {
    let network = ["network={kind=\"mlp\", width=65536, depth=256}", "env.game=pong"];
    assert_says(
        &["train", "quickstart", "--set", network[0], "--set", network[1]],
        &["network `mlp`", "parameters take", "make it smaller"],
    );
}
