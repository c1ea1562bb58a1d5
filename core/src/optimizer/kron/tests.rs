//! PSGD-Kron against kron_torch (`scripts/golden/kron.py` wrote what to expect), and what it is for.

use std::collections::BTreeMap;

use tch::{Device, Kind, no_grad};

use super::*;
use crate::optimizer::{
    Sgd, SgdConfig,
    testing::{numbers, step, variable},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kron.safetensors");

fn golden() -> BTreeMap<String, Tensor> {
    let tensors = Tensor::read_safetensors(GOLDEN).expect("written by scripts/golden/kron.py");
    tensors.into_iter().collect()
}

fn cases() -> [(&'static str, KronConfig); 4] {
    let config = KronConfig { learning_rate: 0.01, ..KronConfig::default() };
    let one_diag = KronConfig {
        memory_save_mode: MemorySaveMode::OneDiag,
        weight_decay: 0.1,
        beta1: 0.5,
        ..config.clone()
    };
    let all_diag =
        KronConfig { memory_save_mode: MemorySaveMode::AllDiag, precond_lr: 0.3, ..config.clone() };
    let small = KronConfig {
        max_size_triangular: 3,
        precond_init_scale: 2.0,
        trust_region_scale: 0.5,
        ..config.clone()
    };
    [
        ("default", config),
        ("one_diag", one_diag),
        ("all_diag", all_diag),
        ("small_triangular", small),
    ]
}

/// Twelve steps of about a hundredth, on numbers below 4: each rounds the parameter by half of 2.4e-7 at
/// most. The largest error seen is 4.8e-7.
const TOLERANCE: f64 = 1e-6;

#[test]
fn twelve_updates_are_those_of_kron_torch() {
    let golden = golden();
    let plan = Vec::<i64>::try_from(&golden["plan"].reshape([-1])).expect("i64");
    for (case, config) in cases() {
        let mut optimizer = Kron::new(config).expect("valid settings");
        for name in ["matrix", "kernel", "vector", "row"] {
            let part = |part: &str| &golden[&format!("{case}/{name}/{part}")];
            let variable = part("first").copy();
            for (index, plan) in plan.chunks(2).enumerate() {
                optimizer.plan = Plan { is_learned: plan[0] == 1, is_balanced: plan[1] == 1 };
                let now = |tensor: &Tensor| tensor.get(index as i64);
                let noise = optimizer.plan.is_learned.then(|| now(part("noise")));
                optimizer.step_with(name, &variable, &now(part("gradients")), noise.as_ref());
                let error = (&variable - now(part("after"))).abs().max().double_value(&[]);
                assert!(error < TOLERANCE, "{case}, {name}, update {index}: off by {error:e}");
            }
        }
    }
}

#[test]
fn the_probability_to_learn_falls_as_in_kron_torch() {
    let config = KronConfig::default();
    let expected = Vec::<f32>::try_from(&golden()["schedule"]).expect("f32");
    for (update, expected) in [0, 250, 251, 1000, 3000, 4000, 100_000].into_iter().zip(expected) {
        let error = (config.update_probability(update) - f64::from(expected)).abs();
        assert!(error < 1e-6, "after {update} updates: off by {error:e}");
    }
}

fn seeded(config: KronConfig, seed: u64) -> Kron {
    let mut kron = Kron::new(config).expect("valid settings");
    kron.seed(Seeds::new(seed).stream("optimizer"));
    kron
}

fn fast() -> KronConfig {
    KronConfig { learning_rate: 0.05, ..KronConfig::default() }
}

/// How far from the minimum of `1/2 |A W B|^2` a matrix of ones is after so many updates, where A and B
/// have condition number 100 and are not diagonal.
fn quadratic(optimizer: &mut dyn Optimizer, steps: usize) -> f64 {
    let ill = |angle: f64| {
        let (sin, cos) = angle.sin_cos();
        let turn = Tensor::from_slice(&[cos, -sin, sin, cos]).reshape([2, 2]).to_kind(Kind::Float);
        let scale = Tensor::from_slice(&[1.0f32, 0.01]).diag_embed(0, 0, 1);
        turn.matmul(&scale).matmul(&turn.transpose(0, 1))
    };
    let variables = variable(&[2, 2], &[1.0; 4]);
    let w = || variables.get("w").expect("w");
    let loss = || ill(0.5).matmul(w()).matmul(&ill(1.0)).square().sum(Kind::Float) * 0.5;
    for _ in 0..steps {
        variables.zero_grad();
        loss().backward();
        optimizer.step(&variables);
    }
    w().norm().double_value(&[])
}

/// After 300 updates, against SGD at the best of these step sizes: 0.08 (of ten seeds 0.04 to 0.11) and 0.66. The
/// largest curvature is 1, so that SGD diverges from a step size of 2.
#[test]
fn an_ill_conditioned_quadratic_is_whitened() {
    let sgd = |learning_rate| {
        let config = SgdConfig { learning_rate, momentum: 0.0 };
        quadratic(Sgd::build(config).expect("valid").as_mut(), 300)
    };
    let best_sgd = [0.1, 0.5, 1.0, 1.9].map(sgd).into_iter().fold(f64::INFINITY, f64::min);
    let kron = (0..10).map(|seed| quadratic(&mut seeded(fast(), seed), 300)).sum::<f64>() / 10.0;
    assert!(kron < 0.2 * best_sgd, "{kron} against {best_sgd}");
}

/// One step of an element-wise pattern.
fn pattern(optimizer: &mut dyn Optimizer, variables: &Variables, step: usize) {
    variables.zero_grad();
    let w = variables.get("w").expect("w");
    let phase = Tensor::arange(w.numel() as i64, (Kind::Float, Device::Cpu)) * 1.7 + step as f64;
    (w * phase.sin().reshape(w.size())).sum(Kind::Float).backward();
    optimizer.step(variables);
}

/// A `[3, 2]` variable and an optimiser that knows it for five updates.
fn experienced() -> (Kron, Variables) {
    let variables = variable(&[3, 2], &[0.0; 6]);
    let mut optimizer = seeded(fast(), 1);
    (0..5).for_each(|step| pattern(&mut optimizer, &variables, step));
    (optimizer, variables)
}

/// What five more updates make of zeros.
fn goes_on(optimizer: &mut dyn Optimizer) -> Vec<f32> {
    let variables = variable(&[3, 2], &[0.0; 6]);
    (5..10).for_each(|step| pattern(optimizer, &variables, step));
    numbers(&variables)
}

#[test]
fn a_saved_optimizer_goes_on_to_the_bit() {
    let (mut optimizer, variables) = experienced();
    let mut state = StateDict::default();
    state.put_part("optimizer", &optimizer);
    let mut loaded = seeded(fast(), 2);
    state.load_part("optimizer", &mut loaded).expect("saved above");
    loaded.moments().check(&variables).expect("the same variables");
    let expected = goes_on(&mut optimizer);
    assert_eq!(goes_on(&mut loaded), expected);
    assert_ne!(goes_on(&mut seeded(fast(), 2)), expected);
}

#[test]
fn a_fork_shares_nothing() {
    let (mut optimizer, _) = experienced();
    let fork = optimizer.fork();
    let expected = goes_on(fork.fork().as_mut());
    assert_eq!(goes_on(&mut optimizer), expected);
    assert_eq!(goes_on(fork.fork().as_mut()), expected);
}

/// What one update makes of zeros where the preconditioner does not learn.
fn next(optimizer: &mut Kron) -> Vec<f32> {
    let variable = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
    let gradient = Tensor::from_slice(&[1f32, -2.0, 3.0, 0.5, -1.0, 2.0]).reshape([3, 2]);
    optimizer.plan = Plan::default();
    no_grad(|| optimizer.step_with("w", &variable, &gradient, None));
    Vec::try_from(&variable.reshape([-1])).expect("f32")
}

#[test]
fn after_a_reset_factors_begin_anew() {
    let first = next(&mut seeded(fast(), 0));
    let (mut optimizer, _) = experienced();
    assert_ne!(next(&mut optimizer), first);
    optimizer.moments_mut().reset_variable("w");
    assert_eq!(next(&mut optimizer), first);
    let (mut optimizer, _) = experienced();
    optimizer.moments_mut().reset();
    assert_eq!(next(&mut optimizer), first);
}

#[test]
fn factors_forget_a_unit_that_was_reset_and_no_other() {
    let (mut optimizer, _) = experienced();
    let factor = |optimizer: &Kron, dim: usize| {
        let factor = &optimizer.factors["w"].tensors()[dim];
        Vec::<f32>::try_from(&factor.reshape([-1])).expect("f32")
    };
    let (before, columns) = (factor(&optimizer, 0), factor(&optimizer, 1));
    optimizer.moments_mut().reset_units("w", 0, &Tensor::from_slice(&[1i64]));
    next(&mut optimizer);
    let after = factor(&optimizer, 0);
    let mean = f32::midpoint(before[0], before[8]);
    assert_eq!(after, [before[0], 0.0, before[2], 0.0, mean, 0.0, 0.0, 0.0, before[8]]);
    assert_eq!(factor(&optimizer, 1), columns);
    assert!(before[1] != 0.0 && before[5] != 0.0, "{before:?}");
    next(&mut optimizer);
    assert_eq!(factor(&optimizer, 0), after, "forgotten once");
}

#[test]
fn units_of_a_bias_are_reset_too() {
    let variables = variable(&[3], &[0.0; 3]);
    let mut optimizer = seeded(fast(), 4);
    (0..5).for_each(|step| pattern(&mut optimizer, &variables, step));
    let factor =
        |optimizer: &Kron| Vec::<f32>::try_from(&optimizer.factors["w"].tensors()[0]).expect("f32");
    let before = factor(&optimizer);
    optimizer.moments_mut().reset_units("w", 0, &Tensor::from_slice(&[0i64]));
    optimizer.plan = Plan::default();
    let variable = variables.get("w").expect("w").detach();
    optimizer.step_with("w", &variable, &Tensor::from_slice(&[1f32, 2.0, 3.0]), None);
    let mean = f32::midpoint(before[1], before[2]);
    assert_eq!(factor(&optimizer), [mean, before[1], before[2]]);
}

#[test]
fn preconditioners_learn_seldom_in_the_end() {
    let config =
        KronConfig { update_probability_flat_start: 10, update_probability_decay: 0.1, ..fast() };
    let mut optimizer = seeded(config, 3);
    let plans: Vec<bool> = (0..2000).map(|_| optimizer.draw_plan().is_learned).collect();
    assert!(plans[..10].iter().all(|is_learned| *is_learned));
    let late = plans[200..].iter().filter(|is_learned| **is_learned).count();
    // Seed 3. 1800 draws of 0.03: 54 expected, standard deviation 7.
    assert!((26..=82).contains(&late), "{late}");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let message = |config: KronConfig| Kron::build(config).err().expect("refused");
    let probability = KronConfig { min_update_probability: 1.5, ..fast() };
    assert!(message(probability).contains("`min_update_probability` is 1.5"));
    assert!(message(KronConfig { precond_lr: 1.0, ..fast() }).contains("`precond_lr` is 1"));
}

#[test]
fn a_single_parameter_moves_against_its_gradient() {
    let variables = variable(&[1], &[0.0]);
    let mut optimizer = seeded(fast(), 0);
    step(&mut optimizer, &variables, 3.0);
    assert!(numbers(&variables)[0] < 0.0);
}
