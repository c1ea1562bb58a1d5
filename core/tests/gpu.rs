//! Whole optimisers on a GPU against the same on the CPU, to the bit. Without a GPU they say so and pass; for one,
//! libtorch's CUDA part must be loaded first (LD_PRELOAD).

use std::io::Write as _;

use pliant_core::{
    optimizer::Optimizer,
    registry::Plugins,
    seeds::Seeds,
    tch::{Cuda, Device, Kind},
    variables::{Init, VariableSource, Variables},
};

/// The optimisers with settings that lead to different kernels.
const OPTIMIZERS: [(&str, &str); 6] = [
    ("rmsprop", ""),
    ("rmsprop", "momentum = 0.9\neps_position = \"outside_root\""),
    ("rmsprop", "centered = false\nmomentum = 0.5"),
    ("adam", ""),
    ("adam", "eps_root = 1e-3\nbeta2 = 0.9\nweight_decay = 0.01"),
    ("sgd", "momentum = 0.9"),
];

fn optimizer(kind: &str, settings: &str) -> Box<dyn Optimizer> {
    let plugins = Plugins::core();
    let kind = plugins.optimizers.get(kind).expect("a registered kind");
    kind.build(&toml::from_str(settings).expect("TOML")).expect("valid settings")
}

fn variables(device: Device) -> Variables {
    let mut stream = Seeds::new(7).stream("variables");
    let mut source = VariableSource::draw(&mut stream, device);
    for (name, shape) in
        [("conv", &[32i64, 4, 8, 8][..]), ("dense", &[173, 211]), ("one", &[1]), ("bias", &[33])]
    {
        let _ = source.variable(name, shape, Init::Normal { std: 1.0 });
    }
    source.finish()
}

/// Gradients of about 1e-4 to 1, other ones for each step; that of a linear loss is its coefficients, to the bit.
fn backward(variables: &Variables, step: u64) {
    variables.zero_grad();
    let mut stream = Seeds::new(step).stream("gradients");
    for (_, variable) in variables.parameters() {
        let size = stream.normal(&variable.size(), 1.0);
        let scale = (stream.uniform(&variable.size(), 4.0) - 4.0).exp();
        let coefficients = (size * scale).to_device(variable.device());
        (variable * coefficients).sum(Kind::Float).backward();
    }
}

fn assert_same(ours: &Variables, theirs: &Variables, when: &str) {
    for ((name, ours), (_, theirs)) in ours.iter().zip(theirs.iter()) {
        let (ours, theirs) = (ours.detach().to_device(Device::Cpu), theirs.detach());
        let most = (&ours - &theirs).abs().max().double_value(&[]);
        assert!(ours.equal(&theirs), "{when}: `{name}` differs by {most} at most");
    }
}

#[test]
fn optimizers_on_a_gpu_come_to_the_cpus_bits() {
    if !Cuda::is_available() {
        // Not by `println!`: the harness keeps that to itself.
        let _ =
            writeln!(std::io::stderr(), "skipped, there is no CUDA device: optimisers on a GPU");
        return;
    }
    for (kind, settings) in OPTIMIZERS {
        let (ours, theirs) = (variables(Device::Cuda(0)), variables(Device::Cpu));
        let (mut on_gpu, mut on_cpu) = (optimizer(kind, settings), optimizer(kind, settings));
        for step in 0..20 {
            let pairs = [(&ours, &mut on_gpu), (&theirs, &mut on_cpu)];
            for (variables, optimizer) in pairs {
                backward(variables, step);
                optimizer.step(variables);
            }
            assert_same(&ours, &theirs, &format!("{kind} {settings:?}, step {step}"));
        }
        let steps = &on_gpu.moments().get("bias").expect("stepped").steps;
        assert_eq!((steps.device(), steps.double_value(&[])), (Device::Cuda(0), 20.0));
    }
}
