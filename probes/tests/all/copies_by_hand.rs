//! What copies of a linear network learn, against numbers worked by hand.

use pliant_core::{
    metrics::{Line, Metrics, Value},
    optimizer::{Kron, KronConfig},
};

use crate::linear::{Given, assert_numbers, learner, learner_that_adds, measure};

/// (1, 0) is worth 1 and 1.5.
const WEIGHT: [f32; 4] = [1.0, 0.0, 1.5, -1.0];

/// Of weights of 1 it is 1, whose sine is then one half.
const SCALE: &str = "scale = 0.5235987755982988";

/// So many transitions that all show (1, 0).
fn same(count: usize) -> Given {
    Given(vec![([1, 0], 0, 0.0); count])
}

/// The curve of learning and the level it is compared with.
fn lines(metrics: &Metrics) -> Vec<Line> {
    let curves = metrics.iter().find_map(|(_, value)| match value {
        Value::Curves(curves) => Some(curves.lines.clone()),
        _ => None,
    });
    curves.expect("a figure")
}

fn assert_points(line: &Line, expected: &[(f64, f64)]) {
    assert_eq!(line.points.len(), expected.len(), "{line:?}");
    for ((x, y), (expected_x, expected_y)) in line.points.iter().zip(expected) {
        assert!(
            x == expected_x && (y - expected_y).abs() < 1e-6,
            "{line:?}, expected {expected:?}"
        );
    }
}

/// The mean prediction is 1.25, so both actions should be worth 1.75: they are off by 0.75 and 0.25. The
/// gradient of a weight is how far it is off (twice, averaged over two actions), so a step halves it.
#[test]
fn plasticity_by_hand() {
    let settings = format!("targets = 2\nobservations = 2\nbatch_size = 2\nsteps = 3\n{SCALE}");
    let metrics = measure("plasticity", &settings, &learner(WEIGHT), &same(2));
    let initial = (0.75f64.powi(2) + 0.25f64.powi(2)) / 2.0;
    assert_numbers(
        &metrics,
        &[
            ("plasticity/initial_loss", initial),
            ("plasticity/final_loss", initial / 64.0),
            ("plasticity/final_loss/target_1", initial / 64.0),
            ("plasticity/final_loss_std", 0.0),
            ("plasticity/baseline", 0.0),
            ("plasticity/plasticity", -initial / 64.0),
        ],
    );
    let [curve, level] = &lines(&metrics)[..] else { panic!("two lines") };
    assert_points(curve, &[(1.0, initial), (2.0, initial / 4.0), (3.0, initial / 16.0)]);
    assert_points(level, &[(1.0, 0.0), (3.0, 0.0)]);
}

/// (1, 0) is worth 1 and 1.5, (0, 1) is worth 0 and -1: 0.375 in the mean, by action 0.5 and 0.25.
#[test]
fn targets_lie_around_the_mean_of_all_predictions_or_of_each_actions() {
    let data = Given(vec![([1, 0], 0, 0.0), ([0, 1], 0, 0.0)]);
    for (offset, [first, second]) in [("scalar", [0.875f64, 0.875]), ("per_action", [1.0, 0.75])] {
        let settings = "targets = 1\nobservations = 2\nbatch_size = 1\nsteps = 1";
        let settings = format!("{settings}\noffset = \"{offset}\"\n{SCALE}");
        let metrics = measure("plasticity", &settings, &learner(WEIGHT), &data);
        let off = [1.0 - first, 1.5 - second, 0.0 - first, -1.0 - second];
        let expected = off.iter().map(|off| off * off).sum::<f64>() / 4.0;
        assert_numbers(&metrics, &[("plasticity/initial_loss", expected)]);
    }
}

/// More observations than are looked at at a time: 512 worth 1 and 1.5, then 88 worth 0 and -1.
#[test]
fn the_mean_prediction_is_of_all_observations() {
    let [front, back] = [([1, 0], 0, 0.0), ([0, 1], 0, 0.0)];
    let data = Given([vec![front; 512], vec![back; 88]].concat());
    let settings = format!("targets = 1\nobservations = 600\nbatch_size = 1\nsteps = 1\n{SCALE}");
    let metrics = measure("plasticity", &settings, &learner(WEIGHT), &data);
    let target = (512.0 * 2.5 - 88.0) / 1200.0 + 0.5;
    let off = |value: f64| (value - target).powi(2);
    let expected = (512.0 * (off(1.0) + off(1.5)) + 88.0 * (off(0.0) + off(-1.0))) / 1200.0;
    assert_numbers(&metrics, &[("plasticity/initial_loss", expected)]);
}

