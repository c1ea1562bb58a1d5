//! `q_error` on values set by hand.

use pliant_core::{
    clock::Clock,
    metrics::Metrics,
    network::NetworkPlan,
    seeds::Seeds,
    tch::{Tensor, no_grad},
};

use crate::common::{agent, mlp, plugins, subject};

/// Q-values are 0.25 and -0.25 everywhere. In the even state both actions are worth 0; in the odd one the
/// second is worth 1, so with a share p of odd states the mean absolute error is 0.25 + p / 2 * (1.25 - 0.25).
#[test]
fn errors_are_those_of_each_observations_state() {
    let agent = agent(mlp(), NetworkPlan::default(), [1, 4, 4], 600);
    no_grad(|| {
        for (name, variable) in agent.learner().online.variables().parameters() {
            let mut variable = variable.shallow_clone();
            match name {
                "output/weight" => drop(variable.zero_()),
                "output/bias" => variable.copy_(&Tensor::from_slice(&[0.25f32, -0.25])),
                _ => {}
            }
        }
    });
    let plugins = plugins();
    let kind = plugins.probes.get("q_error").expect("registered");
    let mut probe = kind.build(&"batch_size = 600".parse().expect("TOML")).expect("valid");
    let (clock, mut metrics) = (Clock::default(), Metrics::default());
    let mut stream = Seeds::new(0).stream("probe");
    probe.measure(&subject(agent.as_ref(), &clock), &mut stream, &mut metrics).expect("measures");
    // All 600 transitions are drawn, each once.
    let everything = agent.data().transitions(600, &mut stream).expect("600 are there");
    let first = everything.s_tm1.flatten(1, -1).select(1, 0);
    let odd = Vec::<u8>::try_from(&first).expect("u8").iter().filter(|p| **p % 2 == 1).count();
    let p = odd as f64 / 600.0;
    assert!((0.4..0.6).contains(&p), "{p}");
    let close = |name: &str, expected: f64| {
        let actual = metrics.get_scalar(&format!("q_error/{name}")).expect("reported");
        assert!((actual - expected).abs() < 1e-9, "{name}: {actual}, expected {expected}");
    };
    close("mean_abs", 0.25 + p / 2.0);
    close("bias", -p / 2.0);
    close("overestimation", 0.25);
    close("optimal_share", 1.0 - p);
}
