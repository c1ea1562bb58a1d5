//! What every registered probe must do: above all, change nothing.

use std::rc::Rc;

use pliant_agents::{
    networks::{Mlp, MlpConfig},
    replay::Replay,
};
use pliant_core::{
    conformance::check_settings,
    envs::env::{EnvSpec, FrameShape, StackPadding, Step},
    learner::Learner,
    metrics::Metrics,
    network::{Model, NetworkPlan, NetworkSpec},
    optimizer::{Adam, AdamConfig},
    probe::Probe,
    registry::Plugins,
    seeds::Seeds,
    state::{Checkpoint, StateDict},
    tch::{self, Device, Kind, Tensor},
};

fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_probes::register(&mut plugins);
    plugins
}

/// Every registered probe with default settings.
fn probes() -> Vec<(&'static str, Box<dyn Probe>)> {
    let plugins = plugins();
    let build = |(name, kind): (_, &pliant_core::registry::Kind<Box<dyn Probe>>)| {
        (name, kind.build(&toml::Table::new()).expect("builds by default"))
    };
    plugins.probes.iter().map(build).collect()
}

fn env() -> EnvSpec {
    EnvSpec {
        frame: FrameShape { channels: 1, height: 2, width: 2 },
        frame_stack: 2,
        stack_padding: StackPadding::Zeros,
        actions: vec!["left".to_owned(), "right".to_owned()],
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
    }
}

fn replay() -> Replay {
    Replay::new(&env(), 1, 100, 0.99).expect("a small replay")
}

fn filled_replay() -> Replay {
    let mut replay = replay();
    let frame = |step: u8| [step, 255 - step, 3, step / 2];
    replay.begin(0, &frame(0));
    for step in 1..60 {
        let outcome = Step { reward: 1.0, discount: 1.0, ..Step::default() };
        replay.add(0, usize::from(step) % 2, &outcome, &frame(step));
    }
    replay
}

fn learner() -> Learner {
    let mlp = Mlp::build(MlpConfig { width: 8, ..MlpConfig::default() }).expect("valid settings");
    let spec = NetworkSpec::new(&env(), NetworkPlan::default());
    let mut stream = Seeds::new(0).stream("network");
    let model = Model::new(Rc::clone(&mlp), spec, &mut stream, Device::Cpu).expect("fits");
    Learner::new(model, Adam::build(AdamConfig::default()).expect("valid settings"))
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
    let (learner, replay) = (learner(), filled_replay());
    let before = bits(&learner);
    for (name, mut probe) in probes() {
        let mut metrics = Metrics::default();
        let mut stream = Seeds::new(0).stream("probe");
        probe.measure(&learner, &replay, &mut stream, &mut metrics).expect("measures");
        assert!(!metrics.is_empty(), "{name}");
        assert_eq!(bits(&learner), before, "{name}");
    }
}

#[test]
fn every_probe_draws_from_its_own_stream_alone() {
    let (learner, replay) = (learner(), filled_replay());
    for (name, mut probe) in probes() {
        let mut measure = |root| {
            let mut metrics = Metrics::default();
            let mut stream = Seeds::new(root).stream("probe");
            probe.measure(&learner, &replay, &mut stream, &mut metrics).expect("measures");
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
fn no_probe_minds_an_empty_replay() {
    for (name, mut probe) in probes() {
        let mut metrics = Metrics::default();
        let mut stream = Seeds::new(0).stream("probe");
        probe
            .measure(&learner(), &replay(), &mut stream, &mut metrics)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
