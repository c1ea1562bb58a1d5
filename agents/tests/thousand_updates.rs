//! A thousand updates by the ways that are fast (channels last, oneDNN's dense maps, the optimiser in one pass) beside
//! a thousand by libtorch's plain operations, from the same parameters and batches; and beside how far those come
//! apart by themselves when their inputs are rounded once more. The activation is smooth: with `relu` a unit that comes
//! to lie on the other side of 0 makes a difference of its own, as it would between two thread counts.

use std::sync::Arc;

use pliant_core::{
    network::{Activation, Model, NetworkPlan, NetworkSpec, PlannedActivation},
    optimizer::{Adam, AdamConfig},
    registry::Plugins,
    seeds::{Seeds, Stream},
    tch::{Device, Kind, Reduction, Tensor, no_grad},
};

const UPDATES: usize = 1000;
const BATCH: usize = 32;
const PICTURES: i64 = 256;
const ACTIONS: i64 = 4;

/// What may be between two ways after all updates: twenty times what was seen.
const APART: f64 = 1e-5;

const ADAM: AdamConfig = AdamConfig {
    learning_rate: 1e-4,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1.5e-4,
    eps_root: 0.0,
    weight_decay: 0.0,
};

fn model(kind: &str, settings: &str, observation: [i64; 3]) -> Model {
    let mut plugins = Plugins::core();
    pliant_agents::register(&mut plugins);
    let kind = plugins.networks.get(kind).expect("registered");
    let architecture = kind.build(&settings.parse().expect("TOML")).expect("valid settings");
    let activation =
        Some(PlannedActivation { function: Arc::new(Activation::Tanh), keeps_outputs: true });
    let plan = NetworkPlan { activation, ..NetworkPlan::default() };
    let spec = NetworkSpec { observation, actions: ACTIONS, plan };
    let mut stream = Seeds::new(0).stream("network");
    Model::new(architecture, spec, &mut stream, Device::Cpu).expect("fits")
}

/// Weights and biases in order, with Adam's moments.
struct Plain {
    parameters: Vec<Tensor>,
    moments: Vec<[Tensor; 2]>,
    strides: &'static [i64],
    updates: i32,
    /// Inputs are multiplied by the rounded inverse of 255.
    is_rounded: bool,
}

impl Plain {
    fn of(model: &Model, strides: &'static [i64], is_rounded: bool) -> Self {
        let layers = model.hidden().iter().map(|layer| layer.name.clone());
        let names: Vec<String> = layers.chain(["output".to_owned()]).collect();
        let parameter = |name: &String, part: &str| {
            let tensor = model.variables().get(&format!("{name}/{part}")).expect("every layer's");
            tensor.detach().copy().set_requires_grad(true)
        };
        let pair = |name: &String| ["weight", "bias"].map(|part| parameter(name, part));
        let parameters: Vec<Tensor> = names.iter().flat_map(pair).collect();
        let zeros = |tensor: &Tensor| [tensor.zeros_like(), tensor.zeros_like()];
        let moments = parameters.iter().map(zeros).collect();
        Self { parameters, moments, strides, updates: 0, is_rounded }
    }

    fn forward(&self, pictures: &Tensor) -> Tensor {
        let pictures = pictures.to_kind(Kind::Float);
        let inverse = f64::from(1.0f32 / 255.0);
        let mut x = if self.is_rounded { pictures * inverse } else { pictures / 255.0 };
        let count = self.parameters.len() / 2;
        for (index, pair) in self.parameters.chunks(2).enumerate() {
            x = match self.strides.get(index) {
                Some(stride) => x.conv2d(&pair[0], Some(&pair[1]), [*stride; 2], [0; 2], [1; 2], 1),
                None => x.flatten(1, -1).matmul(&pair[0].tr()) + &pair[1],
            };
            if index + 1 < count {
                x = x.tanh();
            }
        }
        x
    }

    fn step(&mut self) {
        self.updates += 1;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates);
        let rate = ADAM.learning_rate / correction(ADAM.beta1);
        let root = correction(ADAM.beta2).sqrt();
        no_grad(|| {
            for (parameter, [first, second]) in self.parameters.iter_mut().zip(&mut self.moments) {
                let mut gradient = parameter.grad();
                *first = &*first * ADAM.beta1 + &gradient * (1.0 - ADAM.beta1);
                *second = &*second * ADAM.beta2 + gradient.square() * (1.0 - ADAM.beta2);
                *parameter -= &*first * rate / (second.sqrt() / root + ADAM.eps);
                let _ = gradient.zero_();
            }
        });
    }
}

/// Pictures, and what the value of an action of each should be.
struct Task {
    pictures: Tensor,
    actions: Tensor,
    goals: Tensor,
    stream: Stream,
}

