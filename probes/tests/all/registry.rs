//! What every registered probe must do: above all, change nothing.

use crate::common::{agent, mlp, plugins, subject};
use pliant_core::{
    agent::Agent,
    clock::Clock,
    conformance::ProbeTrials,
    learner::Learner,
    metrics::{Metrics, Value},
    network::NetworkPlan,
    probe::{Probe, Probes, Subject, Watch},
    seeds::Seeds,
    state::{Checkpoint, StateDict},
    tch::{Tensor, no_grad},
};

/// Every registered probe with default settings, but for shorter training and smaller batches.
fn probes() -> Vec<(&'static str, Box<dyn Probe>)> {
    let plugins = plugins();
    let quick = |name: &str| match name {
        "plasticity" | "random_labels" => {
            "targets = 3\nsteps = 20\nobservations = 64\nbatch_size = 32"
        }
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
fn every_probe_keeps_the_rules_that_all_probes_keep() {
    ProbeTrials::of(pliant_probes::register)
        .quick("plasticity", "targets = 2\nsteps = 10\nobservations = 64\nbatch_size = 16")
        .quick("random_labels", "targets = 2\nsteps = 10\nobservations = 64\nbatch_size = 16")
        .quick("hessian", "steps = 4")
        .quick("sharpness", "steps = 4")
        .check();
}

#[test]
fn every_probe_measures_and_leaves_the_learner_as_it_was() {
    let (agent, clock) = (small(2100), Clock::default());
    let before = bits(agent.learner());
    for (name, mut probe) in probes() {
        let mut metrics = Metrics::default();
        let mut stream = Seeds::new(0).stream("probe");
        let measured = probe.measure(&subject(agent.as_ref(), &clock), &mut stream, &mut metrics);
        measured.expect("measures");
        assert!(!metrics.is_empty(), "{name}");
        assert_eq!(bits(agent.learner()), before, "{name}");
    }
}

#[test]
fn two_probes_of_one_kind_with_different_losses_leave_no_number_of_the_same_name() {
    let (agent, clock, plugins) = (small(40), Clock::default(), plugins());
    for kind in ["gradient_covariance", "hessian", "sharpness"] {
        let mut metrics = Metrics::default();
        for loss in ["probe", "primary"] {
            let setting = match kind {
                "hessian" => format!("losses = [\"{loss}\"]\nsteps = 3"),
                _ => format!("loss = \"{loss}\""),
            };
            let settings = format!("batch_size = 8\n{setting}").parse().expect("TOML");
            let kind = plugins.probes.get(kind).expect("registered");
            let mut probe = kind.build(&settings).expect("valid settings");
            let mut stream = Seeds::new(0).stream("probe");
            let subject = subject(agent.as_ref(), &clock);
            probe.measure(&subject, &mut stream, &mut metrics).expect("measures");
        }
        let mut tags: Vec<&str> = metrics.iter().map(|(tag, _)| tag).collect();
        let count = tags.len();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), count, "{kind}: {tags:?}");
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
            measured.expect("measures");
            (metrics, stream)
        };
        let (first, first_stream) = measure(0);
        let (second, second_stream) = measure(0);
        assert_eq!(second, first, "{name}: the same stream gives the same numbers");
        assert_eq!(second_stream, first_stream, "{name}");
    }
}

#[test]
fn probes_wait_for_what_they_need_and_measure_once_it_is_there() {
    let few = Clock { updates: 5000, ..Clock::default() };
    let names: Vec<(String, Box<dyn Probe>)> =
        probes().into_iter().map(|(name, probe)| (name.to_owned(), probe)).collect();
    let count = names.len();
    let mut probes = Probes::new(names, &Seeds::new(0));
    let mut metrics = Metrics::default();
    let (poor, rich) = (small(1), small(2100));
    probes
        .measure_due(&Clock::default(), &subject(poor.as_ref(), &few), &mut metrics)
        .expect("waits");
    assert_eq!(probes.waiting().count(), count);
    let texts = metrics.iter().filter(|(tag, _)| *tag == "probe/waits").count();
    assert_eq!((texts, metrics.iter().count()), (count, count), "each says so, and nothing else");
    let mut state = StateDict::default();
    probes.save(&mut state);
    let mut resumed_metrics = Metrics::default();
    probes
        .measure_due(&few, &subject(rich.as_ref(), &few), &mut resumed_metrics)
        .expect("measures");
    assert_eq!(probes.waiting().count(), 0);
    for area in ["gradient_covariance", "hessian", "norms", "plasticity", "rank", "units"] {
        let is_there = resumed_metrics.iter().any(|(tag, _)| tag.starts_with(area));
        assert!(is_there, "{area}");
    }
    // What waits is part of the state.
    probes.load(&state).expect("saved above");
    assert_eq!(probes.waiting().count(), count);
}

