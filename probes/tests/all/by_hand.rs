//! Probes of a linear network, against numbers worked by hand.

use pliant_core::metrics::Value;

use crate::linear::{Given, assert_numbers, learner, measure};

/// Of x = (1, 0) action 0 is worth 1 and should be worth 3: the gradient of its weight is -2, the step 1.
const LEARNED: ([u8; 2], i64, f32) = ([1, 0], 0, 3.0);

const WEIGHT: [f32; 4] = [1.0, 0.0, 1.5, -1.0];

#[test]
fn interference_by_hand() {
    // All should be worth less: the gradients of action 0's weights are along (1, 0), (0, 1) and (1, 1), the
    // first and the last are of one state.
    let observed = [([1, 0], 0, -9.0), ([0, 1], 0, -9.0), ([1, 1], 0, -9.0)];
    let data = Given([&[LEARNED], &observed[..]].concat());
    let settings = "learned = 1\nbatch_size = 3";
    let metrics = measure("interference", settings, &learner(WEIGHT), &data);
    let half_root = 0.5f64.sqrt();
    assert_numbers(
        &metrics,
        &[
            ("interference/alignment", 2.0 * half_root / 3.0),
            ("interference/alignment_within", half_root),
            ("interference/alignment_across", half_root / 2.0),
            // (1, 1.5), (0, -1), (1, .5) to (2, 1.5), (0, -1), (2, .5).
            ("interference/churn", 2.0 / 6.0),
            ("interference/churn_relative", 2.0 / 5.0),
            ("interference/greedy_changes", 1.0 / 3.0),
        ],
    );
}

#[test]
fn what_is_observed_begins_where_what_is_learned_ends() {
    // Learning (1, 0) moves nothing at (0, 1), whose gradients are alike.
    let data = Given(vec![LEARNED, LEARNED, ([0, 1], 0, -9.0), ([0, 1], 0, -9.0)]);
    let settings = "learned = 2\nbatch_size = 2";
    let metrics = measure("interference", settings, &learner(WEIGHT), &data);
    assert_numbers(&metrics, &[("interference/churn", 0.0), ("interference/alignment", 1.0)]);
}

fn heat_map(settings: &str, data: &Given) -> Vec<f32> {
    let metrics = measure("gradient_covariance", settings, &learner(WEIGHT), data);
    let matrix = metrics.iter().find_map(|(_, value)| match value {
        Value::Matrix(matrix) => Some(matrix.clone()),
        _ => None,
    });
    let matrix = matrix.expect("a matrix");
    assert_eq!(matrix.range, (-1.0, 1.0), "cosines");
    matrix.values
}

fn assert_all_close(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{actual:?}, expected {expected:?}");
    }
}

#[test]
fn the_heat_map_is_in_the_order_that_was_asked_for() {
    // Gradients along (1, 0), (0, 1), (1, 0), (0, 1) of action 0's weights, in states 1, 0, 1, 0.
    let [a, b] = [([1, 0], 0, -9.0), ([0, 1], 0, -9.0)];
    let data = Given(vec![a, b, a, b]);
    let order =
        |order: &str| heat_map(&format!("batch_size = 4\nloss = \"primary\"\n{order}"), &data);
    #[rustfmt::skip]
    let drawn = [
        1.0, 0.0, 1.0, 0.0,
        0.0, 1.0, 0.0, 1.0,
        1.0, 0.0, 1.0, 0.0,
        0.0, 1.0, 0.0, 1.0,
    ];
    #[rustfmt::skip]
    let together = [
        1.0, 1.0, 0.0, 0.0,
        1.0, 1.0, 0.0, 0.0,
        0.0, 0.0, 1.0, 1.0,
        0.0, 0.0, 1.0, 1.0,
    ];
    assert_all_close(&order("order = \"none\""), &drawn);
    assert_all_close(&order(""), &together);
    assert_all_close(&order("clusters = 2"), &together);
    assert_all_close(&order("clusters = 1"), &drawn);
    assert_all_close(&order("order = \"state\""), &together);
}

#[test]
fn states_and_clusters_are_orders_of_their_own() {
    // Gradients along (1, 0) in state 1, -(0, 1) in state 0, (1, 1) in state 1, and (0, 1) in state 0.
    let rows = [([1, 0], 0, -9.0), ([0, 1], 0, 9.0), ([1, 1], 0, -9.0), ([0, 1], 0, -9.0)];
    let settings = "batch_size = 4\nloss = \"primary\"\norder = \"state\"";
    let half_root = 0.5f32.sqrt();
    // The second, the fourth, the first, the third.
    #[rustfmt::skip]
    let expected = [
        1.0, -1.0, 0.0, -half_root,
        -1.0, 1.0, 0.0, half_root,
        0.0, 0.0, 1.0, half_root,
        -half_root, half_root, half_root, 1.0,
    ];
    assert_all_close(&heat_map(settings, &Given(rows.to_vec())), &expected);
}

