//! Curvature of a linear network's loss, against matrices worked by hand.

use pliant_core::{
    learner::Learner,
    metrics::{Curves, Metrics, Value},
    optimizer::{Sgd, SgdConfig},
    tch::Tensor,
};

use crate::linear::{Given, assert_numbers, learner, measure};

/// The agent's loss is half of how far one action's value is off, squared: its Hessian is x x^T for the weights of
/// that action. Of (1, 0) three times with action 0 and (0, 1) once with action 1 the mean is 3/4 in one direction,
/// 1/4 in another and 0 in two.
fn data() -> Given {
    let (often, once) = (([1, 0], 0, -9.0), ([0, 1], 1, 5.0));
    Given(vec![often, often, once, often])
}

fn any_learner() -> Learner {
    learner([1.0, 0.0, 1.5, -1.0])
}

fn density(metrics: &Metrics, loss: &str) -> Curves {
    let curves = metrics.iter().find_map(|(tag, value)| match value {
        Value::Curves(curves) if tag == format!("hessian/{loss}/density") => Some(curves.clone()),
        _ => None,
    });
    curves.expect("a figure")
}

#[test]
fn the_hessian_of_both_losses_by_hand() {
    let settings = "batch_size = 4\nsteps = 4\ndraws = 3\ngrid = 701";
    let metrics = measure("hessian", settings, &any_learner(), &data());
    // The probe loss is the square itself, for both actions: 2 x x^T, whatever the noise.
    assert_numbers(
        &metrics,
        &[
            ("hessian/primary/largest", 0.75),
            ("hessian/primary/smallest", 0.0),
            ("hessian/primary/negative_mass", 0.0),
            ("hessian/probe/largest", 1.5),
            ("hessian/probe/smallest", 0.5),
            ("hessian/probe/negative_mass", 0.0),
        ],
    );
    let figure = density(&metrics, "primary");
    assert!(figure.y.is_log && !figure.x.is_log);
    assert_eq!(figure.lines[0].points.len(), 701);
}

#[test]
fn sharpness_by_hand() {
    let mut learner = any_learner();
    let settings = "batch_size = 4\nsteps = 4";
    let [plain, unpreconditioned, preconditioned, stability] =
        ["plain", "unpreconditioned", "preconditioned", "stability"]
            .map(|name| format!("sharpness/primary/{name}"));
    let metrics = measure("sharpness", settings, &learner, &data());
    assert_numbers(&metrics, &[(&plain, 0.75), (&unpreconditioned, 1.0)]);
    for name in [&preconditioned, &stability] {
        assert_eq!(metrics.get_scalar(name), None, "no step was made yet");
    }
    // Heavy balls: steps diverge from (2 + 2 * 0.5) / 0.5 = 6 on.
    let sgd = SgdConfig { learning_rate: 0.5, momentum: 0.5 };
    learner.optimizer = Sgd::build(sgd).expect("valid");
    let name = "output/weight";
    let weight = learner.online.variables().get(name).expect("there").shallow_clone();
    learner.optimizer.moments_mut().advance(name, &weight);
    let metrics = measure("sharpness", settings, &learner, &data());
    let expected = [(&plain, 0.75), (&preconditioned, 0.75), (&stability, 0.125)];
    let expected = expected.map(|(name, number)| (name.as_str(), number));
    assert_numbers(&metrics, &expected);
    assert_numbers(&metrics, &[(&unpreconditioned, 0.0)]);
    // A reset of one of two units leaves the other.
    learner.optimizer.moments_mut().reset_units(name, 0, &Tensor::from_slice(&[1i64]));
    let metrics = measure("sharpness", settings, &learner, &data());
    assert_numbers(&metrics, &expected);
    assert_numbers(&metrics, &[(&unpreconditioned, 0.5)]);
}
