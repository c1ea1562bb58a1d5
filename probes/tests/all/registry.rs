//! What every registered probe must do: above all, change nothing.

use crate::common::{agent, mlp, plugins, subject};
use pliant_core::{
    agent::Agent,
    clock::Clock,
    conformance::check_settings,
    learner::Learner,
    metrics::Metrics,
    network::NetworkPlan,
    probe::{Measured, Probe},
    seeds::Seeds,
    state::{Checkpoint, StateDict},
    tch::{self, Device, Kind, Tensor},
};

/// Every registered probe with default settings, but for shorter training and smaller batches.
fn probes() -> Vec<(&'static str, Box<dyn Probe>)> {
    let plugins = plugins();
    let quick = |name: &str| match name {
        "plasticity" | "random_labels" => "targets = 3\nsteps = 20\nobservations = 64",
        "hessian" => "steps = 6",
        _ => "",
    };
    let build = |(name, kind): (_, &pliant_core::registry::Kind<Box<dyn Probe>>)| {
        (name, kind.build(&quick(name).parse().expect("TOML")).expect("builds"))
    };
    plugins.probes.iter().map(build).collect()
}

fn small(transitions: usize) -> Box<dyn Agent> {
    agent(mlp(), NetworkPlan::default(), [1, 4, 4], transitions)
}

/// Everything a learner saves and its gradients, as bits.
fn bits(learner: &Learner) -> (Vec<Vec<u32>>, String) {
    let mut state = StateDict::default();
    learner.save(&mut state);
    let bits = |tensor: &Tensor| {
        let flat = Vec::<f32>::try_from(&tensor.reshape([-1])).expect("f32");
        flat.into_iter().map(f32::to_bits).collect()
    };
    let variables = learner.online.variables();
    let gradients = variables.iter().map(|(_, variable)| variable.grad());
    let gradients: Vec<Tensor> = gradients.filter(Tensor::defined).collect();
    let tensors = state.tensors().values().chain(&gradients).map(bits).collect();
    (tensors, format!("{:?}", state.values()))
}

#[test]
fn every_kind_builds_by_default_and_refuses_unknown_settings() {
    assert!(plugins().probes.iter().count() > 0);
    check_settings(&plugins().probes);
}

#[test]
fn every_probe_measures_and_leaves_the_learner_as_it_was() {
    let (agent, clock) = (small(2100), Clock::default());
    let before = bits(agent.learner());
    for (name, mut probe) in probes() {
        let mut metrics = Metrics::default();
        let mut stream = Seeds::new(0).stream("probe");
        let measured = probe.measure(&subject(agent.as_ref(), &clock), &mut stream, &mut metrics);
        assert_eq!(measured.expect("measures"), Measured::Done, "{name}");
        assert!(!metrics.is_empty(), "{name}");
        assert_eq!(bits(agent.learner()), before, "{name}");
    }
}

#[test]
fn every_probe_draws_from_its_own_stream_alone() {
    let (agent, clock) = (small(2100), Clock::default());
    for (name, mut probe) in probes() {
        let mut measure = |root| {
            let mut metrics = Metrics::default();
            let mut stream = Seeds::new(root).stream("probe");
            let subject = subject(agent.as_ref(), &clock);
            let measured = probe.measure(&subject, &mut stream, &mut metrics);
            assert_eq!(measured.expect("measures"), Measured::Done, "{name}");
            (metrics, stream)
        };
        let (first, first_stream) = measure(0);
        let (second, second_stream) = measure(0);
        assert_eq!(second, first, "{name}: the same stream gives the same numbers");
        assert_eq!(second_stream, first_stream, "{name}");
        let options = (Kind::Float, Device::Cpu);
        tch::manual_seed(0);
        let untouched = Tensor::rand([4], options);
        tch::manual_seed(0);
        measure(1);
        assert!(untouched.equal(&Tensor::rand([4], options)), "{name} uses torch's generator");
    }
}

#[test]
fn every_probe_waits_for_what_it_measures_on() {
    let clock = Clock::default();
    for transitions in [0, 1] {
        let agent = small(transitions);
        for (name, mut probe) in probes() {
            let mut metrics = Metrics::default();
            let mut stream = Seeds::new(0).stream("probe");
            let subject = subject(agent.as_ref(), &clock);
            let measured = probe.measure(&subject, &mut stream, &mut metrics).expect(name);
            assert!(matches!(measured, Measured::NotYet(_)), "{name}: {measured:?}");
            assert!(metrics.is_empty(), "{name}");
        }
    }
}