fn named() -> Vec<(String, Box<dyn Probe>)> {
    probes().into_iter().map(|(name, probe)| (name.to_owned(), probe)).collect()
}

/// Every value that is left, as text: the same bits or not.
fn text(metrics: &Metrics) -> Vec<String> {
    metrics.iter().map(|(tag, value)| format!("{tag} {value:?}")).collect()
}

#[test]
fn probes_go_on_as_saved_with_their_streams() {
    let agent = small(2100);
    let measure = |probes: &mut Probes, updates: [u64; 2]| {
        let [before, now] = updates.map(|updates| Clock { updates, ..Clock::default() });
        let mut metrics = Metrics::default();
        let subject = subject(agent.as_ref(), &now);
        probes.measure_due(&before, &subject, &mut metrics).expect("measures");
        text(&metrics)
    };
    let mut probes = Probes::new(named(), &Seeds::new(0));
    measure(&mut probes, [0, 1]);
    let mut state = StateDict::default();
    probes.save(&mut state);
    let mut resumed = Probes::new(named(), &Seeds::new(1));
    resumed.load(&state).expect("saved above");
    let expected = measure(&mut probes, [1, 100_000]);
    assert!(!expected.is_empty());
    assert_eq!(measure(&mut resumed, [1, 100_000]), expected);
    let mut other = Probes::new(named(), &Seeds::new(0));
    assert_ne!(measure(&mut other, [1, 100_000]), expected, "streams have moved on");
}

#[test]
fn probes_that_need_more_than_the_replay_keeps_are_refused() {
    let agent = small(10);
    let plugins = plugins();
    let kind = plugins.probes.get("rank").expect("registered");
    let fit = |batch: u32| {
        let settings = format!("batch_size = {batch}").parse().expect("TOML");
        let probe = kind.build(&settings).expect("valid settings");
        let probes = Probes::new(vec![("rank".to_owned(), probe)], &Seeds::new(0));
        probes.fit(agent.learner(), agent.data(), None)
    };
    fit(5000).expect("as many as the replay keeps");
    let message = fit(5001).expect_err("one more");
    assert!(message.contains("`rank`") && message.contains("more than 5000"), "{message}");
}

#[test]
fn a_target_or_moment_that_is_not_finite_is_reported_too() {
    let mut agent = small(2100);
    let learner = agent.learner_mut();
    let poison = |tensor: &Tensor| no_grad(|| drop(tensor.flatten(0, -1).get(0).fill_(f64::NAN)));
    poison(learner.target.variables().get("dense1/bias").expect("a variable"));
    let weight = learner.online.variables().get("output/weight").expect("a variable");
    poison(&learner.optimizer.moments_mut().advance("output/weight", weight).tensors[1]);
    let (mut probes, mut metrics) = (Probes::new(named(), &Seeds::new(0)), Metrics::default());
    let clock = Clock::default();
    probes.measure_due(&clock, &subject(agent.as_ref(), &clock), &mut metrics).expect("no crash");
    let text = text(&metrics).concat();
    assert!(text.contains("`dense1/bias` of the target"), "{text}");
    assert!(text.contains("`output/weight`'s `square` in the optimizer"), "{text}");
}

