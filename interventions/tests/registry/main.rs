//! What every registered intervention must do.

mod trial;

use pliant_core::{conformance::check_settings, intervention::Intervention, tch::Device};
use toml::Table;
use trial::{Network, PlanOnly, Trial, With, devices, kinds, lively, plugins};

const HEADS: [&str; 3] = ["c51", "hl_gauss", "two_hot"];

fn alone(kind: &'static str) -> Vec<With> {
    vec![(kind, lively(kind))]
}

/// True if a kind has this setting.
fn has(kind: &str, setting: &str) -> bool {
    let plugins = plugins();
    let kind = plugins.interventions.get(kind).expect("a registered kind");
    kind.parameters.iter().any(|parameter| parameter.name == setting)
}

fn build(kind: &str, settings: &Table) -> Box<dyn Intervention> {
    let plugins = plugins();
    let built = plugins.interventions.get(kind).and_then(|kind| kind.build(settings));
    built.unwrap_or_else(|error| panic!("{kind}: {error}"))
}

#[test]
fn every_kind_builds_by_default_and_refuses_unknown_settings() {
    assert_eq!(kinds().len(), 27);
    check_settings(&plugins().interventions);
}

#[test]
fn every_intervention_learns_with_every_head_and_shows_an_effect() {
    for kind in kinds() {
        for head in [None, Some("c51"), Some("hl_gauss"), Some("two_hot")] {
            for device in devices() {
                let base: Vec<With> = head.iter().map(|head| (*head, Table::new())).collect();
                let with = [base.clone(), alone(kind)].concat();
                if head.is_some() && HEADS.contains(&kind) {
                    let refusal = Trial::new(&Network::mlp(), &with, device, 0).err();
                    let refusal = refusal.expect("two heads");
                    assert!(refusal.contains("already has a head"), "{kind}: {refusal}");
                    continue;
                }
                let label = format!("{kind} with head {head:?} on {device:?}");
                let trial = |with: &[With]| {
                    Trial::new(&Network::mlp(), with, device, 0)
                        .unwrap_or_else(|error| panic!("{label}: {error}"))
                };
                let (mut changed, mut plain) = (trial(&with), trial(&base));
                changed.update(60);
                plain.update(60);
                assert!(changed.is_finite(), "{label}");
                assert_ne!(changed.learner_bits(), plain.learner_bits(), "{label}: no effect");
            }
        }
    }
}

#[test]
fn every_intervention_resumes_to_the_bit() {
    for kind in kinds() {
        let trial = |root| {
            Trial::new(&Network::mlp(), &alone(kind), Device::Cpu, root)
                .unwrap_or_else(|error| panic!("{kind}: {error}"))
        };
        // Before and after whatever happens at updates 5, 7, 10 and 14.
        for saved_at in [0, 4, 9, 16] {
            let mut origin = trial(0);
            origin.update(saved_at);
            let mut resumed = trial(1);
            resumed.restore(&origin);
            origin.update(20);
            resumed.update(20);
            assert_eq!(resumed.bits(), origin.bits(), "{kind} saved after {saved_at} updates");
        }
    }
}

#[test]
fn an_intervention_with_nothing_due_changes_no_bit() {
    let mut tried = 0;
    for kind in kinds().into_iter().filter(|kind| has(kind, "start_updates")) {
        let mut later = lively(kind);
        later.insert("start_updates".to_owned(), 1_000_000.into());
        if let Some(single) = later.get_mut("at_updates") {
            *single = toml::Value::Array(vec![2_000_000.into()]);
        }
        let mut waiting = Trial::new(&Network::mlp(), &[(kind, later.clone())], Device::Cpu, 0)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        let plan_only = Box::new(PlanOnly(build(kind, &later)));
        let parts: Vec<(String, Box<dyn Intervention>)> = vec![(kind.to_owned(), plan_only)];
        let mut none =
            Trial::of_parts(&Network::mlp(), parts, Device::Cpu, 0).expect("the same plan");
        waiting.update(20);
        none.update(20);
        assert_eq!(waiting.learner_bits(), none.learner_bits(), "{kind}");
        tried += 1;
    }
    assert!(tried >= 18, "{tried} kinds have a schedule");
}

