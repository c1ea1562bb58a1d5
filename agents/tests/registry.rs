//! What every registered network and agent must do.

use std::sync::Arc;

use pliant_core::{
    conformance::check_settings,
    envs::env::{EnvSpec, FrameShape, StackPadding},
    head::{Categorical, Encoding, Head, Support},
    network::{
        Activation, Architecture, AuxiliaryHead, Model, NetworkPlan, NetworkSpec, Norm, NormKind,
        NormPosition, PlannedActivation, SpectralNorm, Taps,
    },
    precision::Precision,
    registry::Plugins,
    seeds::Seeds,
    tch::{Device, Kind, Tensor, no_grad},
};

fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_agents::register(&mut plugins);
    plugins
}

/// The observations of Atari, CIFAR-10 and MNIST.
const OBSERVATIONS: [[usize; 3]; 3] = [[4, 84, 84], [3, 32, 32], [1, 28, 28]];

/// Networks that need more pixels than some of them have.
const LARGE_ONLY: [&str; 1] = ["nature"];

fn spec([channels, height, width]: [usize; 3], plan: NetworkPlan) -> NetworkSpec {
    let env = EnvSpec {
        frame: FrameShape { channels, height, width },
        frame_stack: 1,
        stack_padding: StackPadding::Zeros,
        actions: (0..6).map(|action| action.to_string()).collect(),
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    };
    NetworkSpec::new(&env, plan)
}

/// Every registered network with default settings, narrowed where it can be.
fn networks() -> Vec<(&'static str, Arc<dyn Architecture>)> {
    let plugins = plugins();
    let narrow = |name: &str| match name {
        "cnn" | "impala" | "nature" | "resnet18" => "width = 0.125",
        "mlp" => "width = 24",
        "vit" => "width = 16\nfeed_forward = 24\npatch = 7",
        _ => "",
    };
    let build = |name: &str| {
        let settings = narrow(name).parse().expect("TOML");
        plugins.networks.get(name).and_then(|kind| kind.build(&settings)).expect("valid settings")
    };
    let names: Vec<&'static str> = plugins.networks.iter().map(|(name, _)| name).collect();
    names.into_iter().map(|name| (name, build(name))).collect()
}

fn bytes([channels, height, width]: [usize; 3], batch: i64) -> Tensor {
    let size = [batch, channels as i64, height as i64, width as i64];
    let count: i64 = size.iter().product();
    let numbers = Tensor::arange(count, (Kind::Int64, Device::Cpu)) * 37;
    numbers.remainder(251).to_kind(Kind::Uint8).reshape(size)
}

fn plans() -> Vec<NetworkPlan> {
    let plan = NetworkPlan::default;
    let norm = |kind, position, affine| NetworkPlan {
        norm: Some(Norm { kind, position, affine, eps: 1e-5 }),
        ..plan()
    };
    let activation = |activation: Activation, keeps_outputs| NetworkPlan {
        activation: Some(PlannedActivation { function: Arc::new(activation), keeps_outputs }),
        ..plan()
    };
    let support = Support::new(-1.0, 1.0, 5).expect("valid");
    let categorical = Categorical { support, encoding: Encoding::TwoHot };
    let spectral = SpectralNorm { layers: vec!["all".to_owned()], norm: 1.0, iterations: 1 };
    vec![
        plan(),
        norm(NormKind::Layer, NormPosition::BeforeActivation, true),
        norm(NormKind::RootMeanSquare, NormPosition::BeforeActivation, true),
        norm(NormKind::Layer, NormPosition::AfterActivation, false),
        activation(Activation::Tanh, false),
        activation(Activation::Crelu, false),
        activation(Activation::Fourier, true),
        NetworkPlan { head: Head::Categorical(categorical), ..plan() },
        NetworkPlan { spectral: vec![spectral], ..plan() },
        NetworkPlan {
            auxiliary: vec![AuxiliaryHead { name: "extra".to_owned(), outputs: 3 }],
            ..plan()
        },
        NetworkPlan { is_injected: true, ..plan() },
    ]
}

