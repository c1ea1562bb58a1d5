//! The kernels on a GPU against the same steps on the CPU. Without a GPU these say so and pass; for one, libtorch's CUDA
//! part must be loaded first: `LD_PRELOAD=.deps/cuda/torch/lib/libtorch_cuda.so scripts/test -p pliant-torch-ext`.

use std::io::Write as _;

use pliant_torch_ext::{
    fused::{self, Adam, Part, RmsProp, Sgd},
    magnitude,
};
use tch::{Cuda, Device, Kind, Tensor};

/// The GPU, or a line that tells why a test proves nothing.
fn gpu(test: &str) -> Option<Device> {
    if Cuda::is_available() {
        return Some(Device::Cuda(0));
    }
    // Not by `println!`: the harness keeps that to itself.
    let _ = writeln!(std::io::stderr(), "skipped, there is no CUDA device: {test}");
    None
}

/// How a tensor lies in memory.
#[derive(Clone, Copy)]
enum Layout {
    InOrder,
    /// After so many other numbers: no place for reads of 16 bytes unless it is 4.
    After(i64),
    ChannelsLast,
}

/// More tensors than a launch takes, of sizes that fill no block, one, or several; the first is a large layer.
fn shapes() -> Vec<(Vec<i64>, Layout)> {
    let mut shapes = vec![
        (vec![1_700_003], Layout::InOrder),
        (vec![512, 313], Layout::After(1)),
        (vec![32, 4, 8, 8], Layout::ChannelsLast),
        (vec![64, 32, 4, 4], Layout::InOrder),
        (vec![0], Layout::InOrder),
        (vec![], Layout::InOrder),
        (vec![2048], Layout::After(3)),
        (vec![2047], Layout::InOrder),
        (vec![4097], Layout::After(4)),
    ];
    shapes.extend((1..95).map(|size| (vec![size * 7], Layout::InOrder)));
    shapes
}

/// Numbers of both signs and all sizes up to 10, the same on every machine.
fn numbers(shape: &[i64], seed: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let places = Tensor::arange(count, (Kind::Int64, Device::Cpu));
    let mixed: Tensor = ((places + seed) * 7919).remainder(10_007) - 5003;
    let exponents: Tensor = (&mixed * 31 + seed).remainder(17) - 16;
    let sizes = exponents.to_kind(Kind::Double).exp() / 500.0;
    (mixed.to_kind(Kind::Double) * sizes).to_kind(Kind::Float).reshape(shape)
}

fn placed(numbers: &Tensor, layout: Layout, device: Device) -> Tensor {
    let shape = numbers.size();
    let options = (Kind::Float, device);
    let mut tensor = match layout {
        Layout::InOrder => Tensor::zeros(&shape, options),
        Layout::After(others) => {
            let count = numbers.numel() as i64;
            Tensor::zeros([others + count], options).narrow(0, others, count).view(shape.as_slice())
        }
        Layout::ChannelsLast => {
            let [n, c, h, w] = shape[..] else { panic!("images have four dimensions") };
            Tensor::zeros([n, h, w, c], options).permute([0, 3, 1, 2])
        }
    };
    tensor.copy_(numbers);
    tensor
}

/// Variables with what an optimiser remembers of them, on one device.
struct Learner {
    device: Device,
    variables: Vec<Tensor>,
    moments: Vec<Vec<Tensor>>,
    steps: Vec<Tensor>,
}

impl Learner {
    fn new(device: Device, moments: usize) -> Self {
        let variables = shapes()
            .iter()
            .enumerate()
            .map(|(index, (shape, layout))| placed(&numbers(shape, index as i64), *layout, device))
            .collect::<Vec<_>>();
        let zeros = |(shape, layout): &(Vec<i64>, Layout)| {
            let zero =
                || placed(&Tensor::zeros(shape, (Kind::Float, Device::Cpu)), *layout, device);
            (0..moments).map(|_| zero()).collect()
        };
        let counter = |index| Tensor::from((index * index) as f32).to_device(device);
        Self {
            device,
            moments: shapes().iter().map(zeros).collect(),
            steps: (0..variables.len()).map(counter).collect(),
            variables,
        }
    }

