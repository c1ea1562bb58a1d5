//! Double-Q target and Huber gradient against PyTorch: `scripts/golden/optimizers.py` wrote what to
//! expect.

use pliant_agents::td::double_q_target;
use pliant_core::{
    head::{Head, TdLoss},
    tch::{Kind, Tensor},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    q_tm1: Vec<Vec<f64>>,
    a_tm1: Vec<i64>,
    r_t: Vec<f64>,
    discount_t: Vec<f64>,
    q_t_value: Vec<Vec<f64>>,
    q_t_selector: Vec<Vec<f64>>,
    target: Vec<f64>,
    loss: f64,
    gradient: Vec<Vec<f64>>,
}

fn f32s(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float)
}

fn rows(values: &[Vec<f64>]) -> Tensor {
    f32s(&values.concat()).reshape([values.len() as i64, -1])
}

/// Values are below 10 and made by at most three f32 operations: 4 units in the last place.
fn assert_close(actual: &Tensor, expected: &[f64]) {
    let actual = Vec::<f32>::try_from(&actual.reshape([-1])).expect("f32");
    for (actual, expected) in actual.iter().zip(expected) {
        let error = (f64::from(*actual) - expected).abs();
        assert!(error <= 4.0 * 2f64.powi(-24) * 10.0, "{actual}, expected {expected}");
    }
}

#[test]
fn target_loss_and_gradient_are_those_of_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("golden/double_q.json"))
        .expect("written by scripts/golden/optimizers.py");
    let q_tm1 = rows(&golden.q_tm1).set_requires_grad(true);
    let (r_t, discount_t) = (f32s(&golden.r_t), f32s(&golden.discount_t));
    let (value, selector) = (rows(&golden.q_t_value), rows(&golden.q_t_selector));
    let target = double_q_target(&Head::Scalar, &r_t, &discount_t, &value, &selector);
    assert_close(&target.value, &golden.target);
    let a_tm1 = Tensor::from_slice(&golden.a_tm1);
    let loss = Head::Scalar.loss(&q_tm1, &a_tm1, &target, TdLoss::Huber).mean(Kind::Float);
    assert_close(&loss, &[golden.loss]);
    loss.backward();
    assert_close(&q_tm1.grad(), &golden.gradient.concat());
    let clipped =
        golden.gradient.concat().iter().filter(|g| (g.abs() - 1.0 / 6.0).abs() < 1e-9).count();
    assert!(
        (1..6).contains(&clipped),
        "both branches of the loss are taken: {clipped} of 6 clipped"
    );
}