/// One more on every output in training: they are off by 0.25 and 0.75 there, and a step halves that. The losses
/// before and after are of evaluation.
#[test]
fn copies_learn_in_passes_for_training_and_are_evaluated_in_others() {
    let settings = format!("targets = 1\nobservations = 2\nbatch_size = 2\nsteps = 2\n{SCALE}");
    let metrics = measure("plasticity", &settings, &learner_that_adds(1.0, WEIGHT), &same(2));
    let mean = |a: f64, b: f64| (a * a + b * b) / 2.0;
    assert_points(&lines(&metrics)[0], &[(1.0, mean(0.25, 0.75)), (2.0, mean(0.125, 0.375))]);
    assert_numbers(
        &metrics,
        &[
            ("plasticity/initial_loss", mean(0.75, 0.25)),
            ("plasticity/final_loss", mean(0.0625 - 1.0, 0.1875 - 1.0)),
        ],
    );
}

/// Two actions worth 0: the loss is ln 2, and a step raises the label's by half of what its probability lacks to 1
/// and lowers the other's by as much: to +-0.25, then to +-(0.25 + 0.377541 / 2).
#[test]
fn random_labels_by_hand() {
    let settings = "targets = 3\nobservations = 1\nbatch_size = 1\nsteps = 2";
    let metrics = measure("random_labels", settings, &learner([0.0; 4]), &same(1));
    let [before, between, after] = [2f64.ln(), 0.474_076_984, 0.347_697_748];
    assert_numbers(
        &metrics,
        &[
            ("random_labels/initial_loss", before),
            ("random_labels/final_loss", after),
            ("random_labels/accuracy", 1.0),
            ("random_labels/accuracy/target_2", 1.0),
        ],
    );
    let [curve, level] = &lines(&metrics)[..] else { panic!("two lines") };
    assert_points(curve, &[(1.0, before), (2.0, between)]);
    assert_points(level, &[(1.0, before), (2.0, before)]);
}

/// Half of 64 observations are off by 0.125 and 0.625, half by 0.875 and 1.875: with weights that do not move the loss
/// of 51 steps is told 26 times, each that of two steps but for the last, and of k among 64 in one step.
#[test]
fn points_of_the_curve_are_means_of_whole_batches() {
    let data = Given([([1, 0], 0, 0.0), ([0, 1], 0, 0.0)].repeat(32));
    let mut learner = learner(WEIGHT);
    learner.optimizer.set_learning_rate(0.0);
    let settings = format!("targets = 1\nobservations = 64\nbatch_size = 64\nsteps = 51\n{SCALE}");
    let metrics = measure("plasticity", &settings, &learner, &data);
    let points = &lines(&metrics)[0].points;
    let steps: Vec<f64> = points.iter().map(|(step, _)| *step).collect();
    let expected: Vec<f64> = (1..=25).map(|pair| f64::from(2 * pair)).chain([51.0]).collect();
    assert_eq!(steps, expected);
    let [few, many] = [[0.125f64, 0.625], [0.875, 1.875]].map(|[a, b]| (a * a + b * b) / 2.0);
    let mut seen = Vec::new();
    for (step, loss) in points {
        let batches = if *step == 51.0 { 64.0 } else { 128.0 };
        let count = (loss - few) / (many - few) * batches;
        assert!((count - count.round()).abs() < 1e-3, "{step}: {count} of {batches}");
        // Half, with a standard deviation of 4 or 5.7.
        assert!((count - batches / 2.0).abs() < 25.0, "{step}: {count} of {batches}");
        seen.push(count.round() as i64);
    }
    seen.dedup();
    assert!(seen.len() > 10, "batches are drawn anew: {seen:?}");
}

/// Both targets are the same here, and both copies have the same observations: what differs is what the optimiser
/// draws.
#[test]
fn optimisers_of_copies_draw_from_streams_of_their_own() {
    let mut learner = learner(WEIGHT);
    learner.optimizer = Kron::build(KronConfig::default()).expect("valid");
    let settings = format!("targets = 2\nobservations = 2\nbatch_size = 2\nsteps = 5\n{SCALE}");
    let metrics = measure("plasticity", &settings, &learner, &same(2));
    let [first, second] =
        [0, 1].map(|target| metrics.get_scalar(&format!("plasticity/final_loss/target_{target}")));
    assert_ne!(first, second);
}
