//! The plasticity probe on networks of which something is known.

use pliant_agents::networks::{Mlp, MlpConfig};
use pliant_core::{
    agent::Agent,
    metrics::Metrics,
    network::NetworkPlan,
    optimizer::{Adam, AdamConfig},
    seeds::Seeds,
    tch::{self, Kind, no_grad},
};

use crate::common::{self, agent, agent_from, mlp};

fn measure(agent: &dyn Agent, settings: &str) -> Metrics {
    common::measure(agent, "plasticity", settings)
}

fn small() -> Box<dyn Agent> {
    agent(mlp(), NetworkPlan::default(), [1, 4, 4], 600)
}

fn number(metrics: &Metrics, name: &str) -> f64 {
    metrics.get_scalar(&format!("plasticity/{name}")).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_network_that_cannot_learn_has_no_plasticity() {
    let mut agent = small();
    agent.learner_mut().optimizer.set_learning_rate(0.0);
    let metrics = measure(agent.as_ref(), "targets = 4\nsteps = 50\nobservations = 512");
    let (initial, last) = (number(&metrics, "initial_loss"), number(&metrics, "final_loss"));
    assert_eq!(initial, last);
    // A sine of a number that is large and as good as random has a variance of one half.
    assert!((number(&metrics, "baseline") - 0.5).abs() < 0.05, "{}", number(&metrics, "baseline"));
    // Predictions vary too, which no mean can follow; at the beginning by little.
    let plasticity = number(&metrics, "plasticity");
    assert!((-0.1..0.02).contains(&plasticity), "{plasticity}");
}

#[test]
fn a_network_that_learns_fits_some_of_it() {
    let agent = small();
    let settings = "targets = 2\nsteps = 4000\nobservations = 32\nbatch_size = 32\nscale = 20";
    let metrics = measure(agent.as_ref(), settings);
    let (initial, last) = (number(&metrics, "initial_loss"), number(&metrics, "final_loss"));
    assert!(last < 0.5 * initial, "{initial}, then {last}");
}

/// The measurement is of the whole network: one whose units are all dead fits a constant at best.
#[test]
fn a_dead_network_fits_a_constant_at_best() {
    let mut agent = small();
    let learner = agent.learner_mut();
    for (name, variable) in learner.online.variables().parameters() {
        if name == "dense2/bias" {
            let _ = no_grad(|| variable.shallow_clone().fill_(-100.0));
        }
    }
    let metrics =
        measure(agent.as_ref(), "targets = 2\nsteps = 300\nobservations = 64\nbatch_size = 64");
    let (baseline, last) = (number(&metrics, "baseline"), number(&metrics, "final_loss"));
    assert!(last > 0.9 * baseline, "{last} of {baseline}");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let threads = tch::get_num_threads();
    // Large enough that libtorch shares one product out among threads.
    let wide = Mlp::build(MlpConfig { width: 700, ..MlpConfig::default() }).expect("valid");
    let agent = agent(wide, NetworkPlan::default(), [1, 24, 24], 300);
    let with = |threads: i32| {
        tch::set_num_threads(threads);
        measure(agent.as_ref(), "targets = 3\nsteps = 4\nobservations = 256\nbatch_size = 256")
    };
    let (one, two, three) = (with(1), with(2), with(3));
    tch::set_num_threads(threads);
    assert!(one == two && two == three);
}

/// A network of 64 units per layer, after so many tasks of fitting new random values at the same pictures.
fn after_tasks(seed: u64, tasks: usize) -> Box<dyn Agent> {
    let wide = Mlp::build(MlpConfig { width: 64, ..MlpConfig::default() }).expect("valid");
    let mut agent = agent_from(seed, wide, NetworkPlan::default(), [1, 4, 4], 600);
    let adam = AdamConfig { learning_rate: 1e-3, eps: 1e-8, ..AdamConfig::default() };
    let mut stream = Seeds::new(seed).stream("tasks");
    let pictures = agent.data().transitions(256, &mut stream).expect("transitions").s_tm1;
    let learner = agent.learner_mut();
    learner.optimizer = Adam::build(adam).expect("valid");
    for _ in 0..tasks {
        let wanted = stream.normal(&[256, 2], 3.0);
        for _ in 0..200 {
            let outputs = learner.online.forward(&pictures, None);
            let loss = (outputs - &wanted).square().mean(Kind::Float);
            learner.online.variables().zero_grad();
            loss.backward();
            learner.optimizer.step(learner.online.variables());
        }
    }
    agent
}

/// Five seeds, paired: the same pictures, targets and draws for the new and the old network.
#[test]
#[ignore = "slow: trains ten networks and probes each"]
fn a_network_that_was_trained_long_on_changing_targets_fits_less_well_than_a_new_one() {
    let settings = "targets = 3\nsteps = 400\nobservations = 256\nbatch_size = 64";
    let final_loss = |agent: &dyn Agent| number(&measure(agent, settings), "final_loss");
    let differences: Vec<f64> = (0..5)
        .map(|seed| {
            let [new, old] = [0, 60].map(|tasks| final_loss(after_tasks(seed, tasks).as_ref()));
            eprintln!("seed {seed}: new {new:.4}, old {old:.4}");
            old - new
        })
        .collect();
    let mean = differences.iter().sum::<f64>() / 5.0;
    let squares: f64 = differences.iter().map(|value| (value - mean).powi(2)).sum();
    let standard_error = (squares / 4.0 / 5.0).sqrt();
    eprintln!("old - new: {mean:.4} +- {standard_error:.4}");
    assert!(mean > 3.0 * standard_error && mean > 0.01, "{mean} +- {standard_error}");
}
