//! Numbers of single layers of networks from the registry, against their definitions.

use pliant_agents::networks::{Cnn, CnnConfig};
use pliant_core::{
    learner::Learner,
    metrics::Value,
    network::{NetworkPlan, SpectralNorm},
    probe::Transitions,
    seeds::Seeds,
    tch::{Kind, Tensor},
};

use crate::common::{agent, measure, mlp};

/// The trace of W W^T over its largest eigenvalue, where a kernel [units, inputs, height, width] is a matrix with a
/// row for each unit.
#[test]
fn stable_ranks_of_kernels_are_of_a_row_for_each_unit() {
    let cnn = Cnn::build(CnnConfig { width: 0.125, ..CnnConfig::default() }).expect("valid");
    let agent = agent(cnn, NetworkPlan::default(), [1, 29, 30], 20);
    let metrics = measure(agent.as_ref(), "rank", "batch_size = 4");
    let mut kernels = 0;
    for (name, weight) in agent.learner().online.variables().weights() {
        let rows = weight.detach().to_kind(Kind::Double).reshape([weight.size()[0], -1]);
        let square = rows.matmul(&rows.transpose(0, 1));
        let most = square.linalg_eigvalsh("U").max().double_value(&[]);
        let expected = square.trace().double_value(&[]) / most;
        let layer = name.trim_end_matches("/weight");
        let actual = metrics.get_scalar(&format!("rank/weight_stable/{layer}")).expect("reported");
        assert!((actual - expected).abs() < 1e-9, "{name}: {actual}, expected {expected}");
        kernels += usize::from(weight.dim() == 4);
    }
    assert_eq!(kernels, 2);
}

/// Scores are shares of the layer's mean activity: their mean is 1, and those up to tau are dormant.
#[test]
fn scores_of_a_layer_are_those_that_its_dormant_units_are_counted_by() {
    let agent = agent(mlp(), NetworkPlan::default(), [1, 4, 4], 100);
    let metrics = measure(agent.as_ref(), "units", "taus = [0.5]\nbatch_size = 64");
    let (mut dormant, mut units) = (0, 0);
    for (tag, value) in metrics.iter() {
        let (Some(layer), Value::Histogram(scores)) = (tag.strip_prefix("units/score/"), value)
        else {
            continue;
        };
        assert_eq!(scores.len(), 8, "{layer}");
        assert!((scores.iter().sum::<f64>() / 8.0 - 1.0).abs() < 1e-9, "{layer}: {scores:?}");
        let below = scores.iter().filter(|score| **score <= 0.5).count();
        let share = metrics.get_scalar(&format!("units/dormant_0.5/{layer}"));
        assert_eq!(share, Some(below as f64 / 8.0), "{layer}");
        (dormant, units) = (dormant + below, units + 8);
    }
    assert!(dormant > 0 && dormant < units, "{dormant} of {units}");
    assert_eq!(metrics.get_scalar("units/dormant_0.5"), Some(dormant as f64 / units as f64));
    assert_eq!(metrics.get_scalar("units/dormant_0.1"), None, "it was not asked for");
}

/// What follows the parameters follows the step on the copy: the churn is what a step of the agent's would do.
#[test]
fn churn_of_a_network_with_spectral_norms_is_that_of_a_whole_update() {
    let layers = vec!["all".to_owned(), "output".to_owned()];
    let spectral = SpectralNorm { layers, norm: 1.0, iterations: 1 };
    let plan = NetworkPlan { spectral: vec![spectral], ..NetworkPlan::default() };
    let mut agent = agent(mlp(), plan, [1, 4, 4], 100);
    agent.learner_mut().optimizer.set_learning_rate(0.05);
    let metrics = measure(agent.as_ref(), "interference", "learned = 8\nbatch_size = 16");
    let churn = metrics.get_scalar("interference/churn").expect("reported");
    let learner = agent.learner();
    let mut stream = Seeds::new(3).stream("probe");
    let all = agent.data().transitions(24, &mut stream).expect("transitions");
    let learned = |tensor: &Tensor| tensor.narrow(0, 0, 8);
    let batch = Transitions {
        s_tm1: learned(&all.s_tm1),
        a_tm1: learned(&all.a_tm1),
        r_t: learned(&all.r_t),
        discount_t: learned(&all.discount_t),
        s_t: learned(&all.s_t),
    };
    let observed = all.s_tm1.narrow(0, 8, 16);
    let mut copy = learner.fork();
    agent.data().losses(&copy, &batch, None).mean(Kind::Float).backward();
    copy.optimizer.step(copy.online.variables());
    let moved = |copy: &Learner| {
        let change = copy.online.q_values(&observed) - learner.online.q_values(&observed);
        change.abs().mean(Kind::Double).double_value(&[])
    };
    let without = moved(&copy);
    copy.online.follow_parameters();
    let expected = moved(&copy);
    assert!((without / expected - 1.0).abs() > 1e-4, "{without} and {expected} can be told apart");
    assert!((churn / expected - 1.0).abs() < 1e-5, "{churn}, expected {expected}");
}
