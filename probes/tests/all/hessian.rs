//! The Hessian probe against whole matrices.

use pliant_agents::networks::{Mlp, MlpConfig};
use pliant_core::{
    agent::Agent,
    clock::Clock,
    metrics::Metrics,
    network::{Activation, NetworkPlan},
    seeds::Seeds,
    tch::{Kind, Tensor},
};

use crate::common::{agent, plugins, subject};

const TRANSITIONS: usize = 16;

fn small() -> Box<dyn Agent> {
    let config =
        MlpConfig { width: 6, depth: 2, activation: Activation::Tanh, ..MlpConfig::default() };
    agent(Mlp::build(config).expect("valid"), NetworkPlan::default(), [1, 3, 3], 40)
}

fn measure(agent: &dyn Agent, kind: &str, settings: &str) -> Metrics {
    let plugins = plugins();
    let kind = plugins.probes.get(kind).expect("registered");
    let settings = format!("batch_size = {TRANSITIONS}\n{settings}").parse().expect("TOML");
    let mut probe = kind.build(&settings).expect("valid settings");
    let (clock, mut metrics) = (Clock::default(), Metrics::default());
    let mut stream = Seeds::new(3).stream("probe");
    let measured = probe.measure(&subject(agent, &clock), &mut stream, &mut metrics);
    measured.expect("measures");
    metrics
}

/// The loss that the probe looks at, with the same draws.
fn loss(agent: &dyn Agent, kind: &str) -> Tensor {
    let mut stream = Seeds::new(3).stream("probe");
    let batch = agent.data().transitions(TRANSITIONS, &mut stream).expect("transitions");
    let learner = agent.learner();
    if kind == "primary" {
        return agent.data().losses(learner, &batch, None).mean(Kind::Float);
    }
    let q = learner.online.q_values(&batch.s_tm1);
    let eps = stream.normal(&[TRANSITIONS as i64, q.size()[1]], 1.0);
    let error = &q - q.detach() + eps;
    error.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).mean(Kind::Float)
}

/// The Hessian row by row, f64 `[parameters, parameters]`.
fn whole(agent: &dyn Agent, loss: &Tensor) -> Tensor {
    let variables = agent.learner().online.variables();
    let parameters: Vec<Tensor> =
        variables.parameters().map(|(_, parameter)| parameter.shallow_clone()).collect();
    let flat = |gradients: &[Tensor]| {
        let all: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect();
        Tensor::cat(&all, 0)
    };
    let gradient = flat(&Tensor::run_backward(&[loss], &parameters, true, true));
    let row =
        |index: i64| flat(&Tensor::run_backward(&[gradient.get(index)], &parameters, true, false));
    let rows: Vec<Tensor> = (0..gradient.size()[0]).map(row).collect();
    Tensor::stack(&rows, 0).to_kind(Kind::Double)
}

fn eigenvalues(matrix: &Tensor) -> Vec<f64> {
    let symmetric = (matrix + matrix.transpose(0, 1)) / 2.0;
    let (values, _) = symmetric.linalg_eigh("U");
    Vec::try_from(&values).expect("f64")
}

