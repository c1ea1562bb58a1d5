//! Settings that make no sense are refused before anything is measured, by name and with what would do.

use crate::common::plugins;

fn build(kind: &str, settings: &str) -> Result<(), String> {
    let plugins = plugins();
    let settings = settings.parse().expect("TOML");
    plugins.probes.get(kind).expect("registered").build(&settings).map(drop)
}

/// The message says all these words.
fn refused(kind: &str, settings: &str, words: &[&str]) {
    let message = build(kind, settings).expect_err(settings);
    for word in words {
        assert!(message.contains(word), "{kind} with {settings} should say {word:?}: {message}");
    }
}

fn taken(kind: &str, settings: &str) {
    build(kind, settings).unwrap_or_else(|error| panic!("{kind} refuses {settings}: {error}"));
}

#[test]
fn a_step_of_more_observations_than_are_learned_from_is_refused() {
    for kind in ["plasticity", "random_labels"] {
        taken(kind, "batch_size = 64\nobservations = 64");
        refused(
            kind,
            "batch_size = 65\nobservations = 64",
            &["`batch_size` is 65", "at most the 64"],
        );
        refused(kind, "observations = 127", &["`batch_size` is 128", "`observations`"]);
        refused(kind, "batch_size = 0", &["`batch_size` is 0"]);
        refused(kind, "observations = 0", &["`observations` is 0"]);
        refused(kind, "targets = 0", &["`targets` is 0", "1 to 1000"]);
        refused(kind, "steps = 0", &["`steps` is 0"]);
    }
    refused("plasticity", "observations = 1", &["`observations` is 1", "expected 2"]);
    refused("plasticity", "scale = 0.0", &["`scale` is 0"]);
}

#[test]
fn a_grid_that_is_no_curve_is_refused() {
    // 2 / sqrt(1e-5) + 20 = 652.5; 2 / sqrt(1e-11) + 20 = 632475.5.
    taken("hessian", "grid = 653");
    taken("hessian", "grid = 632_476\nsigma_squared = 1e-11");
    for grid in ["0", "1", "652", "1_000_001"] {
        refused("hessian", &format!("grid = {grid}"), &["`grid`", "expected 653 to 1000000"]);
    }
    // However wide the peaks are, they have their margins.
    refused("hessian", "grid = 20\nsigma_squared = 1e6", &["`grid` is 20", "expected 21"]);
    refused("hessian", "sigma_squared = 9e-12", &["`sigma_squared`", "at least 1e-11"]);
    refused("hessian", "sigma_squared = nan", &["`sigma_squared`", "above 0"]);
    refused("hessian", "steps = 0", &["`steps` is 0"]);
    refused("hessian", "draws = 1001", &["`draws` is 1001", "1 to 1000"]);
}

#[test]
fn clusters_are_of_their_order_and_no_more_than_transitions() {
    let kind = "gradient_covariance";
    taken(kind, "clusters = 8\nbatch_size = 8");
    taken(kind, "batch_size = 8");
    taken(kind, "batch_size = 8\norder = \"state\"");
    refused(kind, "clusters = 9\nbatch_size = 8", &["`clusters` is 9", "1 to 8", "`batch_size`"]);
    refused(kind, "clusters = 0", &["`clusters` is 0", "1 to 512"]);
    for order in ["state", "none"] {
        let settings = format!("clusters = 2\norder = \"{order}\"");
        refused(kind, &settings, &["`clusters`", "`order` is not clusters"]);
    }
    refused(kind, "batch_size = 1", &["`batch_size` is 1", "2 to 4096"]);
}

#[test]
fn noise_is_for_the_loss_that_draws_it() {
    for (kind, probe, primary) in [
        ("sharpness", "loss = \"probe\"", "loss = \"primary\""),
        ("gradient_covariance", "loss = \"probe\"", "loss = \"primary\""),
        ("hessian", "losses = [\"primary\", \"probe\"]", "losses = [\"primary\"]"),
    ] {
        for noise in ["shared", "each"] {
            let with = |loss: &str| format!("{loss}\nnoise = \"{noise}\"");
            taken(kind, &with(probe));
            refused(kind, &with(primary), &["`noise`", "loss probe"]);
        }
        taken(kind, primary);
    }
}

#[test]
fn lists_name_something_and_nothing_twice() {
    taken("hessian", "losses = [\"primary\"]");
    refused("hessian", "losses = []", &["`losses` is empty", "probe, primary or both"]);
    let twice = "losses = [\"probe\", \"primary\", \"probe\"]";
    refused("hessian", twice, &["`losses` has probe twice"]);
    taken("units", "taus = [0.0, 0.5]");
    refused("units", "taus = []", &["`taus` is empty"]);
    refused("units", "taus = [0.5, 0.1, 0.10]", &["`taus` has 0.1 twice"]);
    refused("units", "taus = [0.1, -0.1]", &["`taus` has -0.1"]);
}