#[test]
fn gradients_of_zero_are_reported() {
    // Nothing is off in the second: action 1 of (1, 0) is worth 1.5.
    let data = Given(vec![([1, 0], 0, -9.0), ([1, 0], 1, 1.5)]);
    let settings = "batch_size = 2\nloss = \"primary\"";
    let metrics = measure("gradient_covariance", settings, &learner(WEIGHT), &data);
    assert_numbers(&metrics, &[("gradient_covariance/primary/zero_share", 0.5)]);
}

/// Gradients of the same observation are along it for each action, as far as the noise says: with shared noise all
/// the same.
#[test]
fn noise_of_the_probe_loss_is_shared_unless_it_is_of_each_transition() {
    let data = Given(vec![([1, 0], 0, 0.0); 3]);
    let cosines = |noise: &str| heat_map(&format!("batch_size = 3\n{noise}"), &data);
    assert_all_close(&cosines(""), &[1.0; 9]);
    assert_all_close(&cosines("noise = \"shared\""), &[1.0; 9]);
    let each = cosines("noise = \"each\"");
    assert!(each.iter().any(|cosine| *cosine < 0.99), "{each:?}");
}

/// Features are (1, 0) four times: singular values 2 and 0, over sqrt(4) 1 and 0. The weight is (1, 0), (1.5, -1):
/// W W^T has the trace 4.25 and the determinant 1, so singular values are 2 and 0.5.
#[test]
fn ranks_by_hand() {
    let data = Given(vec![([1, 0], 0, 0.0); 4]);
    let rank = |settings: &str| {
        measure("rank", &format!("batch_size = 4\n{settings}"), &learner(WEIGHT), &data)
    };
    assert_numbers(&rank("threshold = 1.1"), &[("rank/feature", 0.0)]);
    let shares = 0.8 * (1.0 / 0.8f64).ln() + 0.2 * 5f64.ln();
    assert_numbers(
        &rank("threshold = 0.9"),
        &[
            ("rank/feature", 1.0),
            ("rank/srank", 1.0),
            ("rank/effective", 1.0),
            ("rank/stable", 1.0),
            ("rank/weight_numerical/output", 2.0),
            ("rank/weight_srank/output", 2.0),
            ("rank/weight_effective/output", shares.exp()),
            ("rank/weight_stable/output", 4.25 / 4.0),
            ("rank/weight_effective_share", shares.exp() / 2.0),
        ],
    );
    let alone = rank("weights = false");
    assert!(alone.iter().all(|(tag, _)| tag.starts_with("rank/")), "{alone:?}");
}

#[test]
fn norms_by_hand() {
    let metrics = measure("norms", "batch_size = 1", &learner(WEIGHT), &Given(vec![LEARNED]));
    // 1 + 1.5^2 + 1.
    let weight = 4.25f64.sqrt();
    for place in ["", "/output"] {
        let [of_weight, gradient, update, rate] =
            ["weight", "gradient", "update", "effective_learning_rate"]
                .map(|what| format!("norms/{what}{place}"));
        let expected: [(&str, f64); 4] =
            [(&of_weight, weight), (&gradient, 2.0), (&update, 1.0), (&rate, 1.0 / weight)];
        assert_numbers(&metrics, &expected);
    }
    // Features (1, 0), Q-values 1 and 1.5.
    assert_numbers(
        &metrics,
        &[
            ("norms/feature", 1.0),
            ("norms/q_mean_abs", 1.25),
            ("norms/q_max", 1.5),
            ("norms/q_std", 0.25),
        ],
    );
}

/// Features (1, 1) and (0, 1); Q-values 1 and 0.5, 0 and -1: their mean is 1/8, that of their squares 9/16.
#[test]
fn norms_of_features_and_q_values_are_means_over_the_batch() {
    let data = Given(vec![([1, 1], 0, 0.0), ([0, 1], 0, 0.0)]);
    let metrics = measure("norms", "batch_size = 2", &learner(WEIGHT), &data);
    assert_numbers(
        &metrics,
        &[
            ("norms/feature", (2f64.sqrt() + 1.0) / 2.0),
            ("norms/q_mean_abs", 2.5 / 4.0),
            ("norms/q_max", 1.0),
            ("norms/q_std", (9.0f64 / 16.0 - 1.0 / 64.0).sqrt()),
        ],
    );
}
