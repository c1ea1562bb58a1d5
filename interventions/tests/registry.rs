//! What every registered intervention must do, tried on every registered network.

use std::collections::BTreeSet;

use pliant_core::{
    conformance::{InterventionTrials, Refusal, Setup, TrialNetwork, heads},
    head::Head,
    network::NetworkPlan,
    registry::Plugins,
};

fn networks() -> Plugins {
    let mut plugins = Plugins::empty();
    pliant_agents::register(&mut plugins);
    plugins
}

/// A small one of a kind, on pictures that it takes.
fn small(kind: &str) -> TrialNetwork {
    let (settings, observation) = match kind {
        "mlp" => ("width = 8", [1, 3, 3]),
        "cnn" => ("width = 0.0625", [1, 28, 28]),
        "impala" => ("width = 0.25\ndense = 8", [3, 12, 12]),
        "nature" => ("width = 0.03125", [1, 36, 36]),
        "resnet18" => ("width = 0.03125", [3, 12, 12]),
        "vit" => ("width = 8\nfeed_forward = 12\nheads = 2", [1, 9, 9]),
        _ => panic!("network `{kind}` is new: say with which settings it is small"),
    };
    let settings = settings.parse().expect("TOML");
    let built = networks().networks.get(kind).and_then(|kind| kind.build(&settings));
    TrialNetwork {
        name: kind.to_owned(),
        architecture: built.expect("valid settings"),
        observation,
    }
}

/// All interventions, on the perceptron of the trials and on the `mlp`, which has a place for everything.
/// Thresholds that a small healthy network does not reach within a trial are lower here.
fn trials() -> InterventionTrials {
    InterventionTrials::of(pliant_interventions::register)
        .on(small("mlp"))
        .lively("continual_backprop", "replacement_rate = 0.05\nmaturity_updates = 3")
        .lively("redo", "tau = 0.7\nevery_updates = 7")
        .lively("weight_clipping", "kappa = 0.5")
}

/// The same on every network.
fn on_all_networks() -> InterventionTrials {
    let kinds = networks();
    let others = kinds.networks.iter().map(|(kind, _)| kind).filter(|kind| *kind != "mlp");
    others.fold(trials(), |trials, kind| trials.on(small(kind)))
}

#[test]
fn every_kind_builds_by_default_and_refuses_unknown_settings() {
    trials().check_settings();
    assert_eq!(trials().kinds().len(), 28);
}

#[test]
fn every_kind_learns_the_same_where_updates_are_recorded() {
    trials().check_recording();
}

#[test]
fn every_intervention_learns_with_every_head_and_shows_an_effect() {
    trials().check_effects();
}

#[test]
fn every_intervention_resumes_to_the_bit() {
    trials().check_resume();
}

#[test]
fn an_intervention_acts_neither_before_its_start_nor_after_its_end() {
    trials().check_schedules();
}

#[test]
fn every_intervention_learns_and_resumes_under_every_optimizer() {
    trials().check_optimizers();
}

/// What a network cannot take: an activation with two outputs per unit beside skip connections, a
/// normalisation where a transformer has its own; and the perceptron of the trials takes little.
fn is_refused(network: &str, plan: &NetworkPlan) -> bool {
    let copies = plan.activation.as_ref().map_or(1, |planned| planned.function.copies());
    match network {
        "impala" | "resnet18" => copies > 1,
        "vit" => plan.norm.is_some(),
        "perceptron" => NetworkPlan { activation: None, ..plan.clone() }.first_change().is_some(),
        _ => false,
    }
}

fn check_networks(setups: &[Setup], updates: usize) {
    let trials = on_all_networks();
    let refusals = trials.check_networks(setups, updates);
    let refused: BTreeSet<(&str, &str)> =
        refusals.iter().map(|refusal| (refusal.by.as_str(), refusal.kind)).collect();
    for network in trials.networks() {
        for kind in trials.kinds() {
            let expected = is_refused(&network.name, &trials.plan(kind));
            let is_refused = refused.contains(&(network.name.as_str(), kind));
            assert_eq!(is_refused, expected, "{kind} on {}: refused?", network.name);
        }
    }
}

#[test]
fn every_intervention_learns_on_every_network() {
    check_networks(&[Setup::default()], 8);
}

#[test]
#[ignore = "slow: every network, head and intervention for 60 updates"]
fn every_intervention_learns_on_every_network_with_every_head() {
    check_networks(&heads().map(Setup::with_head), 60);
}

#[test]
#[ignore = "slow: every network, head, optimiser and intervention for 20 updates"]
fn every_intervention_learns_on_every_network_with_every_head_under_every_optimizer() {
    let optimizers = ["kron", "rmsprop", "sgd"].into_iter();
    let under = |optimizer| heads().map(|head| Setup { optimizer, ..Setup::with_head(head) });
    check_networks(&optimizers.flat_map(under).collect::<Vec<_>>(), 20);
}

/// Draw layers anew, which injection counts on as they are.
const REDRAWING: [&str; 5] = [
    "reset_full",
    "reset_head",
    "reset_last_layer",
    "shrink_and_perturb",
    "soft_shrink_and_perturb",
];

/// Two of what a network has once, or injection beside what it cannot go with.
fn collide((first, a): (&str, &NetworkPlan), (second, b): (&str, &NetworkPlan)) -> bool {
    let is_injection_beside = |injected: &NetworkPlan, (kind, other): (&str, &NetworkPlan)| {
        injected.expects_injection && (!other.auxiliary.is_empty() || REDRAWING.contains(&kind))
    };
    let of = |plan: &NetworkPlan| {
        [
            plan.norm.is_some(),
            plan.activation.is_some(),
            plan.head != Head::Scalar,
            !plan.spectral.is_empty(),
            !plan.auxiliary.is_empty(),
            plan.optimizer.is_some(),
            plan.expects_injection,
        ]
    };
    of(a).into_iter().zip(of(b)).any(|(a, b)| a && b)
        || is_injection_beside(a, (second, b))
        || is_injection_beside(b, (first, a))
}

#[test]
fn every_pair_learns_or_is_refused_with_a_reason() {
    let trials = trials();
    let refusals = trials.check_pairs();
    let is_of = |refusal: &Refusal, first: &str, second: &str| {
        refusal.by == first && refusal.kind == second
    };
    for first in trials.kinds() {
        for second in trials.kinds() {
            let plans = [first, second].map(|kind| trials.plan(kind));
            let expected = collide((first, &plans[0]), (second, &plans[1]));
            let found = refusals.iter().find(|refusal| is_of(refusal, first, second));
            assert_eq!(found.is_some(), expected, "{first} and {second}: {found:?}");
        }
    }
}
