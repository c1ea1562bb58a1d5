//! What probes ask for, and whom they tell.

use std::cell::{Cell, RefCell};

use pliant_core::{
    clock::Clock,
    envs::env::KnownStates,
    error::Error,
    learner::Learner,
    metrics::Metrics,
    network::{NetworkPlan, Taps},
    probe::{Probe, ProbeData, Subject, Transitions, Watch},
    seeds::{Seeds, Stream},
    tch::Tensor,
};

use crate::common::{Parity, agent, mlp, plugins, subject};

/// An agent's data under another discount; counts what is drawn.
struct Seen<'a> {
    data: &'a dyn ProbeData,
    discount: f64,
    drawn: Cell<u64>,
}

impl ProbeData for Seen<'_> {
    fn len(&self) -> u64 {
        self.data.len()
    }

    fn capacity(&self) -> u64 {
        self.data.capacity()
    }

    fn discount(&self) -> f64 {
        self.discount
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        self.drawn.set(self.drawn.get() + batch as u64);
        self.data.transitions(batch, stream)
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        self.data.losses(learner, batch, taps)
    }
}

fn build(kind: &str, settings: &str) -> Box<dyn Probe> {
    let plugins = plugins();
    let kind = plugins.probes.get(kind).expect("registered");
    kind.build(&settings.parse().expect("TOML")).expect("valid settings")
}

#[test]
fn every_probe_needs_what_it_draws() {
    let agent = agent(mlp(), NetworkPlan::default(), [1, 4, 4], 100);
    let clock = Clock::default();
    for (kind, _) in plugins().probes.iter() {
        let settings = match kind {
            "plasticity" | "random_labels" => "observations = 60\nbatch_size = 8\nsteps = 1",
            "hessian" => "batch_size = 60\nsteps = 2",
            _ => "batch_size = 60",
        };
        let mut probe = build(kind, settings);
        let data = Seen { data: agent.data(), discount: 0.99, drawn: Cell::new(0) };
        let subject = Subject { data: &data, ..subject(agent.as_ref(), &clock) };
        let mut stream = Seeds::new(3).stream("probe");
        probe.measure(&subject, &mut stream, &mut Metrics::default()).expect("measures");
        assert_eq!(data.drawn.get(), probe.needs(), "{kind}");
    }
}

#[test]
fn true_values_need_known_states_and_a_discount_below_one() {
    let agent = agent(mlp(), NetworkPlan::default(), [1, 4, 4], 10);
    let fits = |discount, states: Option<&dyn KnownStates>| {
        let data = Seen { data: agent.data(), discount, drawn: Cell::new(0) };
        build("q_error", "").fits(agent.learner(), &data, states)
    };
    fits(0.999, Some(&Parity)).expect("fits");
    let message = fits(1.0, Some(&Parity)).expect_err("the sum has no end");
    assert!(message.contains("`agent.discount` is 1"), "{message}");
    let message = fits(0.999, None).expect_err("there are no states");
    assert!(message.contains("classification"), "{message}");
}

#[test]
fn an_order_by_states_needs_known_states() {
    let agent = agent(mlp(), NetworkPlan::default(), [1, 4, 4], 10);
    let fits = |settings: &str, states: Option<&dyn KnownStates>| {
        build("gradient_covariance", settings).fits(agent.learner(), agent.data(), states)
    };
    fits("order = \"state\"", Some(&Parity)).expect("fits");
    fits("", None).expect("clusters need none");
    let message = fits("order = \"state\"", None).expect_err("there are no states");
    assert!(message.contains("`order` is state"), "{message}");
}

/// All that was told.
#[derive(Default)]
struct Told(RefCell<Vec<(u64, u64)>>);

impl Watch for Told {
    fn progress(&self, _name: &str, done: u64, total: u64) {
        self.0.borrow_mut().push((done, total));
    }
}

#[test]
fn long_measurements_are_told_of_from_the_first_part_to_the_last() {
    let mut agent = agent(mlp(), NetworkPlan::default(), [1, 4, 4], 100);
    let learner = agent.learner_mut();
    // A step, so that the optimiser has something to divide by.
    for (_, parameter) in learner.online.variables().parameters() {
        parameter.square().sum(None).backward();
    }
    learner.optimizer.step(learner.online.variables());
    let clock = Clock::default();
    let cases = [
        ("hessian", "batch_size = 8\nsteps = 4\ndraws = 3", 2 * 3 * 4),
        ("sharpness", "batch_size = 8\nsteps = 5", 2 * 5),
        ("plasticity", "observations = 20\nbatch_size = 8\nsteps = 7\ntargets = 3", 3 * 7),
        ("random_labels", "observations = 20\nbatch_size = 8\nsteps = 7\ntargets = 3", 3 * 7),
    ];
    for (kind, settings, total) in cases {
        let told = Told::default();
        let subject = Subject { watch: &told, ..subject(agent.as_ref(), &clock) };
        let mut stream = Seeds::new(3).stream("probe");
        let measured =
            build(kind, settings).measure(&subject, &mut stream, &mut Metrics::default());
        measured.expect("measures");
        let expected: Vec<(u64, u64)> = (1..=total).map(|done| (done, total)).collect();
        assert_eq!(told.0.into_inner(), expected, "{kind}");
    }
}

/// Nobody waits any more.
struct Gone;

impl Watch for Gone {
    fn progress(&self, _name: &str, _done: u64, _total: u64) {}

    fn is_stopped(&self) -> bool {
        true
    }
}

#[test]
fn long_measurements_that_nobody_waits_for_end_as_stopped() {
    let (agent, clock) = (agent(mlp(), NetworkPlan::default(), [1, 4, 4], 100), Clock::default());
    let training = "observations = 20\nbatch_size = 8\ntargets = 1\nsteps = 5000";
    for (kind, settings) in [
        ("hessian", "batch_size = 8"),
        ("sharpness", "batch_size = 8"),
        ("plasticity", training),
        ("random_labels", training),
    ] {
        let subject = Subject { watch: &Gone, ..subject(agent.as_ref(), &clock) };
        let mut metrics = Metrics::default();
        let mut stream = Seeds::new(3).stream("probe");
        let measured = build(kind, settings).measure(&subject, &mut stream, &mut metrics);
        assert!(matches!(measured, Err(Error::Stopped)), "{kind}: {measured:?}");
    }
}
