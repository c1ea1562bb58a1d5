//! The learner with a network of its own: updates, target copies, forks, saving.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use pliant_core::{
    clock::Clock,
    envs::env::{EnvSpec, FrameShape, StackPadding},
    error::Result,
    intervention::{Hook, Intervention, Interventions, UpdateBatch},
    learner::{Forward, Learner, Losses, Training},
    metrics::Metrics,
    network::{Architecture, HiddenLayer, Model, Network, NetworkPlan, NetworkSpec, Pass, Taps},
    optimizer::{Adam, AdamConfig},
    probe::Transitions,
    seeds::Seeds,
    state::{Checkpoint, StateDict},
    tch::{Device, Kind, Tensor},
    variables::{Init, VariableSource},
};

#[derive(Debug)]
struct Linear {
    is_recordable: bool,
}

struct LinearNetwork {
    w: Tensor,
    is_recordable: bool,
}

impl Architecture for Linear {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let inputs = spec.observation.iter().product();
        let shape = [spec.outputs(), inputs];
        let w = variables.variable("w", &shape, Init::fan_in(inputs));
        Ok(Box::new(LinearNetwork { w, is_recordable: self.is_recordable }))
    }
}

impl Network for LinearNetwork {
    fn forward(&self, observations: &Tensor, _pass: &mut Pass<'_>) -> Tensor {
        observations.flatten(1, -1).linear(&self.w, None::<Tensor>)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }

    fn is_recordable(&self) -> bool {
        self.is_recordable
    }
}

fn learner(root: u64) -> Learner {
    learner_of(Linear { is_recordable: true }, root)
}

fn learner_of(architecture: Linear, root: u64) -> Learner {
    let env = EnvSpec {
        frame: FrameShape { channels: 1, height: 2, width: 2 },
        frame_stack: 1,
        stack_padding: StackPadding::Zeros,
        actions: vec!["left".to_owned(), "right".to_owned()],
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    };
    let spec = NetworkSpec::new(&env, NetworkPlan::default());
    let mut stream = Seeds::new(root).stream("network");
    let model =
        Model::new(Arc::new(architecture), spec, &mut stream, Device::Cpu).expect("any size fits");
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
    Ok(update_under(&mut interventions, learner, loss, target_period_updates)?.total())
}

fn update_under(
    interventions: &mut Interventions,
    learner: &mut Learner,
    loss: Tensor,
    target_period_updates: u64,
) -> Result<Losses> {
    let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
    let batch = UpdateBatch { observations: &observations(), taps: &Taps::default() };
    let period = target_period_updates;
    learner.update(loss, &batch, period, interventions, &mut clock, &mut metrics)
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

/// Writes down when it was called, and what was left of the weights.
struct Scribe {
    name: &'static str,
    calls: Rc<RefCell<Vec<String>>>,
    penalty: f64,
}

impl Scribe {
    fn boxed(
        name: &'static str,
        calls: &Rc<RefCell<Vec<String>>>,
        penalty: f64,
    ) -> (String, Box<dyn Intervention>) {
        (name.to_owned(), Box::new(Self { name, calls: Rc::clone(calls), penalty }))
    }

    fn note(&self, hook: &str, learner: &Learner, ends_in_target_update: bool) -> Result<()> {
        let ends = if ends_in_target_update { ", target" } else { "" };
        let text = format!("{} {hook} ({}{ends})", self.name, learner.updates);
        self.calls.borrow_mut().push(text);
        Ok(())
    }
}

impl Intervention for Scribe {
    fn extra_loss(&mut self, learner: &Learner, _hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        let weight = learner.online.variables().get("w").expect("w");
        Ok(Some(weight.sum(Kind::Float) * 0.0 + self.penalty))
    }

    fn after_backward(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.note("after_backward", learner, hook.ends_in_target_update)
    }

    fn before_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.note("before_step", learner, hook.ends_in_target_update)
    }

    fn after_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.note("after_step", learner, hook.ends_in_target_update)
    }

    fn after_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.note("after_update", learner, hook.ends_in_target_update)
    }

    fn on_target_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.note("on_target_update", learner, hook.ends_in_target_update)
    }
}

pliant_core::stateless!(Scribe);