#[test]
fn parameters_too_large_to_measure_end_no_run() {
    let agent = small(2100);
    no_grad(|| {
        for (_, variable) in agent.learner().online.variables().parameters() {
            let _ = variable.shallow_clone().g_mul_scalar_(1e20);
        }
    });
    let (mut probes, mut metrics) = (Probes::new(named(), &Seeds::new(0)), Metrics::default());
    let clock = Clock::default();
    probes.measure_due(&clock, &subject(agent.as_ref(), &clock), &mut metrics).expect("no crash");
    assert_eq!(metrics.get_scalar("probe/failed"), Some(1.0));
    let text = text(&metrics).concat();
    assert!(text.contains("probe `hessian`: libtorch: "), "{text}");
    assert!(!text.contains("frame #"), "the stack of calls is of no use: {text}");
}

#[test]
fn parameters_that_are_not_finite_are_reported_by_name_and_nothing_is_measured() {
    let mut agent = small(2100);
    let variables = agent.learner_mut().online.variables();
    for (name, poison) in [("dense1/bias", f64::NAN), ("output/weight", f64::INFINITY)] {
        let variable = variables.get(name).expect("a variable").shallow_clone();
        no_grad(|| {
            let _ = variable.flatten(0, -1).get(0).fill_(poison);
        });
    }
    let names = probes().into_iter().map(|(name, probe)| (name.to_owned(), probe)).collect();
    let (mut probes, mut metrics) = (Probes::new(names, &Seeds::new(0)), Metrics::default());
    let clock = Clock::default();
    probes.measure_due(&clock, &subject(agent.as_ref(), &clock), &mut metrics).expect("no crash");
    assert_eq!(metrics.get_scalar("probe/not_finite"), Some(2.0));
    let text = metrics.iter().find_map(|(_, value)| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    });
    let text = text.expect("a report");
    assert!(text.contains("`dense1/bias`") && text.contains("`output/weight`"), "{text}");
    assert_eq!(metrics.iter().count(), 2, "nothing else");
}

/// Stops at the second word.
struct Impatient(std::cell::Cell<u32>);

impl Watch for Impatient {
    fn progress(&self, _name: &str, _done: u64, _total: u64) {
        self.0.set(self.0.get() + 1);
    }

    fn is_stopped(&self) -> bool {
        self.0.get() >= 2
    }
}

#[test]
fn a_measurement_that_was_stopped_is_made_anew_as_if_nothing_had_been() {
    let (agent, clock) = (small(2100), Clock::default());
    let measure = |probes: &mut Probes, watch: &dyn Watch| {
        let mut metrics = Metrics::default();
        let subject = Subject { watch, ..subject(agent.as_ref(), &clock) };
        probes.measure_due(&clock, &subject, &mut metrics).expect("no failure");
        text(&metrics)
    };
    let mut probes = Probes::new(named(), &Seeds::new(0));
    let begun = measure(&mut probes, &Impatient(0.into()));
    assert!(begun.iter().all(|line| !line.starts_with("plasticity")), "{begun:?}");
    assert!(probes.waiting().any(|label| label.contains("plasticity")));
    let mut state = StateDict::default();
    probes.save(&mut state);
    let mut resumed = Probes::new(named(), &Seeds::new(1));
    resumed.load(&state).expect("saved above");
    let rest = measure(&mut resumed, &());
    assert_eq!(resumed.waiting().count(), 0);
    let mut expected = measure(&mut Probes::new(named(), &Seeds::new(0)), &());
    let mut both = [begun, rest].concat();
    for lines in [&mut expected, &mut both] {
        lines.sort();
        lines.dedup(); // `probe/not_finite` is told twice
    }
    assert_eq!(both, expected);
}

#[test]
fn a_second_probe_of_a_kind_has_tags_of_its_own() {
    let (agent, clock) = (small(2100), Clock::default());
    let plugins = plugins();
    let kind = plugins.probes.get("units").expect("registered");
    let unit = |batch: u32| {
        let settings = format!("batch_size = {batch}").parse().expect("TOML");
        ("units".to_owned(), kind.build(&settings).expect("valid settings"))
    };
    let mut probes = Probes::new(vec![unit(512), unit(64)], &Seeds::new(0));
    let mut metrics = Metrics::default();
    probes.measure_due(&clock, &subject(agent.as_ref(), &clock), &mut metrics).expect("measures");
    for tag in ["units/dead", "units_2/dead"] {
        assert_eq!(metrics.iter().filter(|(name, _)| *name == tag).count(), 1, "{tag}");
    }
}
