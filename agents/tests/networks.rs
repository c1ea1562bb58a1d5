//! Every network against plain PyTorch modules: `scripts/golden/networks.py` wrote what to expect.

use std::{collections::BTreeMap, sync::Arc};

use pliant_core::{
    network::{
        Activation, Model, NetworkPlan, NetworkSpec, Norm, NormKind, NormPosition,
        PlannedActivation, SpectralNorm,
    },
    optimizer::{Adam, AdamConfig},
    registry::Plugins,
    seeds::{Seeds, Stream},
    tch::{self, Device, Kind, Tensor, no_grad},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/networks.safetensors");

const ADAM: AdamConfig = AdamConfig {
    learning_rate: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    eps_root: 0.0,
    weight_decay: 0.0,
};

/// Half a unit in the last place of f32: the error of one rounding, relative to its result.
const ROUNDING: f64 = 1.0 / (1 << 24) as f64;

/// What outputs and gradients may be off: so many roundings of a tensor's largest element, as independent
/// errors of some hundred products and up to 20 layers add up to, and [`PEERS`] times what PyTorch's
/// own f32 is off, which is more where gradients of both signs cancel.
const ROUNDINGS: f64 = 16.0;
const PEERS: f64 = 4.0;

fn golden() -> BTreeMap<String, Tensor> {
    let tensors = Tensor::read_safetensors(GOLDEN).expect("written by scripts/golden/networks.py");
    tensors.into_iter().collect()
}

fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_agents::register(&mut plugins);
    plugins
}

fn norm(kind: NormKind, position: NormPosition) -> NetworkPlan {
    NetworkPlan {
        norm: Some(Norm { kind, position, affine: true, eps: 1e-5 }),
        ..NetworkPlan::default()
    }
}

fn spectral() -> NetworkPlan {
    let all = SpectralNorm { layers: vec!["all".to_owned()], norm: 2.0, iterations: 1 };
    NetworkPlan { spectral: vec![all], ..NetworkPlan::default() }
}

fn crelu() -> NetworkPlan {
    let function = Arc::new(Activation::Crelu);
    let activation = Some(PlannedActivation { function, keeps_outputs: false });
    NetworkPlan { activation, ..NetworkPlan::default() }
}

/// Name in the golden file, kind of network, its settings, and what is planned.
fn cases() -> Vec<(&'static str, &'static str, &'static str, NetworkPlan)> {
    use NormKind::{Layer, RootMeanSquare};
    use NormPosition::{AfterActivation, BeforeActivation};
    let none = NetworkPlan::default;
    let resnet = "width = 0.03125";
    let large = "width = 0.03125\nstem = \"large\"";
    let vit = "patch = 3\nwidth = 16\nfeed_forward = 24\ndepth = 2\nheads = 4\ndropout = 0.0";
    vec![
        ("mlp_relu", "mlp", "width = 16", none()),
        ("mlp_gelu", "mlp", "width = 16\nactivation = \"gelu\"", none()),
        ("mlp_tanh", "mlp", "width = 16\nactivation = \"tanh\"", none()),
        ("mlp_leaky_relu", "mlp", "width = 16\nactivation = \"leaky_relu\"", none()),
        ("mlp_crelu", "mlp", "width = 16\nactivation = \"crelu\"", none()),
        ("mlp_fourier", "mlp", "width = 16\nactivation = \"fourier\"", none()),
        ("mlp_layer_norm_before", "mlp", "width = 16", norm(Layer, BeforeActivation)),
        ("mlp_layer_norm_after", "mlp", "width = 16", norm(Layer, AfterActivation)),
        ("mlp_rms_norm_before", "mlp", "width = 16", norm(RootMeanSquare, BeforeActivation)),
        ("mlp_rms_norm_after", "mlp", "width = 16", norm(RootMeanSquare, AfterActivation)),
        ("mlp_spectral", "mlp", "width = 16", spectral()),
        ("cnn", "cnn", "width = 0.0625", none()),
        ("cnn_layer_norm_before", "cnn", "width = 0.0625", norm(Layer, BeforeActivation)),
        ("cnn_layer_norm_after", "cnn", "width = 0.0625", norm(Layer, AfterActivation)),
        ("cnn_rms_norm_before", "cnn", "width = 0.0625", norm(RootMeanSquare, BeforeActivation)),
        ("cnn_rms_norm_after", "cnn", "width = 0.0625", norm(RootMeanSquare, AfterActivation)),
        ("cnn_crelu", "cnn", "width = 0.0625", crelu()),
        ("cnn_spectral", "cnn", "width = 0.0625", spectral()),
        ("nature", "nature", "width = 0.125", none()),
        ("impala", "impala", "width = 0.125\ndense = 32", none()),
        ("impala_layer_norm", "impala", "width = 0.125\ndense = 32", norm(Layer, BeforeActivation)),
        ("resnet18", "resnet18", resnet, none()),
        ("resnet18_large_stem", "resnet18", large, none()),
        ("resnet18_layer_norm", "resnet18", resnet, norm(Layer, BeforeActivation)),
        ("vit", "vit", vit, none()),
    ]
}

