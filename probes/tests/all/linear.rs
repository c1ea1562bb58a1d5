//! A linear network with given weights on given transitions, for numbers worked by hand.

use std::sync::Arc;

use pliant_core::{
    clock::Clock,
    error::Result,
    head::{TdLoss, select_action},
    learner::Learner,
    metrics::Metrics,
    network::{Architecture, HiddenLayer, Model, Network, NetworkPlan, NetworkSpec, Pass, Taps},
    optimizer::{Sgd, SgdConfig},
    probe::{ProbeData, Subject, Transitions},
    seeds::{Seeds, Stream},
    tch::{Device, Kind, Tensor, no_grad},
    variables::{Init, VariableSource},
};

use crate::common::{Parity, env, plugins};

/// What passes for training add to every output.
#[derive(Debug)]
struct Linear(f64);

struct LinearNetwork(Tensor, f64);

impl Architecture for Linear {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let shape = [spec.outputs(), spec.observation.iter().product()];
        let weight = variables.variable("output/weight", &shape, Init::Ones);
        Ok(Box::new(LinearNetwork(weight, self.0)))
    }
}

impl Network for LinearNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let features = observations.flatten(1, -1);
        pass.record_features(&features);
        let outputs = features.linear(&self.0, None::<Tensor>);
        if pass.is_training() { outputs + self.1 } else { outputs }
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }
}

/// Two actions' values of two inputs; SGD with a learning rate of one half. Weights are drawn as ones.
pub fn learner(weight: [f32; 4]) -> Learner {
    learner_that_adds(0.0, weight)
}

/// The same of a network that adds so much to every output in a pass for training.
pub fn learner_that_adds(in_training: f64, weight: [f32; 4]) -> Learner {
    learner_of(Arc::new(Linear(in_training)), weight)
}

/// The same of another network whose `output/weight` has two units of two inputs.
pub fn learner_of(architecture: Arc<dyn Architecture>, weight: [f32; 4]) -> Learner {
    let spec = NetworkSpec::new(&env([1, 1, 2]), NetworkPlan::default());
    let mut stream = Seeds::new(0).stream("network");
    let model = Model::new(architecture, spec, &mut stream, Device::Cpu).expect("fits");
    no_grad(|| {
        let mut own = model.variables().get("output/weight").expect("there").shallow_clone();
        own.copy_(&Tensor::from_slice(&weight).reshape([2, 2]));
    });
    let sgd = Sgd::build(SgdConfig { learning_rate: 0.5, momentum: 0.0 }).expect("valid");
    Learner::new(model, sgd)
}

/// Transitions that are always drawn in this order: what is seen (0 or 1), the action, what its value should be.
pub struct Given(pub Vec<([u8; 2], i64, f32)>);

impl ProbeData for Given {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn capacity(&self) -> u64 {
        self.len()
    }

    fn discount(&self) -> f64 {
        0.99
    }

    fn transitions(&self, batch: usize, _stream: &mut Stream) -> Option<Transitions> {
        let given = self.0.get(..batch)?;
        let size = batch as i64;
        let pixels: Vec<u8> = given.iter().flat_map(|(seen, ..)| seen.map(|it| it * 255)).collect();
        let s_tm1 = Tensor::from_slice(&pixels).reshape([size, 1, 1, 2]);
        let actions: Vec<i64> = given.iter().map(|(_, action, _)| *action).collect();
        let values: Vec<f32> = given.iter().map(|(.., value)| *value).collect();
        Some(Transitions {
            s_t: s_tm1.zeros_like(),
            s_tm1,
            a_tm1: Tensor::from_slice(&actions),
            r_t: Tensor::from_slice(&values),
            discount_t: Tensor::zeros([size], (Kind::Float, Device::Cpu)),
        })
    }

    /// Half the square of what the value is off.
    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        let q = learner.online.forward(&batch.s_tm1, taps);
        TdLoss::Squared.apply(&(&batch.r_t - select_action(&q, &batch.a_tm1)))
    }
}

/// One measurement of a kind of probe on all transitions.
pub fn measure(kind: &str, settings: &str, learner: &Learner, data: &Given) -> Metrics {
    let plugins = plugins();
    let kind = plugins.probes.get(kind).expect("registered");
    let mut probe = kind.build(&settings.parse().expect("TOML")).expect("valid settings");
    assert_eq!(probe.needs(), data.0.len() as u64);
    let (clock, mut metrics) = (Clock::default(), Metrics::default());
    let mut stream = Seeds::new(3).stream("probe");
    let subject = Subject { learner, data, states: Some(&Parity), clock: &clock, watch: &() };
    probe.measure(&subject, &mut stream, &mut metrics).expect("measures");
    metrics
}

/// Numbers to the precision of f32.
pub fn assert_numbers(metrics: &Metrics, expected: &[(&str, f64)]) {
    for (tag, expected) in expected {
        let actual = metrics.get_scalar(tag).unwrap_or_else(|| panic!("no {tag}"));
        assert!((actual - expected).abs() < 1e-6, "{tag}: {actual}, expected {expected}");
    }
}
