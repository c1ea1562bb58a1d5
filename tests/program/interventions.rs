//! Interventions as users give them.

use std::fs;

use crate::common::{metrics_without_time, newest_tensors, pliant, short_mnist, succeeds};

/// Some of every sort: in the network, in the loss, on a schedule, around the optimiser.
const MANY: [&str; 14] = [
    "--with",
    "layer_norm:affine=false",
    "--with",
    "two_hot:min=-2,max=12,bins=21",
    "--with",
    "redo:tau=0.3,every_updates=40",
    "--with",
    "plasticity_injection:at_updates=[100]",
    "--with",
    "l2_init",
    "--with",
    "continual_backprop:replacement_rate=0.01",
    "--with",
    "upgd",
];

#[test]
fn many_at_once_are_kept_in_order_and_resume_to_the_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    succeeds(folder.path(), &short_mnist("whole", &MANY));
    let half = [&MANY[..], &["--set", "run.budget_frames=800"]].concat();
    succeeds(folder.path(), &short_mnist("parts", &half));
    succeeds(folder.path(), &["resume", "parts", "--set", "run.budget_frames=1600"]);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    assert!(newest_tensors(&whole) == newest_tensors(&parts), "the parameters differ");
    assert_eq!(metrics_without_time(&whole), metrics_without_time(&parts));
    let config = fs::read_to_string(whole.join("config.toml")).expect("written");
    let kinds: Vec<&str> = config
        .split("[[interventions]]")
        .skip(1)
        .filter_map(|table| table.lines().find_map(|line| line.strip_prefix("kind = ")))
        .collect();
    let given: Vec<String> = MANY
        .iter()
        .filter(|word| **word != "--with")
        .map(|word| format!("\"{}\"", word.split(':').next().expect("a kind")))
        .collect();
    assert_eq!(kinds, given);
    succeeds(folder.path(), &["eval", "whole", "--json"]);
}

#[test]
fn every_kind_is_listed_with_its_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = pliant(folder.path(), &["list", "interventions", "redo"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for word in ["Sokar et al., 2023", "tau", "0.025", "every_updates", "1000", "start_updates"] {
        assert!(ran.out.contains(word), "{word}:\n{}", ran.out);
    }
}

#[test]
fn what_does_not_go_together_or_fit_is_refused_before_the_first_frame() {
    let refused = |with: &[&str], words: &[&str]| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options: Vec<&str> = with.iter().flat_map(|kind| ["--with", *kind]).collect();
        let ran = pliant(folder.path(), &short_mnist("run", &options));
        assert_eq!(ran.code, Some(2), "{with:?}\n{}{}", ran.out, ran.err);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        assert!(!folder.path().join("run").exists(), "{with:?} left something behind");
        for word in words {
            assert!(ran.err.contains(word), "{with:?} should say {word:?}:\n{}", ran.err);
        }
    };
    refused(&["two_hot", "c51"], &["interventions[1]", "`c51`", "already has a head"]);
    refused(&["layer_norm", "normalize_and_project"], &["`normalize_and_project`", "already"]);
    refused(&["crelu", "deep_fourier"], &["`deep_fourier`", "already"]);
    refused(&["infer", "plasticity_injection"], &["`plasticity_injection`", "features"]);
    refused(&["spectral_norm:layers=[\"conv1\"]"], &["`conv1`", "`dense1`", "`output`", "`first`"]);
    refused(&["spectral_norm", "spectral_norm"], &["`dense1`", "twice"]);
    refused(&["spectral_norm:layers=[\"first\",\"first\"]"], &["`layers`", "`first` twice"]);
    refused(
        &["spectral_norm:layers=[\"output\"]", "plasticity_injection"],
        &["`plasticity_injection`", "`output`", "spectral norm"],
    );
    refused(&["shrink_and_perturb:layers=[\"dense9\"]"], &["`dense9`", "`dense2`"]);
    refused(&["reset_head:last_layers=9"], &["`last_layers`", "3 layers"]);
    refused(&["redo:tau=-1"], &["interventions[0]", "`tau`", "-1"]);
    refused(&["redo:tau=nan"], &["`tau`", "NaN"]);
    refused(&["redo:tua=1"], &["`tua`", "`tau`", "`every_updates`"]);
    refused(&["redo:every_updates=0"], &["never act"]);
    refused(&["weight_decay:coefficient=inf"], &["`coefficient`", "inf"]);
    refused(&["two_hot:min=1,max=1"], &["`min`", "`max`"]);
    refused(&["c51:bins=1"], &["`bins`"]);
    refused(&["hl_gauss:sigma=0"], &["`sigma`"]);
    refused(&["tuned_adam:beta2=1"], &["`beta2`"]);
    refused(&["trac:betas=[]"], &["`betas`"]);
    refused(&["weight_decay:form=l3"], &["form", "l2", "decoupled"]);
}

#[test]
fn what_the_budget_is_too_small_for_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with = ["--with", "plasticity_injection", "--with", "redo:every_updates=10"];
    let ran = pliant(folder.path(), &short_mnist("late", &with));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let warnings: Vec<&str> = ran.err.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 1, "{}", ran.err);
    for word in ["interventions[0]", "`plasticity_injection`", "3125000"] {
        assert!(warnings[0].contains(word), "{}", warnings[0]);
    }
    let never = ["--dry-run", "--with", "reset_last_layer:end_updates=49"];
    let ran = pliant(folder.path(), &short_mnist("never", &never));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("`reset_last_layer` will do nothing: no target update"),
        "{}",
        ran.err
    );
    let nothing = ["--set", "agent.learning_starts=1600", "--set", "agent.replay_capacity=2000"];
    let ran = pliant(folder.path(), &short_mnist("nothing", &nothing));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("warning: nothing will be learned"), "{}", ran.err);
    let cores = std::thread::available_parallelism().expect("some").get();
    let many = format!("run.threads={}", cores + 1);
    let ran = pliant(folder.path(), &short_mnist("many", &["--dry-run", "--set", &many]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let words = format!("warning: run.threads is {}, and {cores} core(s) are there", cores + 1);
    assert!(ran.err.contains(&words), "{}", ran.err);
}

#[test]
fn what_an_intervention_adds_to_the_loss_is_logged_beside_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with = ["--with", "weight_decay:coefficient=0.5", "--with", "two_hot:min=-0.5,max=0.5"];
    succeeds(folder.path(), &short_mnist("run", &with));
    let metrics = fs::read_to_string(folder.path().join("run/metrics.csv")).expect("written");
    let first = |tag: &str| {
        let line = metrics.lines().find(|line| line.contains(&format!(",{tag},")));
        let value = line.and_then(|line| line.rsplit(',').next());
        value.and_then(|value| value.parse::<f64>().ok()).unwrap_or_else(|| panic!("no {tag}"))
    };
    // Half the sum of squares of 25,000 weights within 1 / 28 and some larger ones; the cross-entropy of
    // an even guess over 51 bins is ln 51 = 3.93.
    assert!(first("train/penalty/weight_decay") > 10.0, "{metrics}");
    assert!((3.8..4.0).contains(&first("train/loss")), "{metrics}");
    // Rewards of 1 lie outside of the support.
    let outside = first("train/outside_support");
    assert!((0.01..=1.0).contains(&outside), "{outside}");
}
