//! Gradient covariances against a backward pass for each transition, for every network.

use std::sync::Arc;

use crate::common::{agent, plugins, subject};
use pliant_core::{
    agent::Agent,
    clock::Clock,
    head::{Categorical, Encoding, Head, Support},
    metrics::{Metrics, Value},
    network::{
        Activation, Architecture, AuxiliaryHead, NetworkPlan, Norm, NormKind, NormPosition,
        PlannedActivation, SpectralNorm,
    },
    seeds::Seeds,
    tch::{Kind, Tensor},
};

/// Kind, settings and pictures.
const NETWORKS: [(&str, &str, [usize; 3]); 7] = [
    ("mlp", "width = 8", [1, 6, 6]),
    ("cnn", "width = 0.0625", [1, 29, 30]),
    ("nature", "width = 0.0625", [2, 40, 40]),
    ("impala", "width = 0.125\ndense = 8", [1, 12, 13]),
    ("resnet18", "width = 0.03125", [1, 13, 12]),
    ("resnet18", "width = 0.03125\nbatch_norm = false", [1, 13, 12]),
    ("vit", "width = 8\nfeed_forward = 12\nheads = 2\ndepth = 2", [1, 9, 12]),
];

fn norm(kind: NormKind, position: NormPosition) -> NetworkPlan {
    let norm = Norm { kind, position, affine: true, eps: 1e-5 };
    NetworkPlan { norm: Some(norm), ..NetworkPlan::default() }
}

fn plans() -> Vec<(&'static str, NetworkPlan)> {
    let support = Support::new(-1.0, 1.0, 5).expect("valid");
    let categorical = Categorical { support, encoding: Encoding::TwoHot };
    let crelu = PlannedActivation { function: Arc::new(Activation::Crelu), keeps_outputs: false };
    let all = SpectralNorm { layers: vec!["all".to_owned()], norm: 1.0, iterations: 1 };
    let extra = AuxiliaryHead { name: "extra".to_owned(), outputs: 3 };
    vec![
        ("plain", NetworkPlan::default()),
        ("layer norm", norm(NormKind::Layer, NormPosition::BeforeActivation)),
        ("rms norm", norm(NormKind::RootMeanSquare, NormPosition::BeforeActivation)),
        ("norm after", norm(NormKind::Layer, NormPosition::AfterActivation)),
        ("crelu", NetworkPlan { activation: Some(crelu), ..NetworkPlan::default() }),
        ("head", NetworkPlan { head: Head::Categorical(categorical), ..NetworkPlan::default() }),
        ("spectral", NetworkPlan { spectral: vec![all], ..NetworkPlan::default() }),
        ("auxiliary", NetworkPlan { auxiliary: vec![extra], ..NetworkPlan::default() }),
        ("injected", NetworkPlan { is_injected: true, ..NetworkPlan::default() }),
    ]
}

const TRANSITIONS: usize = 6;

/// The probe's matrix in the order of the draw.
fn by_the_probe(agent: &dyn Agent, loss: &str) -> Vec<f32> {
    let settings = format!("batch_size = {TRANSITIONS}\norder = \"none\"\nloss = \"{loss}\"");
    let plugins = plugins();
    let kind = plugins.probes.get("gradient_covariance").expect("registered");
    let mut probe = kind.build(&settings.parse().expect("TOML")).expect("valid settings");
    let (clock, mut metrics) = (Clock::default(), Metrics::default());
    let mut stream = Seeds::new(3).stream("probe");
    let measured = probe.measure(&subject(agent, &clock), &mut stream, &mut metrics);
    measured.expect("measures");
    let matrix = metrics.iter().find_map(|(_, value)| match value {
        Value::Matrix(matrix) => Some(matrix.values.clone()),
        _ => None,
    });
    matrix.expect("a matrix")
}

/// A backward pass for each transition, in f64 from the gradients on.
fn one_by_one(agent: &dyn Agent, loss: &str) -> Vec<f64> {
    let mut stream = Seeds::new(3).stream("probe");
    let batch = agent.data().transitions(TRANSITIONS, &mut stream).expect("transitions");
    let learner = agent.learner();
    let losses = if loss == "primary" {
        agent.data().losses(learner, &batch, None)
    } else {
        let q = learner.online.q_values(&batch.s_tm1);
        let eps = stream.normal(&[1, q.size()[1]], 1.0);
        (&q - q.detach() + eps).square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
    };
    let parameters: Vec<Tensor> =
        learner.online.variables().parameters().map(|(_, tensor)| tensor.shallow_clone()).collect();
    let gradient = |index: i64| {
        let gradients = Tensor::run_backward(&[losses.get(index)], &parameters, true, false);
        let flat: Vec<Tensor> = gradients
            .iter()
            .filter(|gradient| gradient.defined())
            .map(|gradient| gradient.reshape([-1]).to_kind(Kind::Double))
            .collect();
        Tensor::cat(&flat, 0)
    };
    let rows: Vec<Tensor> = (0..TRANSITIONS as i64).map(gradient).collect();
    let unit = |row: &Tensor| row / row.norm();
    let rows: Vec<Tensor> = rows.iter().map(unit).collect();
    let matrix = Tensor::stack(&rows, 0);
    Vec::try_from(&matrix.matmul(&matrix.transpose(0, 1)).reshape([-1])).expect("f64")
}

#[test]
fn cosines_equal_those_of_separate_backward_passes_for_every_network() {
    let plugins = plugins();
    let mut tried = 0;
    for (kind, settings, shape) in NETWORKS {
        let build = || -> Arc<dyn Architecture> {
            let settings = settings.parse().expect("TOML");
            let built = plugins.networks.get(kind).and_then(|kind| kind.build(&settings));
            built.expect("valid settings")
        };
        for (name, plan) in plans() {
            if build().supports(&plan).is_err() {
                continue;
            }
            let agent = agent(build(), plan, shape, 20);
            for loss in ["probe", "primary"] {
                let label = format!("{kind} ({settings}), {name}, {loss}");
                let actual = by_the_probe(agent.as_ref(), loss);
                let expected = one_by_one(agent.as_ref(), loss);
                for (actual, expected) in actual.iter().zip(&expected) {
                    let off = (f64::from(*actual) - expected).abs();
                    assert!(off < 2e-5, "{label}: {actual}, expected {expected}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 80, "{tried} cases");
}

#[test]
fn every_registered_network_is_tried() {
    for (kind, _) in plugins().networks.iter() {
        assert!(NETWORKS.iter().any(|(tried, ..)| *tried == kind), "{kind} has no case");
    }
}
