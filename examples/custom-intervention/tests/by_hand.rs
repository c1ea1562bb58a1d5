//! The intervention and the probe by hand-worked numbers, and the rules that every kind keeps.

use std::sync::Arc;

use custom_intervention::{GradientNoise, WeightNorm, register};
use pliant_core::{
    conformance::{InterventionTrials, ProbeTrials},
    intervention::{Interventions, UpdateBatch},
    network::{Architecture, HiddenLayer, Model, Network, NetworkPlan, NetworkSpec, Pass, Taps},
    optimizer::{Sgd, SgdConfig},
    prelude::*,
    probe::Transitions,
    seeds::Seeds,
    tch::{Device, Kind},
    variables::{Init, VariableSource},
};

/// One linear layer of 200 inputs and 200 outputs, all weights 0.5.
#[derive(Debug)]
struct Linear;

const SIDE: i64 = 200;

impl Architecture for Linear {
    fn build(
        &self,
        _spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let weight = variables.variable("layer/weight", &[SIDE, SIDE], Init::Ones);
        let _ = pliant_core::tch::no_grad(|| weight.shallow_clone().fill_(0.5));
        Ok(Box::new(LinearNetwork(weight)))
    }
}

struct LinearNetwork(Tensor);

impl Network for LinearNetwork {
    fn forward(&self, observations: &Tensor, _pass: &mut Pass<'_>) -> Tensor {
        observations.flatten(1, -1).linear(&self.0, None::<Tensor>)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }
}

/// Plain gradient descent of rate 1, so that a step shows the gradient.
fn learner(updates: u64) -> Learner {
    let spec =
        NetworkSpec { observation: [1, 1, SIDE], actions: SIDE, plan: NetworkPlan::default() };
    let mut stream = Seeds::new(0).stream("network");
    let model =
        Model::new(Arc::new(Linear), spec, &mut stream, Device::Cpu).expect("any size fits");
    let sgd = SgdConfig { learning_rate: 1.0, momentum: 0.0 };
    let mut learner = Learner::new(model, Sgd::build(sgd).expect("valid settings"));
    learner.updates = updates;
    learner
}

/// Mean and standard deviation of the noise that an update after `updates` others has on its gradient,
/// which is 1 everywhere.
fn noise(eta: f64, updates: u64) -> (f64, f64) {
    let mut learner = learner(updates);
    let parts: Vec<(String, Box<dyn Intervention>)> =
        vec![("gradient_noise".to_owned(), Box::new(GradientNoise { eta: Some(eta) }))];
    let mut interventions = Interventions::new(parts, &Seeds::new(0));
    let weight = learner.online.variables().get("layer/weight").expect("made").shallow_clone();
    let loss = weight.sum(Kind::Float);
    let observations = Tensor::zeros([1, 1, 1, SIDE], (Kind::Uint8, Device::Cpu));
    let batch = UpdateBatch { observations: &observations, taps: &Taps::default() };
    let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
    learner
        .update(loss, &batch, 0, &mut interventions, &mut clock, &mut metrics)
        .expect("an update");
    let noise = -(weight.detach() - 0.5) - 1.0; // weight = 0.5 - (1 + noise)
    (noise.mean(Kind::Double).double_value(&[]), noise.std(true).double_value(&[]))
}

#[test]
fn the_noise_has_the_papers_variance_and_falls() {
    // 40,000 draws of seed 0: the mean is within 5 of its standard errors (std / 200), the standard
    // deviation within 5 of its own (std / sqrt(80,000)); one in a million would fail.
    let close = |(mean, std): (f64, f64), expected: f64| {
        assert!(mean.abs() < 5.0 * expected / 200.0, "mean {mean}, expected 0");
        let margin = 5.0 * expected / 80_000f64.sqrt();
        assert!((std - expected).abs() < margin, "standard deviation {std}, expected {expected}");
    };
    close(noise(0.25, 0), 0.5); // sqrt(0.25 / 1)
    close(noise(0.25, 99), 0.140_919_146_563_223_4); // sqrt(0.25 / 100^0.55) = 0.5 / 10^0.55
    let (mean, std) = noise(0.0, 0);
    assert!(mean.abs() < 1e-7 && std < 1e-7, "{mean} {std}");
}

/// No data, for a probe that needs none.
struct Nothing;

impl ProbeData for Nothing {
    fn len(&self) -> u64 {
        0
    }

    fn capacity(&self) -> u64 {
        0
    }

    fn discount(&self) -> f64 {
        0.99
    }

    fn transitions(&self, _batch: usize, _stream: &mut Stream) -> Option<Transitions> {
        None
    }

    fn losses(&self, _: &Learner, _: &Transitions, _: Option<&mut Taps>) -> Tensor {
        unreachable!("there are no transitions")
    }
}

#[test]
fn the_norm_of_40000_halves_is_100() {
    let (mut stream, mut metrics) = (Seeds::new(0).stream("probe"), Metrics::default());
    let mut probe = WeightNorm { every_updates: Some(7) };
    assert_eq!(probe.every(), Every::Updates(7));
    let (learner, clock) = (learner(0), Clock::default());
    let subject =
        Subject { learner: &learner, data: &Nothing, states: None, clock: &clock, watch: &() };
    probe.measure(&subject, &mut stream, &mut metrics).expect("measures");
    assert_eq!(metrics.get_scalar("weight_norm/l2/layer"), Some(100.0)); // sqrt(40,000 * 0.25)
}

/// With every head and optimiser on a small MDP: builds from its defaults, is seen, resumes to the bit.
#[test]
fn the_intervention_keeps_the_rules_of_interventions() {
    InterventionTrials::of(register).check();
}

#[test]
fn the_probe_keeps_the_rules_of_probes() {
    ProbeTrials::of(register).check();
}

#[test]
fn a_negative_variance_is_refused() {
    let mut plugins = Plugins::empty();
    register(&mut plugins);
    let kind = plugins.interventions.get("gradient_noise").expect("registered");
    let settings = "eta = -1.0".parse().expect("TOML");
    let message = kind.build(&settings).err().expect("a negative variance");
    assert!(message.contains("`eta` is -1"), "{message}");
}