/// What is expected of one network.
struct Golden<'a> {
    case: &'static str,
    tensors: &'a BTreeMap<String, Tensor>,
}

impl Golden<'_> {
    fn find(&self, key: &str) -> Option<&Tensor> {
        self.tensors.get(&format!("{}/{key}", self.case))
    }

    fn get(&self, key: &str) -> &Tensor {
        self.find(key).unwrap_or_else(|| panic!("{}: no `{key}` in the golden file", self.case))
    }

    /// What is expected of a pass, and how far off an element may be.
    fn expected(&self, pass: &str, key: &str) -> (&Tensor, f64) {
        let expected = self.get(&format!("{pass}/{key}"));
        let error = numbers(self.get(&format!("{pass}/error/{key}")))[0];
        (expected, roundings(expected) + PEERS * error)
    }

    /// Names of the variables it has.
    fn variables(&self) -> Vec<&str> {
        let prefix = format!("{}/first/", self.case);
        self.tensors.keys().filter_map(|key| key.strip_prefix(&prefix)).collect()
    }
}

fn stream() -> Stream {
    Seeds::new(0).stream("network")
}

/// The network with its first parameters; it has the golden one's variables and no others.
fn model(golden: &Golden<'_>, kind: &str, settings: &str, plan: NetworkPlan) -> Model {
    let (shape, target) = (golden.get("observations").size(), golden.get("target").size());
    let spec =
        NetworkSpec { observation: [shape[1], shape[2], shape[3]], actions: target[1], plan };
    let settings = settings.parse().expect("TOML");
    let plugins = plugins();
    let kind = plugins.networks.get(kind).expect("registered");
    let architecture = kind.build(&settings).expect("valid settings");
    let model = Model::new(architecture, spec, &mut stream(), Device::Cpu).expect("fits");
    let mut names: Vec<&str> = model.variables().iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, golden.variables(), "{}", golden.case);
    for (name, variable) in model.variables().iter() {
        let first = golden.get(&format!("first/{name}"));
        assert_eq!(first.size(), variable.size(), "{}: {name}", golden.case);
        no_grad(|| variable.shallow_clone().copy_(first));
    }
    model
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(&tensor.detach().to_kind(Kind::Double).contiguous().reshape([-1])).expect("f64")
}

/// [`ROUNDINGS`] of the largest element.
fn roundings(tensor: &Tensor) -> f64 {
    ROUNDINGS
        * ROUNDING
        * numbers(tensor).iter().fold(0.0, |most: f64, value| value.abs().max(most))
}

/// Panics unless each element is as expected to within `tolerance`.
fn assert_close(label: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.size(), expected.size(), "{label}");
    let elements = numbers(actual).into_iter().zip(numbers(expected));
    for (index, (actual, expected)) in elements.enumerate() {
        let error = (actual - expected).abs();
        assert!(
            error <= tolerance,
            "{label}, element {index}: {actual}, expected {expected}, off by {error:e}, \
             {tolerance:e} allowed"
        );
    }
}

/// The first step of Adam on this gradient, in units of the step size.
fn adam(gradient: f64) -> f64 {
    gradient / (gradient.abs() + ADAM.eps)
}

/// Panics unless each element is where Adam's first step leads by a gradient within `slack` of this one,
/// but for a rounding of the parameter on either side and a dozen of the step.
fn assert_updated(label: &str, actual: &Tensor, expected: &Tensor, gradient: &Tensor, slack: f64) {
    let elements = numbers(actual).into_iter().zip(numbers(expected)).zip(numbers(gradient));
    for (index, ((actual, expected), gradient)) in elements.enumerate() {
        let [low, step, high] = [-slack, 0.0, slack].map(|error| adam(gradient + error));
        let rounding = ROUNDING * (2.0 * expected.abs() + 12.0 * ADAM.learning_rate);
        let tolerance = ADAM.learning_rate * (high - step).max(step - low) + rounding;
        let error = (actual - expected).abs();
        assert!(
            error <= tolerance,
            "{label}, element {index}: {actual}, expected {expected}, off by {error:e}, \
             {tolerance:e} allowed"
        );
    }
}