#[test]
fn an_end_ends_what_an_intervention_does() {
    for kind in kinds().into_iter().filter(|kind| has(kind, "end_updates")) {
        // Whatever acts from time to time acts at update 5 or 7 and not again; injection is once only.
        let mut short = lively(kind);
        if short.contains_key("at_updates") {
            continue;
        }
        short.insert("end_updates".to_owned(), 8.into());
        let mut over = Trial::new(&Network::mlp(), &[(kind, short)], Device::Cpu, 0).expect(kind);
        let mut unending = Trial::new(&Network::mlp(), &alone(kind), Device::Cpu, 0).expect(kind);
        over.update(20);
        unending.update(20);
        assert_ne!(over.learner_bits(), unending.learner_bits(), "{kind}");
    }
}

/// The other networks on pictures that they take.
fn networks() -> Vec<(&'static str, Network)> {
    vec![
        ("cnn", Network::new("cnn", "width = 0.0625", [1, 28, 28])),
        ("impala", Network::new("impala", "width = 0.25\ndense = 8", [3, 12, 12])),
        ("nature", Network::new("nature", "width = 0.03125", [1, 36, 36])),
        ("resnet18", Network::new("resnet18", "width = 0.03125", [3, 12, 12])),
        ("vit", Network::new("vit", "width = 8\nfeed_forward = 12\nheads = 2", [1, 9, 9])),
    ]
}

/// Pairs of network and intervention that cannot go together: an activation with two outputs per unit and
/// skip connections, a normalisation and a transformer that has its own.
fn is_refused(network: &str, kind: &str) -> bool {
    let doubles = ["crelu", "deep_fourier"].contains(&kind);
    let normalises = ["layer_norm", "rms_norm", "normalize_and_project"].contains(&kind);
    (doubles && ["impala", "resnet18"].contains(&network)) || (normalises && network == "vit")
}

fn on_every_network(heads: &[Option<&'static str>], updates: usize) {
    for (name, network) in networks() {
        for kind in kinds() {
            for head in heads.iter().filter(|head| head.is_none() || !HEADS.contains(&kind)) {
                let base: Vec<With> = head.iter().map(|head| (*head, Table::new())).collect();
                let with = [base, alone(kind)].concat();
                let label = format!("{kind} on {name} with head {head:?}");
                let trial = Trial::new(&network, &with, Device::Cpu, 0);
                if is_refused(name, kind) {
                    let reason = trial.err().unwrap_or_else(|| panic!("{label}: taken"));
                    assert!(reason.len() > 30, "{label}: {reason}");
                    continue;
                }
                let mut trial = trial.unwrap_or_else(|error| panic!("{label}: {error}"));
                trial.update(updates);
                assert!(trial.is_finite(), "{label}");
            }
        }
    }
}

#[test]
fn every_intervention_learns_on_every_network() {
    on_every_network(&[None], 8);
}

#[test]
#[ignore = "slow: every network, head and intervention for 60 updates"]
fn every_intervention_learns_on_every_network_with_every_head() {
    on_every_network(&[None, Some("c51"), Some("hl_gauss"), Some("two_hot")], 60);
}

/// Every pair in both orders learns for 20 updates, or is refused with a reason: two of what a network
/// has once.
#[test]
fn every_pair_learns_or_is_refused_with_a_reason() {
    let of_one_kind: [&[&str]; 7] = [
        &HEADS,
        &["layer_norm", "rms_norm", "normalize_and_project"],
        &["crelu", "deep_fourier"],
        &["infer"],
        &["plasticity_injection"],
        &["spectral_norm"],
        &["tuned_adam"],
    ];
    let beside_injection = [
        "infer",
        "reset_full",
        "reset_head",
        "reset_last_layer",
        "shrink_and_perturb",
        "soft_shrink_and_perturb",
    ];
    for first in kinds() {
        for second in kinds() {
            let label = format!("{first} and {second}");
            let is_injected = |one: &str, other: &str| {
                one == "plasticity_injection" && beside_injection.contains(&other)
            };
            let collides =
                of_one_kind.iter().any(|group| group.contains(&first) && group.contains(&second))
                    || is_injected(first, second)
                    || is_injected(second, first);
            let with = [alone(first), alone(second)].concat();
            match Trial::new(&Network::mlp(), &with, Device::Cpu, 0) {
                Err(reason) => {
                    assert!(collides, "{label} are refused: {reason}");
                    assert!(reason.len() > 40, "{label}: {reason}");
                }
                Ok(mut trial) => {
                    assert!(!collides, "{label} are taken");
                    trial.update(20);
                    assert!(trial.is_finite(), "{label}");
                }
            }
        }
    }
}
