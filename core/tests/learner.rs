//! The learner with a network of its own: updates, target copies, forks, saving.

use std::rc::Rc;

use pliant_core::{
    clock::Clock,
    envs::env::{EnvSpec, FrameShape, StackPadding},
    error::Result,
    intervention::{Interventions, UpdateBatch},
    learner::Learner,
    metrics::Metrics,
    network::{Architecture, HiddenLayer, Model, Network, NetworkPlan, NetworkSpec, Pass, Taps},
    optimizer::{Adam, AdamConfig},
    seeds::Seeds,
    state::{Checkpoint, StateDict},
    tch::{Device, Kind, Tensor},
    variables::{Init, VariableSource},
};

#[derive(Debug)]
struct Linear;

struct LinearNetwork(Tensor);

impl Architecture for Linear {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let inputs = spec.observation.iter().product();
        let shape = [spec.outputs(), inputs];
        Ok(Box::new(LinearNetwork(variables.variable("w", &shape, Init::fan_in(inputs)))))
    }
}

impl Network for LinearNetwork {
    fn forward(&self, observations: &Tensor, _pass: &mut Pass<'_>) -> Tensor {
        observations.flatten(1, -1).linear(&self.0, None::<Tensor>)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }
}

fn learner(root: u64) -> Learner {
    let env = EnvSpec {
        frame: FrameShape { channels: 1, height: 2, width: 2 },
        frame_stack: 1,
        stack_padding: StackPadding::Zeros,
        actions: vec!["left".to_owned(), "right".to_owned()],
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
    };
    let spec = NetworkSpec::new(&env, NetworkPlan::default());
    let mut stream = Seeds::new(root).stream("network");
    let model = Model::new(Rc::new(Linear), spec, &mut stream, Device::Cpu).expect("any size fits");
    Learner::new(model, Adam::build(AdamConfig::default()).expect("valid settings"))
}

fn observations() -> Tensor {
    Tensor::from_slice(&[0u8, 50, 100, 255, 9, 8, 7, 6]).reshape([2, 1, 2, 2])
}

fn update(learner: &mut Learner, target_period_updates: u64) -> Result<f64> {
    let outputs = learner.online.forward(&observations(), None);
    update_with(learner, (outputs - 1.0).square().mean(Kind::Float), target_period_updates)
}

fn update_with(learner: &mut Learner, loss: Tensor, target_period_updates: u64) -> Result<f64> {
    let mut interventions = Interventions::default();
    let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
    let batch = UpdateBatch { observations: &observations(), taps: &Taps::default() };
    let period = target_period_updates;
    learner.update(loss, &batch, period, &mut interventions, &mut clock, &mut metrics)
}

/// Everything a learner saves, as bits.
fn bits(learner: &Learner) -> (Vec<(String, Vec<u32>)>, String) {
    let mut state = StateDict::default();
    learner.save(&mut state);
    let bits = |tensor: &Tensor| {
        let flat = Vec::<f32>::try_from(&tensor.reshape([-1])).expect("f32 parameters");
        flat.into_iter().map(f32::to_bits).collect()
    };
    let tensors = state.tensors().iter().map(|(name, tensor)| (name.clone(), bits(tensor)));
    (tensors.collect(), format!("{:?}", state.values()))
}

fn weights(model: &Model) -> Vec<f32> {
    Vec::try_from(&model.variables().get("w").expect("w").detach().reshape([-1])).expect("f32")
}

#[test]
fn an_update_returns_the_loss_it_stepped_on() {
    let mut learner = learner(0);
    let outputs = learner.online.q_values(&observations());
    let expected = (outputs - 1.0).square().mean(Kind::Double).double_value(&[]);
    let loss = update(&mut learner, 10).expect("a finite loss");
    assert!((loss - expected).abs() < 1e-6, "{loss}, expected {expected}");
    assert_eq!(learner.updates, 1);
}

#[test]
fn the_target_is_copied_once_per_period() {
    let mut learner = learner(0);
    let mut copied_at = Vec::new();
    for _ in 0..7 {
        update(&mut learner, 3).expect("a finite loss");
        if weights(&learner.target) == weights(&learner.online) {
            copied_at.push(learner.updates);
        }
    }
    assert_eq!(copied_at, [3, 6]);
}

#[test]
fn a_fork_and_its_origin_do_not_touch_each_other() {
    let mut origin = learner(0);
    update(&mut origin, 10).expect("a finite loss");
    let before = bits(&origin);
    let mut fork = origin.fork();
    assert_eq!(bits(&fork), before);
    update(&mut fork, 1).expect("a finite loss");
    assert_eq!(bits(&origin), before, "a fork's update reached its origin");
    let forked = bits(&fork);
    assert_ne!(forked, before);
    update(&mut origin, 1).expect("a finite loss");
    assert_eq!(bits(&fork), forked, "the origin's update reached its fork");
    assert_eq!(bits(&origin), forked, "the same update of the same learner");
}

#[test]
fn a_loss_that_is_no_number_is_an_error_and_changes_nothing() {
    let mut learner = learner(0);
    update(&mut learner, 10).expect("a finite loss");
    let before = bits(&learner);
    for poison in [f64::NAN, f64::INFINITY] {
        let loss = learner.online.forward(&observations(), None).sum(Kind::Float) * poison;
        let message = update_with(&mut learner, loss, 10).expect_err("not finite").to_string();
        assert!(message.contains("update 2"), "{message}");
        assert_eq!(bits(&learner), before);
    }
}

#[test]
fn a_saved_learner_goes_on_to_the_bit() {
    let mut saved = learner(0);
    update(&mut saved, 2).expect("a finite loss");
    let mut state = StateDict::default();
    saved.save(&mut state);
    let mut loaded = learner(1);
    loaded.load(&state).expect("saved above");
    for _ in 0..3 {
        update(&mut saved, 2).expect("a finite loss");
        update(&mut loaded, 2).expect("a finite loss");
    }
    assert_eq!(bits(&loaded), bits(&saved));
}