/// Outputs, gradients and one update of a pass: `training` or `evaluation`.
fn check_pass(golden: &Golden<'_>, model: &Model, pass: &str) {
    let label = |part: &str| format!("{}, {pass}, {part}", golden.case);
    let observations = golden.get("observations");
    let outputs = match pass {
        "training" => model.forward_training(observations, &mut stream(), None),
        _ => model.forward(observations, None),
    };
    let (expected, tolerance) = golden.expected(pass, "outputs");
    assert_close(&label("outputs"), &outputs, expected, tolerance);
    (outputs - golden.get("target")).square().mean(Kind::Float).backward();
    for (name, parameter) in model.variables().parameters() {
        let key = format!("gradient/{name}");
        let (expected, tolerance) = golden.expected(pass, &key);
        assert_close(&label(&key), &parameter.grad(), expected, tolerance);
    }
    Adam::build(ADAM).expect("valid settings").step(model.variables());
    for (name, variable) in model.variables().iter() {
        check_after(golden, pass, name, variable);
    }
}

/// A parameter after one update; running statistics, which a pass in training moves.
fn check_after(golden: &Golden<'_>, pass: &str, name: &str, variable: &Tensor) {
    let label = format!("{}, {pass}, {name} after one update", golden.case);
    if name.ends_with("/spectral_u") {
        return;
    }
    let after = golden.get(&format!("{pass}/after/{name}"));
    if variable.requires_grad() {
        let (gradient, slack) = golden.expected(pass, &format!("gradient/{name}"));
        assert_updated(&label, variable, after, gradient, slack);
    } else {
        assert_close(&label, variable, after, roundings(after));
    }
}

#[test]
fn networks_compute_what_pytorch_computes() {
    // Layers as narrow as these are slower by threads.
    tch::set_num_threads(1);
    let tensors = golden();
    for (case, kind, settings, plan) in cases() {
        let golden = Golden { case, tensors: &tensors };
        let model = model(&golden, kind, settings, plan);
        for pass in ["training", "evaluation"] {
            if golden.find(&format!("{pass}/outputs")).is_some() {
                check_pass(&golden, &model.fork(), pass);
            }
        }
    }
}

#[test]
fn every_registered_network_and_every_golden_case_is_compared() {
    let cases = cases();
    for (kind, _) in plugins().networks.iter() {
        assert!(cases.iter().any(|case| case.1 == kind), "network `{kind}` has no golden case");
    }
    for key in golden().keys() {
        let name = key.split('/').next().expect("a first part");
        assert!(cases.iter().any(|case| case.0 == name), "`{name}` is not compared");
    }
}

/// Parameters of a network for observations of this shape and so many outputs.
fn count(kind: &str, settings: &str, observation: [i64; 3], actions: i64) -> usize {
    let plugins = plugins();
    let kind = plugins.networks.get(kind).expect("registered");
    let architecture = kind.build(&settings.parse().expect("TOML")).expect("valid settings");
    let spec = NetworkSpec { observation, actions, plan: NetworkPlan::default() };
    let model = Model::new(architecture, spec, &mut stream(), Device::Cpu).expect("fits");
    model.variables().count()
}

#[test]
fn networks_have_the_published_numbers_of_parameters() {
    // torchvision's resnet18.
    assert_eq!(count("resnet18", "stem = \"large\"", [3, 64, 64], 1000), 11_689_512);
    // timm's vit_tiny_patch16_224.
    let tiny = "patch = 16\nwidth = 192\nfeed_forward = 768\ndepth = 12\nheads = 3";
    assert_eq!(count("vit", tiny, [3, 224, 224], 1000), 5_717_416);
    // The residual network of Procgen (Cobbe et al., 2020): 15 actions and a value.
    assert_eq!(count("impala", "", [3, 64, 64], 16), 626_256);
    // DQN on Breakout: 8,224 + 32,832 + 36,928 + 1,606,144 + 2,052.
    assert_eq!(count("nature", "shared_output_bias = false", [4, 84, 84], 4), 1_686_180);
    // Keras' mnist_mlp.
    assert_eq!(count("mlp", "", [1, 28, 28], 10), 669_706);
    // Not published: 4,864 + 36,928 + 590,080 + 65,792 + 2,570.
    assert_eq!(count("cnn", "", [3, 32, 32], 10), 700_234);
}
