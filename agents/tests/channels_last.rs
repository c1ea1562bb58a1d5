//! Every network on observations whose channels lie last in memory against the same on plain ones.

use std::sync::Arc;

use pliant_core::{
    network::{
        Activation, Architecture, Network, NetworkPlan, NetworkSpec, Norm, NormKind, NormPosition,
        Pass, PlannedActivation, Taps,
    },
    registry::Plugins,
    seeds::{Seeds, Stream},
    tch::{self, Device, Kind, Tensor},
    variables::{VariableSource, Variables},
};

/// What may be apart, in units of a tensor's largest element: the rounding of sums in another order. The most
/// seen was 4e-5, behind 20 layers with normalisation over the batch, and 1e-5 elsewhere.
const APART: f64 = 1e-4;

/// Kind, settings, `[batch, channels, height, width]`.
type Case = (&'static str, &'static str, [i64; 4]);

/// With fewer channels than a vector has numbers.
const NARROW: [Case; 6] = [
    ("cnn", "width = 0.0625", [32, 1, 28, 28]),
    ("impala", "width = 0.25\ndense = 8", [32, 3, 12, 12]),
    ("mlp", "width = 8", [4, 3, 9, 9]),
    ("nature", "width = 0.03125", [4, 1, 36, 36]),
    ("resnet18", "width = 0.03125", [32, 3, 12, 12]),
    ("vit", "width = 8\nfeed_forward = 12\nheads = 2", [4, 1, 9, 9]),
];

/// Of a usual width.
const WIDE: [Case; 6] = [
    ("cnn", "", [32, 1, 28, 28]),
    ("cnn", "strides = [1, 1]\nwidth = 0.5", [3, 3, 32, 32]),
    ("impala", "", [2, 4, 40, 40]),
    ("nature", "", [8, 4, 84, 84]),
    ("resnet18", "width = 0.25\nstem = \"large\"", [8, 3, 40, 40]),
    ("vit", "", [2, 3, 32, 32]),
];

fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_agents::register(&mut plugins);
    plugins
}

fn smooth(activation: Activation) -> NetworkPlan {
    let function = Arc::new(activation);
    let activation = Some(PlannedActivation { function, keeps_outputs: false });
    NetworkPlan { activation, ..NetworkPlan::default() }
}

/// Activations are smooth: where what a rectifier reads is 0 but for rounding, gradients would differ by far
/// more than rounding.
fn plans() -> Vec<NetworkPlan> {
    let norm = |kind, position| NetworkPlan {
        norm: Some(Norm { kind, position, affine: true, eps: 1e-5 }),
        ..smooth(Activation::Tanh)
    };
    vec![
        smooth(Activation::Tanh),
        smooth(Activation::Fourier),
        norm(NormKind::Layer, NormPosition::BeforeActivation),
        norm(NormKind::Layer, NormPosition::AfterActivation),
        norm(NormKind::RootMeanSquare, NormPosition::BeforeActivation),
    ]
}

fn architecture((kind, settings, _): Case) -> Arc<dyn Architecture> {
    let settings = settings.parse().expect("TOML");
    let plugins = plugins();
    plugins.networks.get(kind).and_then(|kind| kind.build(&settings)).expect("valid settings")
}

/// A network with its variables; the same ones at every call.
fn build(architecture: &dyn Architecture, spec: &NetworkSpec) -> (Box<dyn Network>, Variables) {
    let mut stream = Seeds::new(0).stream("network");
    let mut source = VariableSource::draw(&mut stream, Device::Cpu);
    let network = architecture.build(spec, &mut source).expect("fits");
    (network, source.finish())
}

fn stream() -> Stream {
    Seeds::new(0).stream("dropout")
}

/// The same numbers, `[n, c, h, w]` by index, in the order n, h, w, c.
fn channels_last(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// All that a pass in training leaves: outputs, activations, gradients, running statistics.
fn left(network: &dyn Network, variables: &Variables, images: &Tensor) -> Vec<(String, Tensor)> {
    let (mut taps, mut dropout) = (Taps::default(), stream());
    let outputs = network.forward(images, &mut Pass::training(&mut dropout, Some(&mut taps)));
    let aims = stream().normal(&outputs.size(), 1.0);
    (&outputs - aims).square().mean(Kind::Float).backward();
    let layers = network.hidden().iter().map(|layer| format!("activations of {}", layer.name));
    let activations = layers.zip(taps.activations()).map(|(name, it)| (name, it.detach()));
    let changed = variables.iter().map(|(name, variable)| {
        let is_learned = variable.requires_grad();
        (name.to_owned(), if is_learned { variable.grad() } else { variable.shallow_clone() })
    });
    let features = taps.features().expect("recorded").detach();
    let both = [("outputs".to_owned(), outputs.detach()), ("features".to_owned(), features)];
    both.into_iter().chain(activations).chain(changed).collect()
}

fn check(case: Case, plan: NetworkPlan) {
    let (kind, settings, [batch, observation @ ..]) = case;
    let label = format!("{kind} ({settings}) with {plan:?}");
    let architecture = architecture(case);
    let spec = NetworkSpec { observation, actions: 6, plan };
    let images = stream().uniform(&[&[batch], observation.as_slice()].concat(), 0.5) + 0.5;
    let [plain, last] = [images.shallow_clone(), channels_last(&images)].map(|images| {
        let (network, variables) = build(architecture.as_ref(), &spec);
        left(network.as_ref(), &variables, &images)
    });
    for ((name, plain), (_, last)) in plain.iter().zip(&last) {
        assert_eq!(plain.size(), last.size(), "{label}: {name}");
        let most = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
        let apart = most(&(plain - last)) / most(plain);
        assert!(apart <= APART, "{label}: {name}: {apart:e} of the largest element apart");
    }
}

#[test]
fn narrow_networks_compute_the_same_with_channels_last() {
    // By several threads oneDNN's narrow strided 1x1 convolution goes wrong without ending the process.
    tch::set_num_threads(2);
    for case in NARROW {
        let architecture = architecture(case);
        for plan in plans().into_iter().filter(|plan| architecture.supports(plan).is_ok()) {
            check(case, plan);
        }
    }
}

#[test]
fn wide_networks_compute_the_same_with_channels_last() {
    for case in WIDE {
        check(case, smooth(Activation::Tanh));
    }
}

#[test]
fn networks_that_begin_with_a_convolution_prefer_channels_last() {
    for case in NARROW {
        let (_, _, [_, observation @ ..]) = case;
        let spec = NetworkSpec { observation, actions: 6, plan: NetworkPlan::default() };
        let (network, variables) = build(architecture(case).as_ref(), &spec);
        let (_, first) = variables.weights().next().expect("at least one");
        assert_eq!(network.prefers_channels_last(), first.dim() == 4, "{}", case.0);
    }
}

#[test]
fn every_registered_network_is_tried() {
    for (kind, _) in plugins().networks.iter() {
        assert!(NARROW.iter().any(|case| case.0 == kind), "network `{kind}` has no case");
    }
}