/// Every network under every plan it has a place for, with the observations it was built for.
fn for_each_model(mut check: impl FnMut(&str, &Model, [usize; 3])) {
    for (name, architecture) in networks() {
        for observation in OBSERVATIONS {
            if observation[1] < 84 && LARGE_ONLY.contains(&name) {
                continue;
            }
            for plan in plans() {
                let label = format!("{name} on {observation:?} with {plan:?}");
                if let Err(reason) = architecture.supports(&plan) {
                    assert!(reason.len() > 20, "{label}: refused without a reason");
                    continue;
                }
                let mut stream = Seeds::new(0).stream("network");
                let spec = spec(observation, plan);
                let model = Model::new(Arc::clone(&architecture), spec, &mut stream, Device::Cpu)
                    .unwrap_or_else(|error| panic!("{label}: {error}"));
                check(&label, &model, observation);
            }
        }
    }
}

#[test]
fn every_kind_builds_by_default_and_refuses_unknown_settings() {
    assert_eq!(plugins().networks.iter().count(), 6);
    assert_eq!(plugins().agents.iter().count(), 2);
    check_settings(&plugins().networks);
    check_settings(&plugins().agents);
}

#[test]
fn every_network_says_truly_what_its_layers_are() {
    for_each_model(|label, model, observation| {
        let mut taps = Taps::default();
        let observations = bytes(observation, 2);
        let outputs = model.forward(&observations, Some(&mut taps));
        assert_eq!(outputs.size(), [2, model.spec().outputs()], "{label}");
        let again = model.forward(&observations, None);
        assert!(outputs.equal(&again), "{label}: taps change outputs, or a pass the network");
        assert_eq!(taps.activations().len(), model.hidden().len(), "{label}");
        let features = taps.features().unwrap_or_else(|| panic!("{label}: no features"));
        assert_eq!(features.size()[0], 2, "{label}");
        for head in &model.spec().plan.auxiliary {
            let weight = model.variables().get(&format!("{}/weight", head.name)).expect("made");
            assert_eq!(weight.size(), [head.outputs, features.size()[1]], "{label}");
        }
        for (layer, activation) in model.hidden().iter().zip(taps.activations()) {
            let label = format!("{label}: {}", layer.name);
            let outputs = layer.copies * layer.units;
            assert_eq!(activation.size()[..2], [2, outputs], "{label}");
            assert_eq!(layer.mean_activity(activation).size(), [layer.units], "{label}");
            assert!(!layer.incoming.is_empty() && !layer.outgoing.is_empty(), "{label}");
            for name in &layer.incoming {
                let size = model.variables().get(name).expect("an existing variable").size();
                assert_eq!(size[0], layer.units, "{label}: {name}");
            }
            for name in &layer.outgoing {
                let variable = model.variables().get(name).expect("an existing variable");
                let view = layer.outgoing_view(variable);
                assert_eq!(view.size()[1..3], [layer.copies, layer.units], "{label}: {name}");
            }
        }
    });
}

/// Silencing a unit's outgoing weights makes the outputs deaf to it, and to no other, unless it is
/// said to reach them by another way.
#[test]
fn a_unit_reaches_the_outputs_by_its_outgoing_weights_alone() {
    for_each_model(|label, model, observation| {
        let cut: Vec<_> = model.hidden().iter().filter(|layer| !layer.is_residual).collect();
        for layer in cut {
            let model = model.fork();
            let variables = model.variables();
            no_grad(|| {
                for name in &layer.outgoing {
                    let variable = variables.get(name).expect("an existing variable");
                    let _ = layer.outgoing_view(variable).select(2, 0).zero_();
                }
            });
            let observations = bytes(observation, 2);
            let before = model.forward(&observations, None);
            let move_unit = |unit: i64| {
                no_grad(|| {
                    for name in &layer.incoming {
                        let variable = variables.get(name).expect("an existing variable");
                        let _ = variable.select(0, unit).g_add_scalar_(0.5);
                    }
                });
                model.forward(&observations, None)
            };
            let without_norm = model.spec().plan.norm.is_none();
            let spectral = !model.spec().plan.spectral.is_empty();
            // A normalisation, or a common divisor of the weights, lets every unit reach the others.
            if without_norm && !spectral {
                let same = move_unit(0).allclose(&before, 1e-5, 1e-5, false);
                assert!(same, "{label}: {} reaches the outputs though cut off", layer.name);
            }
            let moved = move_unit(1).allclose(&before, 0.0, 1e-7, false);
            assert!(!moved, "{label}: {} does not reach the outputs", layer.name);
        }
    });
}