#[test]
fn extremes_trace_and_negative_mass_are_those_of_the_whole_matrix() {
    let agent = small();
    let settings = "steps = 60\ndraws = 60\nlosses = [\"LOSS\"]";
    for kind in ["probe", "primary"] {
        let exact = eigenvalues(&whole(agent.as_ref(), &loss(agent.as_ref(), kind)));
        let metrics = measure(agent.as_ref(), "hessian", &settings.replace("LOSS", kind));
        let number =
            |name: &str| metrics.get_scalar(&format!("hessian/{kind}/{name}")).expect("reported");
        let (least, most) = (exact[0], exact[exact.len() - 1]);
        assert!(
            (number("largest") / most - 1.0).abs() < 1e-4,
            "{kind}: {}, {most}",
            number("largest")
        );
        assert!(
            (number("smallest") - least).abs() < 1e-4 * most,
            "{kind}: {}, {least}",
            number("smallest")
        );
        // The trace of 60 draws: its standard deviation is sqrt(2 sum lambda^2 / 60).
        let trace: f64 = exact.iter().sum();
        let squares: f64 = exact.iter().map(|value| value * value).sum();
        let deviation = (2.0 * squares / 60.0).sqrt();
        let error = (number("trace") - trace).abs();
        assert!(error < 5.0 * deviation, "{kind}: off by {error}, deviation {deviation}");
        let sigma = 1e-5f64.sqrt() * most.max(-least);
        let below = exact.iter().filter(|value| **value < -sigma).count();
        let share = below as f64 / exact.len() as f64;
        // Of a share s among n directions a draw sees s within sqrt(2 s (1 - s) / n).
        let deviation = (2.0 * share * (1.0 - share) / exact.len() as f64 / 60.0).sqrt();
        let error = (number("negative_mass") - share).abs();
        assert!(error < 6.0 * deviation + 0.01, "{kind}: {} of {share}", number("negative_mass"));
    }
}

#[test]
fn sharpness_is_the_largest_eigenvalue_plain_and_preconditioned() {
    let mut agent = small();
    // A first step, by which the optimiser has something to divide by.
    let loss_before = loss(agent.as_ref(), "primary");
    let learner = agent.learner_mut();
    learner.online.variables().zero_grad();
    loss_before.backward();
    learner.optimizer.step(learner.online.variables());
    let matrix = whole(agent.as_ref(), &loss(agent.as_ref(), "primary"));
    let learner = agent.learner();
    let divisors: Vec<Tensor> = (learner.online.variables().parameters())
        .map(|(name, _)| learner.optimizer.divisor(name).expect("stepped").reshape([-1]))
        .collect();
    let root = Tensor::cat(&divisors, 0).to_kind(Kind::Double).rsqrt();
    let preconditioned = &matrix * root.unsqueeze(0) * root.unsqueeze(1);
    let most = |matrix: &Tensor| *eigenvalues(matrix).last().expect("some");
    let metrics = measure(agent.as_ref(), "sharpness", "steps = 80");
    let number =
        |name: &str| metrics.get_scalar(&format!("sharpness/primary/{name}")).expect("reported");
    let close = |actual: f64, expected: f64| {
        assert!((actual / expected - 1.0).abs() < 1e-3, "{actual}, expected {expected}");
    };
    close(number("plain"), most(&matrix));
    close(number("preconditioned"), most(&preconditioned));
    // Adam with beta1 = .9: 3.8 / (.1 lr).
    let threshold = 38.0 / learner.optimizer.learning_rate();
    close(number("stability"), most(&preconditioned) / threshold);
    assert_eq!(number("unpreconditioned"), 0.0);
}

#[test]
fn noise_of_the_probe_loss_is_of_each_transition_unless_it_is_shared() {
    let agent = small();
    let each =
        *eigenvalues(&whole(agent.as_ref(), &loss(agent.as_ref(), "probe"))).last().expect("some");
    for (kind, loss, tag) in [
        ("sharpness", "loss = \"probe\"", "sharpness/probe/plain"),
        ("hessian", "losses = [\"probe\"]", "hessian/probe/largest"),
    ] {
        let largest = |noise: &str| {
            let settings = format!("steps = 80\n{loss}\n{noise}");
            measure(agent.as_ref(), kind, &settings).get_scalar(tag).expect("reported")
        };
        for noise in ["", "noise = \"each\""] {
            let found = largest(noise);
            assert!((found / each - 1.0).abs() < 1e-3, "{kind}: {found}, expected {each}");
        }
        let shared = largest("noise = \"shared\"");
        assert!((shared / each - 1.0).abs() > 0.01, "{kind}: {shared}, with noise of each {each}");
    }
}
