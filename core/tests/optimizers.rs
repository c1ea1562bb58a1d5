//! The optimisers against optax and PyTorch: `scripts/golden/optimizers.py` wrote what to expect.

use pliant_core::{
    optimizer::Optimizer,
    registry::Plugins,
    seeds::Seeds,
    tch::{Device, Kind, Tensor, no_grad},
    variables::{Init, VariableSource, Variables},
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    first: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    settings: toml::Table,
    /// Parameters after this many steps, as computed in f64.
    after: BTreeMap<usize, Vec<f64>>,
}

fn variables(first: &[f32]) -> Variables {
    let mut stream = Seeds::new(0).stream("unused");
    let mut source = VariableSource::draw(&mut stream, Device::Cpu);
    let variable = source.variable("w", &[first.len() as i64], Init::Zeros);
    no_grad(|| variable.shallow_clone().copy_(&Tensor::from_slice(first)));
    source.finish()
}

/// One step on exactly these gradients: those of a linear loss are its coefficients.
fn step(optimizer: &mut dyn Optimizer, variables: &Variables, gradient: &[f32]) {
    variables.zero_grad();
    let variable = variables.get("w").expect("made above");
    (variable * Tensor::from_slice(gradient)).sum(Kind::Float).backward();
    optimizer.step(variables);
}

/// How far f32 may lie from f64 after some steps: `2^-24` of the parameter for each subtraction, and for
/// each step a few roundings of the step itself, which is 0.9 at most.
fn tolerance(steps: usize, expected: f64) -> f64 {
    let rounding = 2f64.powi(-24);
    steps as f64 * rounding * (expected.abs() + 2.0)
}

#[test]
fn twenty_steps_are_those_of_optax_and_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("golden/optimizers.json"))
        .expect("written by scripts/golden/optimizers.py");
    let plugins = Plugins::core();
    for case in &golden.cases {
        let kind = plugins.optimizers.get(&case.kind).expect("a registered kind");
        let mut optimizer = kind.build(&case.settings).expect("valid settings");
        let variables = variables(&golden.first);
        for (index, gradient) in golden.gradients.iter().enumerate() {
            step(optimizer.as_mut(), &variables, gradient);
            let Some(expected) = case.after.get(&(index + 1)) else { continue };
            let variable = variables.get("w").expect("made above").detach();
            let actual = Vec::<f32>::try_from(&variable).expect("a flat f32 tensor");
            for (unit, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                let error = (f64::from(*actual) - expected).abs();
                assert!(
                    error <= tolerance(index + 1, *expected),
                    "{}, step {}, parameter {unit}: {actual}, expected {expected}, off by {error:e}",
                    case.name,
                    index + 1,
                );
            }
        }
    }
    assert_eq!(golden.cases.len(), 9);
}

#[test]
fn the_golden_cases_can_be_told_apart() {
    let golden: Golden = serde_json::from_str(include_str!("golden/optimizers.json"))
        .expect("written by scripts/golden/optimizers.py");
    let last: Vec<&Vec<f64>> = golden.cases.iter().map(|case| &case.after[&20]).collect();
    for (index, one) in last.iter().enumerate() {
        for other in &last[index + 1..] {
            let far = |(a, b): (&f64, &f64)| (a - b).abs() > 10.0 * tolerance(20, *a);
            assert!(one.iter().zip(*other).any(far), "two cases expect the same numbers");
        }
    }
}
