//! What every registered network and agent must do.

use pliant_core::{
    conformance::check_settings,
    envs::env::{EnvSpec, FrameShape, StackPadding},
    network::{Model, NetworkPlan, NetworkSpec, Norm, NormPosition, Taps},
    registry::Plugins,
    seeds::Seeds,
    tch::{Device, Kind, Tensor},
};

fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_agents::register(&mut plugins);
    plugins
}

fn spec(plan: NetworkPlan) -> NetworkSpec {
    let env = EnvSpec {
        frame: FrameShape { channels: 1, height: 84, width: 84 },
        frame_stack: 4,
        stack_padding: StackPadding::Zeros,
        actions: (0..6).map(|action| action.to_string()).collect(),
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
    };
    NetworkSpec::new(&env, plan)
}

#[test]
fn every_kind_builds_by_default_and_refuses_unknown_settings() {
    assert_eq!(plugins().networks.iter().count(), 2);
    assert_eq!(plugins().agents.iter().count(), 1);
    check_settings(&plugins().networks);
    check_settings(&plugins().agents);
}

fn plans() -> [NetworkPlan; 3] {
    let norm = |position, affine| Some(Norm { position, affine, eps: 1e-5 });
    let plan = |norm| NetworkPlan { norm, ..NetworkPlan::default() };
    [
        plan(None),
        plan(norm(NormPosition::BeforeActivation, true)),
        plan(norm(NormPosition::AfterActivation, false)),
    ]
}

#[test]
fn every_network_says_truly_what_its_layers_are() {
    for (name, kind) in plugins().networks.iter() {
        for plan in plans() {
            let architecture = kind.build(&toml::Table::new()).expect("checked above");
            let mut stream = Seeds::new(0).stream("network");
            let model = Model::new(architecture, spec(plan), &mut stream, Device::Cpu)
                .expect("Atari's observations fit every network");
            let observations = Tensor::full([3, 4, 84, 84], 7, (Kind::Uint8, Device::Cpu));
            let mut taps = Taps::default();
            let outputs = model.forward(&observations, Some(&mut taps));
            assert_eq!(outputs.size(), [3, 6], "{name}");
            assert!(
                outputs.equal(&model.forward(&observations, None)),
                "{name}: taps change outputs"
            );
            assert_eq!(taps.activations().len(), model.hidden().len(), "{name}");
            for (layer, activation) in model.hidden().iter().zip(taps.activations()) {
                assert_eq!(activation.size()[..2], [3, layer.units], "{name}: {}", layer.name);
                assert!(!layer.incoming.is_empty() && !layer.outgoing.is_empty(), "{name}");
                for variable in &layer.incoming {
                    let size =
                        model.variables().get(variable).expect("an existing variable").size();
                    assert_eq!(size[0], layer.units, "{name}: {variable}");
                }
                for variable in &layer.outgoing {
                    let size =
                        model.variables().get(variable).expect("an existing variable").size();
                    assert_eq!(size[1] % layer.units, 0, "{name}: {variable}");
                }
            }
        }
    }
}

#[test]
fn a_fork_computes_the_same_and_a_redraw_does_not() {
    for (name, kind) in plugins().networks.iter() {
        let architecture = kind.build(&toml::Table::new()).expect("checked above");
        let mut stream = Seeds::new(0).stream("network");
        let model =
            Model::new(architecture, spec(NetworkPlan::default()), &mut stream, Device::Cpu)
                .expect("Atari's observations fit every network");
        let observations = Tensor::full([1, 4, 84, 84], 7, (Kind::Uint8, Device::Cpu));
        let outputs = model.forward(&observations, None);
        assert!(outputs.equal(&model.fork().forward(&observations, None)), "{name}");
        assert!(!outputs.equal(&model.redraw(&mut stream).forward(&observations, None)), "{name}");
    }
}