impl Task {
    fn new(observation: [i64; 3]) -> Self {
        let mut stream = Seeds::new(1).stream("task");
        let size = [&[PICTURES], observation.as_slice()].concat();
        let pictures = (stream.uniform(&size, 128.0) + 128.0).to_kind(Kind::Uint8);
        let goals = stream.normal(&[PICTURES], 1.0);
        let actions = Tensor::arange(PICTURES, (Kind::Int64, Device::Cpu)).remainder(ACTIONS);
        Self { pictures, actions, goals, stream }
    }

    fn draw(&mut self) -> Tensor {
        let drawn = self.stream.indices(BATCH, PICTURES as usize);
        let drawn: Vec<i64> = drawn.into_iter().map(|index| index as i64).collect();
        Tensor::from_slice(&drawn)
    }

    fn loss(&self, drawn: &Tensor, forward: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let of = |tensor: &Tensor| tensor.index_select(0, drawn);
        let q = forward(&of(&self.pictures)).gather(1, &of(&self.actions).unsqueeze(1), false);
        q.squeeze_dim(1).huber_loss(&of(&self.goals), Reduction::Mean, 1.0)
    }
}

/// What came of a thousand updates.
struct Outcome {
    /// The first loss, and the mean of the last 50.
    losses: [f64; 2],
    /// Of our way and of the plain one with inputs rounded once more, each beside the plain one: the largest difference
    /// of a loss, and the L2 distance of the parameters relative to that which they have come.
    apart: [[f64; 2]; 2],
}

fn side_by_side(model: &Model, strides: &'static [i64]) -> Outcome {
    let mut task = Task::new(model.spec().observation);
    let [mut plain, mut rounded] =
        [false, true].map(|is_rounded| Plain::of(model, strides, is_rounded));
    let first = Plain::of(model, strides, false).parameters;
    let mut optimizer = Adam::build(ADAM).expect("valid settings");
    let mut stream = Seeds::new(0).stream("dropout");
    let mut losses: Vec<[f64; 3]> = Vec::new();
    for _ in 0..UPDATES {
        let drawn = task.draw();
        let ours =
            task.loss(&drawn, |pictures| model.forward_training(pictures, &mut stream, None));
        model.variables().zero_grad();
        ours.backward();
        optimizer.step(model.variables());
        let others = [&mut plain, &mut rounded].map(|other| {
            let loss = task.loss(&drawn, |pictures| other.forward(pictures));
            loss.backward();
            other.step();
            loss.double_value(&[])
        });
        losses.push([ours.double_value(&[]), others[0], others[1]]);
    }
    let distance = |these: &[Tensor], those: &[Tensor]| -> f64 {
        let square =
            |(a, b): (&Tensor, &Tensor)| (a - b).square().sum(Kind::Double).double_value(&[]);
        these.iter().zip(those).map(square).sum::<f64>().sqrt()
    };
    let ours = Plain::of(model, strides, false).parameters;
    let moved = distance(&plain.parameters, &first);
    let apart = |which: usize, parameters: &[Tensor]| {
        let loss = losses.iter().map(|all| (all[which] - all[1]).abs()).fold(0.0, f64::max);
        [loss, distance(parameters, &plain.parameters) / moved]
    };
    let last = losses[UPDATES - 50..].iter().map(|all| all[0]).sum::<f64>() / 50.0;
    Outcome {
        losses: [losses[0][0], last],
        apart: [apart(0, &ours), apart(2, &rounded.parameters)],
    }
}

#[test]
#[ignore = "slow: nine thousand updates"]
fn a_thousand_updates_are_those_of_plain_operations_but_for_rounding() {
    let cases: [(&str, &str, [i64; 3], &[i64]); 3] = [
        ("mlp", "width = 64", [1, 12, 12], &[]),
        ("cnn", "width = 0.25", [1, 28, 28], &[2, 2]),
        ("nature", "width = 0.5", [4, 42, 42], &[4, 2, 1]),
    ];
    for (kind, settings, observation, strides) in cases {
        let Outcome { losses: [begun, last], apart } =
            side_by_side(&model(kind, settings, observation), strides);
        println!("{kind}: loss {begun} to {last}; apart by loss and parameters {apart:?}");
        assert!(last < 0.7 * begun, "{kind} learns: {begun} to {last}");
        for (what, [losses, parameters]) in [("ours", apart[0]), ("one rounding more", apart[1])] {
            assert!(losses < APART * begun, "{kind}, {what}: losses are {losses} apart");
            assert!(
                parameters < APART,
                "{kind}, {what}: parameters are {parameters} of their way apart"
            );
        }
    }
}