    fn step(&self, gradients: &[Tensor], step: impl Fn(&[Part<'_>])) {
        fused::count(&self.steps);
        let parts: Vec<Part<'_>> = shapes()
            .iter()
            .enumerate()
            .map(|(index, (_, layout))| Part {
                variable: self.variables[index].shallow_clone(),
                gradient: placed(&gradients[index], *layout, self.device),
                moments: &self.moments[index],
                steps: &self.steps[index],
            })
            .collect();
        assert!(parts.iter().all(Part::is_fusible));
        step(&parts);
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.variables.iter().chain(self.moments.iter().flatten()).chain(&self.steps)
    }
}

/// NaN has many bits, here one.
fn bits(tensor: &Tensor) -> Vec<u32> {
    let flat = tensor.to_device(Device::Cpu).reshape([-1]);
    let numbers = Vec::<f32>::try_from(flat).expect("f32");
    let bits = |number: f32| if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() };
    numbers.into_iter().map(bits).collect()
}

fn assert_same_bits(ours: &Learner, theirs: &Learner, when: &str) {
    for (index, (ours, theirs)) in ours.tensors().zip(theirs.tensors()).enumerate() {
        let (ours, theirs) = (bits(ours), bits(theirs));
        let differ = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        let first = ours
            .iter()
            .zip(&theirs)
            .position(|(a, b)| a != b)
            .map(|place| (place, f32::from_bits(ours[place]), f32::from_bits(theirs[place])));
        assert!(
            differ == 0,
            "{when}, tensor {index}: {differ} of {} differ, first (place, GPU, CPU) {first:?}",
            ours.len()
        );
    }
}

/// Gradients that hold what is awkward: 0, a number too small to be normal, one whose square is infinite, NaN.
fn gradients(step: i64) -> Vec<Tensor> {
    let all: Vec<Tensor> = shapes()
        .iter()
        .enumerate()
        .map(|(index, (shape, _))| numbers(shape, 1000 * (step + 1) + index as i64))
        .collect();
    let awkward = Tensor::from_slice(&[0.0f32, 1e-40, -1e-30, 1e25, f32::INFINITY, f32::NAN]);
    for index in [7, 8] {
        all[index].narrow(0, 100, 6).copy_(&awkward);
    }
    all
}

fn assert_steps_are_the_cpus(name: &str, moments: usize, step: impl Fn(&[Part<'_>])) {
    let Some(device) = gpu(name) else { return };
    assert_eq!(fused::why_no_kernels(device), None);
    let (ours, theirs) = (Learner::new(device, moments), Learner::new(Device::Cpu, moments));
    for index in 0..20 {
        let gradients = gradients(index);
        ours.step(&gradients, &step);
        theirs.step(&gradients, &step);
        assert_same_bits(&ours, &theirs, &format!("{name}, step {index}"));
    }
}

#[test]
fn rmsprop_comes_to_the_cpus_bits() {
    for variant in 0..8 {
        let rule = RmsProp {
            learning_rate: 0.00025,
            decay: 0.95,
            eps: 1e-4,
            is_inside_root: variant & 1 != 0,
            is_centered: variant & 2 != 0,
            momentum: if variant & 4 != 0 { 0.9 } else { 0.0 },
        };
        let moments = 1 + usize::from(rule.is_centered) + usize::from(rule.momentum > 0.0);
        assert_steps_are_the_cpus(&format!("{rule:?}"), moments, |parts| rule.step(parts));
    }
}

#[test]
fn adam_comes_to_the_cpus_bits_whatever_its_counters_say() {
    for (eps, eps_root, weight_decay) in [(1.5e-4, 0.0, 0.0), (0.0, 1e-3, 0.0), (1e-4, 1e-6, 0.1)] {
        let (learning_rate, beta1, beta2) = (6.25e-5, 0.9, 0.999);
        let rule = Adam { learning_rate, beta1, beta2, eps, eps_root, weight_decay };
        assert_steps_are_the_cpus(&format!("{rule:?}"), 2, |parts| rule.step(parts));
    }
}

#[test]
fn sgd_comes_to_the_cpus_bits() {
    for momentum in [0.0, 0.9] {
        let rule = Sgd { learning_rate: 0.001, momentum };
        let moments = usize::from(momentum > 0.0);
        assert_steps_are_the_cpus(&format!("{rule:?}"), moments, |parts| rule.step(parts));
    }
}

fn tensors(device: Device) -> Vec<Tensor> {
    let shapes = shapes();
    let all = shapes.iter().enumerate();
    all.map(|(index, (shape, layout))| placed(&numbers(shape, index as i64), *layout, device))
        .collect()
}

#[test]
fn magnitude_is_that_of_f64_and_the_same_every_time() {
    let Some(device) = gpu("magnitude") else { return };
    let ours = tensors(device);
    let flat: Vec<Tensor> =
        tensors(Device::Cpu).iter().map(|one| one.reshape([-1]).to_kind(Kind::Double)).collect();
    let expected = Tensor::cat(&flat, 0).norm().double_value(&[]);
    let found = magnitude(&ours);
    assert_eq!((found.kind(), found.device(), found.size()), (Kind::Double, device, vec![]));
    let found = found.double_value(&[]);
    assert!((found / expected - 1.0).abs() < 1e-6, "{found}, expected {expected}");
    for _ in 0..20 {
        assert_eq!(magnitude(&ours).double_value(&[]).to_bits(), found.to_bits());
    }
    let nothing = [Tensor::zeros([0], (Kind::Float, device))];
    assert_eq!(magnitude(&nothing).double_value(&[]), 0.0);
    let double = [Tensor::from_slice(&[3.0f64]).to_device(device), ours[5].ones_like() * 4.0];
    assert_eq!(magnitude(&double).double_value(&[]), 5.0, "by libtorch");
}

#[test]
fn one_number_that_is_not_finite_shows_wherever_it_stands() {
    let Some(device) = gpu("magnitude of what is not finite") else { return };
    for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e20] {
        // In a full block, in one that is not, and in tensors at odd places.
        for (tensor, place) in
            [(0, 0), (0, 1_023_456), (0, 1_700_002), (1, 160_255), (6, 0), (7, 2046), (102, 657)]
        {
            let tensors = tensors(device);
            let _ = tensors[tensor].reshape([-1]).narrow(0, place, 1).fill_(poison);
            let found = magnitude(&tensors).double_value(&[]);
            assert!(!found.is_finite(), "{poison} at {place} of {tensor}");
            assert_eq!(found.is_nan(), poison.is_nan());
        }
    }
}

#[test]
fn devices_without_kernels_say_why() {
    let no_gpu = fused::why_no_kernels(Device::Cpu).expect("the CPU takes none");
    assert_eq!(no_gpu, "it is no CUDA device");
    let no_driver_or_device = fused::why_no_kernels(Device::Cuda(99)).expect("nobody has so many");
    assert!(no_driver_or_device.contains("NVIDIA's driver"), "{no_driver_or_device}");
}

/// What a DQN's network has, on the current stream, one launch after the other: what is shorter than the host takes for a launch does not show.
#[test]
#[ignore = "slow: prints how long steps take on a GPU"]
fn steps_of_a_large_network_are_timed() {
    let Some(device) = gpu("time of a step") else { return };
    let sizes: [&[i64]; 10] = [
        &[32, 4, 8, 8],
        &[32],
        &[64, 32, 4, 4],
        &[64],
        &[64, 64, 3, 3],
        &[64],
        &[512, 3136],
        &[512],
        &[18, 512],
        &[18],
    ];
    let made = |seed| {
        let make = |shape: &&[i64]| numbers(shape, seed).to_device(device);
        sizes.iter().map(make).collect::<Vec<Tensor>>()
    };
    let (variables, gradients) = (made(1), made(2));
    let moments: Vec<[Tensor; 2]> =
        variables.iter().map(|one| [one.zeros_like(), one.zeros_like()]).collect();
    let steps: Vec<Tensor> =
        variables.iter().map(|_| Tensor::from(1f32).to_device(device)).collect();
    let parts = || {
        let part = |index: usize| Part {
            variable: variables[index].shallow_clone(),
            gradient: gradients[index].shallow_clone(),
            moments: &moments[index],
            steps: &steps[index],
        };
        (0..sizes.len()).map(part).collect::<Vec<_>>()
    };
    let rmsprop = RmsProp {
        learning_rate: 1e-9,
        decay: 0.95,
        eps: 1e-4,
        is_inside_root: true,
        is_centered: true,
        momentum: 0.0,
    };
    let (learning_rate, beta1, beta2, eps) = (1e-9, 0.9, 0.999, 1e-4);
    let adam = Adam { learning_rate, beta1, beta2, eps, eps_root: 0.0, weight_decay: 0.0 };
    let time = |name: &str, work: &dyn Fn()| {
        work();
        Cuda::synchronize(0);
        let begin = std::time::Instant::now();
        (0..1000).for_each(|_| work());
        Cuda::synchronize(0);
        let spent = begin.elapsed().as_secs_f64() * 1e3;
        let _ = writeln!(std::io::stderr(), "{name}: {spent:.1} us");
    };
    let parts = parts();
    time("RMSProp, centred", &|| rmsprop.step(&parts));
    time("Adam", &|| adam.step(&parts));
    time("counting", &|| fused::count(&steps));
    time("magnitude", &|| drop(magnitude(&gradients)));
}