#[test]
fn hooks_come_in_order_and_what_wraps_the_step_is_nested() {
    let calls = Rc::default();
    let parts = vec![Scribe::boxed("outer", &calls, 0.0), Scribe::boxed("inner", &calls, 0.0)];
    let mut interventions = Interventions::new(parts, &Seeds::new(0));
    let mut learner = learner(0);
    let mut update = || {
        let loss = learner.online.forward(&observations(), None).sum(Kind::Float);
        update_under(&mut interventions, &mut learner, loss, 2).expect("a finite loss");
        std::mem::take(&mut *calls.borrow_mut())
    };
    let common = |before: &str, after: &str| {
        [("after_backward", before), ("before_step", before)]
            .into_iter()
            .flat_map(|(hook, at)| ["outer", "inner"].map(|name| format!("{name} {hook} ({at})")))
            .chain(["inner", "outer"].map(|name| format!("{name} after_step ({after})")))
            .chain(["outer", "inner"].map(|name| format!("{name} after_update ({after})")))
            .collect::<Vec<_>>()
    };
    assert_eq!(update(), common("0", "1"));
    let mut expected = common("1, target", "2, target");
    expected.extend(["outer", "inner"].map(|name| format!("{name} on_target_update (2, target)")));
    assert_eq!(update(), expected);
}

#[test]
fn a_loss_is_returned_in_its_parts_and_a_bad_part_is_named() {
    let calls = Rc::default();
    let parts = |penalties: [f64; 3]| {
        let names = ["decay", "decay", "other"];
        let parts = names.into_iter().zip(penalties);
        let parts = parts.map(|(name, penalty)| Scribe::boxed(name, &calls, penalty)).collect();
        Interventions::new(parts, &Seeds::new(0))
    };
    let mut learner = learner(0);
    let loss = |learner: &Learner| learner.online.forward(&observations(), None).sum(Kind::Float);
    let primary = loss(&learner).double_value(&[]);
    let (present, mut three) = (loss(&learner), parts([0.5, 0.25, 2.0]));
    let losses = update_under(&mut three, &mut learner, present, 9).expect("finite");
    let named = [("decay", 0.5), ("decay_2", 0.25), ("other", 2.0)];
    let penalties = named.map(|(name, penalty)| (name.to_owned(), penalty)).to_vec();
    assert_eq!(losses, Losses { primary, penalties, also: Vec::new() });
    assert_eq!(losses.total(), primary + 2.75);
    let before = bits(&learner);
    let (present, mut bad) = (loss(&learner), parts([0.5, f64::NAN, 2.0]));
    let message = update_under(&mut bad, &mut learner, present, 9).expect_err("not finite");
    assert!(message.to_string().contains("`decay_2`"), "{message}");
    assert_eq!(bits(&learner), before);
}

/// Takes part in nothing that it says it leaves alone, but notes whether it was asked.
struct Asked(Rc<RefCell<u32>>);

impl Intervention for Asked {
    fn leaves_gradients(&self) -> bool {
        true
    }

    fn extra_loss(&mut self, _learner: &Learner, _hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        *self.0.borrow_mut() += 1;
        Ok(None)
    }
}

pliant_core::stateless!(Asked);

/// On a CPU nothing is recorded, but updates take the same way.
#[test]
fn a_network_that_is_not_recordable_is_never_recorded() {
    for is_recordable in [true, false] {
        let (asked, ones) = (Rc::default(), Tensor::ones([2], (Kind::Float, Device::Cpu)));
        let part: Box<dyn Intervention> = Box::new(Asked(Rc::clone(&asked)));
        let mut interventions =
            Interventions::new(vec![("asked".to_owned(), part)], &Seeds::new(0));
        let mut learner = learner_of(Linear { is_recordable }, 0);
        learner.set_recording(true);
        let batch = Transitions {
            s_tm1: observations(),
            a_tm1: ones.to_kind(Kind::Int64),
            r_t: ones.copy(),
            discount_t: ones,
            s_t: observations(),
        };
        let mut forward = |learner: &Learner, batch: &Transitions| {
            let outputs = learner.online.forward(&batch.s_tm1, None);
            let also = Tensor::zeros([0], (Kind::Double, Device::Cpu));
            Forward { loss: outputs.square().mean(Kind::Float), also, taps: Taps::default() }
        };
        let training = Training { forward: &mut forward, meanwhile: &mut || {} };
        let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
        let made =
            learner.update_on(&batch, training, 9, &mut interventions, &mut clock, &mut metrics);
        made.expect("a finite loss");
        assert_eq!(*asked.borrow(), u32::from(!is_recordable));
    }
}
