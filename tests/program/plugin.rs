//! `--plugin FILE`: what is loaded, what is refused, and what becomes of a panic inside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use pliant_core::plugin::stamp;
use serde_json::Value;

use crate::common::{Ran, pliant, pliant_with, short_mnist, succeeds};

/// The example, and a plug-in of faults, as shared libraries.
static EXAMPLE: LazyLock<String> =
    LazyLock::new(|| build("examples/custom-intervention", "libcustom_intervention.so"));
static FAULTY: LazyLock<String> =
    LazyLock::new(|| build("tests/fixtures/faulty-plugin", "libfaulty_plugin.so"));

/// Builds a crate outside the workspace with the profile and in the target directory of the program.
fn build(folder: &str, library: &str) -> String {
    let profile = Path::new(env!("CARGO_BIN_EXE_pliant")).parent().expect("in a folder");
    let target = profile.parent().expect("in a target directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--lib", "--locked", "--offline", "--quiet"]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.current_dir(root.join(folder)).env("CARGO_TARGET_DIR", target).output();
    let output = output.expect("cargo starts");
    assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    profile.join(library).display().to_string()
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a file of the run");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_loaded_intervention_and_probe_train_resume_and_are_on_record() {
    let (folder, library) = (temporary(), EXAMPLE.as_str());
    let with = ["--with", "gradient_noise:eta=0.1", "--probe", "weight_norm:every_updates=100"];
    let train = [&short_mnist("run", &[]), &with[..], &["--plugin", library]].concat();
    succeeds(folder.path(), &train);
    let run = folder.path().join("run");
    let csv = fs::read_to_string(run.join("metrics.csv")).expect("written");
    assert!(csv.contains("weight_norm/l2/dense1"), "{csv}");
    let plugin = json(&run.join("provenance.json"))["plugins"][0].clone();
    let path = Path::new(library).canonicalize().expect("there");
    assert_eq!(plugin["path"].as_str().map(Path::new), Some(path.as_path()));
    assert_eq!(plugin["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(plugin["interventions"][0], "gradient_noise");

    let resume = ["resume", "run", "--set", "run.budget_frames=2000"];
    for args in [&resume[..], &["eval", "run"]] {
        let ran = pliant(folder.path(), args);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        let option = format!("--plugin {}", path.display());
        assert!(ran.err.contains("unknown intervention `gradient_noise`"), "{}", ran.err);
        assert!(ran.err.contains(&option), "{}", ran.err);
    }
    succeeds(folder.path(), &[&["--plugin", library], &resume[..]].concat());
    succeeds(folder.path(), &["eval", "run", "--plugin", library]);
}

#[test]
fn loaded_kinds_are_listed_with_their_settings() {
    let folder = temporary();
    let ran = pliant(folder.path(), &["list", "interventions", "--json", "--plugin", &EXAMPLE]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let all: Value = serde_json::from_str(&ran.out).expect("JSON");
    let kinds = all["interventions"].as_array().expect("a list");
    let noise = kinds.iter().find(|kind| kind["name"] == "gradient_noise").expect("listed");
    assert_eq!(noise["parameters"][0]["name"], "eta");
    assert_eq!(noise["parameters"][0]["kind"], "number");
    let both = ["--plugin", &FAULTY, "--plugin", &EXAMPLE, "list", "probes"];
    let ran = pliant(folder.path(), &both);
    assert!(ran.out.contains("\nfaulty: ") && ran.out.contains("\nweight_norm: "), "{}", ran.err);
}

#[test]
fn plugins_on_both_sides_of_the_command_are_refused_rather_than_forgotten() {
    let folder = temporary();
    let equals = format!("--plugin={}", *EXAMPLE);
    let ran = pliant(folder.path(), &[&equals, "list", "probes", "--plugin", &FAULTY]);
    refused(&ran, &["before and after the command"]);
    let ran = pliant(folder.path(), &["list", "probes", &equals, "--plugin", &FAULTY]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

/// Expects the library to be refused with exit code 2 and these words, by a command of its own.
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    for word in [&["--plugin"], words].concat() {
        assert!(ran.err.contains(word), "should say {word:?}:\n{}", ran.err);
    }
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = temporary();
    fs::write(folder.path().join("text.so"), "text").expect("writable");
    fs::create_dir(folder.path().join("folder.so")).expect("writable");
    compile(folder.path(), "empty", "int nothing;");
    let list = |file: &str| pliant(folder.path(), &["list", "probes", "--plugin", file]);
    refused(&list("missing.so"), &["missing.so", "No such file"]);
    refused(&list("folder.so"), &["folder.so", "is not a file"]);
    refused(&list("text.so"), &["text.so", "expected a shared library"]);
    let whole = fs::read(folder.path().join("empty.so")).expect("compiled above");
    for length in [8, 70, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path().join("cut.so"), &whole[..length]).expect("writable");
        refused(&list("cut.so"), &["cut.so", "cut short"]);
    }
    refused(&list("empty.so"), &["empty.so", "pliant_plugin_stamp", "export_plugin!"]);
}

/// Makes `NAME.so` of C.
fn compile(folder: &Path, name: &str, text: &str) {
    let (source, library) = (format!("{name}.c"), format!("{name}.so"));
    fs::write(folder.join(&source), text).expect("writable");
    let cc =
        Command::new("cc").args(["-shared", "-o", &library, &source]).current_dir(folder).status();
    assert!(cc.expect("a C compiler").success());
}

/// A library that says it has this stamp, and that ends the process if it is asked for its kinds.
fn stamped(folder: &Path, name: &str, stamp: &str) -> PathBuf {
    let register = "#include <stdlib.h>\nvoid pliant_plugin_register(void *p) { _Exit(77); }\n";
    let stamp = stamp.replace('\n', "\\n");
    let text = format!("{register}const char *pliant_plugin_stamp(void) {{ return \"{stamp}\"; }}");
    compile(folder, name, &text);
    folder.join(format!("{name}.so"))
}

#[test]
fn another_stamp_is_refused_with_both_values_before_anything_is_called() {
    let folder = temporary();
    let list = |path: &Path| {
        pliant(folder.path(), &["list", "probes", "--plugin", path.to_str().expect("UTF-8")])
    };
    let old = stamp::text().replace("API: 1", "API: 0").replace("rustc 1.", "rustc 0.");
    let old = list(&stamped(folder.path(), "old", &old));
    refused(&old, &["plug-in API is 0, expected 1", "rustc is rustc 0.", "expected rustc 1."]);
    refused(&list(&stamped(folder.path(), "none", "")), &["tch is unknown, expected 0."]);
    let same = list(&stamped(folder.path(), "same", stamp::text()));
    assert_eq!(same.code, Some(77), "the same stamp is what lets it through: {}", same.err);
    let half = format!("const char *pliant_plugin_stamp(void) {{ return {:?}; }}", stamp::text());
    compile(folder.path(), "half", &half);
    refused(&list(&folder.path().join("half.so")), &["pliant_plugin_register"]);
}

/// Runs the program with the plug-in of faults, which reads what to do wrong.
fn faulty(folder: &Path, fault: &str, args: &[&str]) -> Ran {
    let args = [&["--plugin", &FAULTY], args].concat();
    pliant_with(folder, &args, "FAULTY_PLUGIN", fault)
}

#[test]
fn names_that_are_taken_and_other_families_are_refused() {
    let folder = temporary();
    let fault = |fault| faulty(folder.path(), fault, &["list", "probes"]);
    refused(&fault("built_in"), &["intervention `layer_norm`", "this program"]);
    refused(&fault("optimizer"), &["optimizer `mine`", "program of your own"]);
    refused(&fault("register"), &["registering panicked: faulty at register"]);
    let both = ["--plugin", &EXAMPLE, "--plugin", &FAULTY, "list", "probes"];
    let ran = pliant_with(folder.path(), &both, "FAULTY_PLUGIN", "other");
    refused(&ran, &["`gradient_noise`", "libcustom_intervention.so", "libfaulty_plugin.so"]);
    let twice = ["--plugin", &EXAMPLE, "--plugin", &EXAMPLE, "list", "probes"];
    refused(&pliant(folder.path(), &twice), &["intervention `gradient_noise`"]);
}

#[test]
fn a_panic_inside_a_plugin_fails_the_run_and_names_the_kind() {
    let folder = temporary();
    let cases = [
        ("--with", "after_backward", "interventions[0]: intervention `faulty`: panicked: "),
        ("--with", "activation", "interventions[0]: intervention `faulty`: panicked: "),
        ("--with", "eager_activation", "interventions[0]: intervention `faulty`: panicked: "),
        ("--with", "network", "interventions[0]: intervention `faulty`: panicked: "),
        ("--with", "save", "interventions: 0_faulty: saving panicked: "),
        ("--probe", "measure", "probes[0]: probe `faulty`: panicked: "),
        ("--probe", "every", "probes[0]: probe `faulty`: panicked: "),
    ];
    for (option, place, label) in cases {
        let kind = format!("faulty:at={place}");
        let ran = faulty(folder.path(), "", &short_mnist(place, &[option, &kind]));
        let said = match place {
            "network" => String::new(),
            "eager_activation" => "faulty at activation".to_owned(),
            _ => format!("faulty at {place}"),
        };
        let message = label.to_owned() + &said;
        assert_eq!(ran.code, Some(1), "{place}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(&message), "{place}: {}", ran.err);
        let status = json(&folder.path().join(place).join("status.json"));
        assert_eq!(status["state"], "failed", "{place}");
        assert!(status["error"].as_str().is_some_and(|error| error.contains(&message)));
    }
    assert!(!folder.path().join("save/checkpoints").exists(), "half a state was not kept");
}

#[test]
fn a_panic_before_the_first_frame_is_bad_input_and_leaves_nothing() {
    let folder = temporary();
    for place in ["build", "plan", "after_build"] {
        let kind = format!("faulty:at={place}");
        let ran = faulty(folder.path(), "", &short_mnist("run", &["--with", &kind]));
        assert_eq!(ran.code, Some(2), "{place}: {}{}", ran.out, ran.err);
        let message = format!("panicked: faulty at {place}");
        assert!(ran.err.contains("`faulty`") && ran.err.contains(&message), "{}", ran.err);
    }
    assert!(!folder.path().join("run").exists());
}