#[test]
fn a_fork_computes_the_same_and_a_redraw_does_not() {
    for_each_model(|label, model, observation| {
        let observations = bytes(observation, 1);
        let outputs = model.forward(&observations, None);
        assert!(outputs.equal(&model.fork().forward(&observations, None)), "{label}");
        let redrawn = model.redraw(&mut Seeds::new(0).stream("another"));
        assert!(!outputs.equal(&redrawn.forward(&observations, None)), "{label}");
    });
}

#[test]
fn every_parameter_gets_a_gradient_from_the_outputs() {
    for_each_model(|label, model, observation| {
        let mut stream = Seeds::new(0).stream("dropout");
        let outputs = model.forward_training(&bytes(observation, 2), &mut stream, None);
        outputs.square().sum(Kind::Float).backward();
        let auxiliary = &model.spec().plan.auxiliary;
        for (name, variable) in model.variables().parameters() {
            let is_read =
                !auxiliary.iter().any(|head| name.starts_with(&format!("{}/", head.name)));
            assert_eq!(variable.grad().defined(), is_read, "{label}: {name}");
        }
    });
}

#[test]
fn an_injected_network_computes_what_it_did_once_its_new_parts_are_alike() {
    for (name, architecture) in networks() {
        let observation = OBSERVATIONS[0];
        let mut stream = Seeds::new(0).stream("network");
        let spec = spec(observation, NetworkPlan::default());
        let model = Model::new(architecture, spec, &mut stream, Device::Cpu).expect("fits");
        let plan = NetworkPlan { is_injected: true, ..NetworkPlan::default() };
        let injected = model.replan(plan, &mut stream).expect("has a place for it");
        no_grad(|| {
            for (learned, variable) in injected.variables().iter() {
                let Some(rest) = learned.strip_prefix("injected/") else { continue };
                let start = injected.variables().get(&format!("injected_start/{rest}"));
                start.expect("a start").shallow_clone().copy_(variable);
            }
        });
        let observations = bytes(observation, 2);
        let (before, after) =
            (model.forward(&observations, None), injected.forward(&observations, None));
        assert!(before.equal(&after), "{name}");
        assert!(
            injected.variables().count()
                < injected.variables().iter().map(|(_, v)| v.numel()).sum()
        );
    }
}

#[test]
fn every_network_computes_in_bfloat16_with_gradients_in_f32() {
    for (name, architecture) in networks() {
        let shape = [3, 40, 40];
        let spec = spec(shape, NetworkPlan::default());
        let mut stream = Seeds::new(0).stream("network");
        let model = Model::new(architecture, spec, &mut stream, Device::Cpu).expect(name);
        let observations = bytes(shape, 4);
        let exact = model.forward_training(&observations, &mut stream.clone(), None);
        let mut taps = Taps::default();
        let mut dropout = stream.clone();
        let outputs = Precision::Bf16.compute(Device::Cpu, || {
            model.forward_training(&observations, &mut dropout, Some(&mut taps))
        });
        assert_eq!(outputs.kind(), Kind::Float, "{name}");
        assert!(taps.activations().iter().all(|tap| tap.kind() == Kind::Float), "{name}");
        // 8 bits of mantissa, 20 layers at most.
        let scale = exact.abs().max().double_value(&[]);
        let apart = (&outputs - &exact).abs().max().double_value(&[]) / scale;
        assert!(apart > 1e-6 && apart < 0.05, "{name}: {apart} of the largest output apart");
        let gradient = |outputs: &Tensor| {
            model.variables().zero_grad();
            outputs.square().mean(Kind::Float).backward();
            let gradients = model.variables().parameters().map(|(_, tensor)| tensor.grad());
            Tensor::cat(&gradients.map(|tensor| tensor.reshape([-1])).collect::<Vec<_>>(), 0)
        };
        let [ours, exact] = [gradient(&outputs), gradient(&exact)];
        assert_eq!(ours.kind(), Kind::Float, "{name}");
        let cosine = (ours.dot(&exact) / (ours.norm() * exact.norm())).double_value(&[]);
        assert!(cosine > 0.9, "{name}: gradients at a cosine of {cosine}");
    }
}
