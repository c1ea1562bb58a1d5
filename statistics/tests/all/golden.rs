//! What rliable 1.2.0 and scipy make of the same numbers (scripts/golden/estimates.py).
//!
//! What is not random agrees to 1e-12. An end of a bootstrap interval is a random number on either side: theirs
//! is given as mean and standard deviation s over 20 seeds of 5000 replicates. Of our 50,000 replicates it has a
//! standard deviation of about s / sqrt(10), so the two differ by one of s sqrt(1/20 + 1/10). Six of these are allowed:
//! with s from 20 seeds (Student's t), one of the 158 ends here is further off in about one of 700 seeds of ours.
//! That is a tenth of a standard error of the statistic, or a share of 0.020 for 0.025.

use std::collections::BTreeMap;

use pliant_statistics::{
    aggregate::{Aggregate, estimates},
    bootstrap::Bootstrap,
    correlation::{Points, RankCorrelation},
    curve::Curve,
    difference::aggregate_difference,
    estimate::{Estimate, Interval},
    improvement::{improvement, probability_of_improvement},
    learning_curve::{Average, LearningCurve, Spread},
    paired::paired_difference,
    profile::Profile,
    scores::Scores,
    seeded::Seeded,
    series::{Interpolation, Series},
};
use serde::Deserialize;

/// Mean and standard deviation of the lower and of the upper end.
type Ends = [[f64; 2]; 2];

#[derive(Deserialize)]
struct Golden {
    seeds: f64,
    replicates: f64,
    taus: Vec<f64>,
    scores: BTreeMap<String, OfScores>,
    pairs: BTreeMap<String, OfPair>,
    correlations: BTreeMap<String, OfCorrelation>,
    differences: BTreeMap<String, OfDifferences>,
}

#[derive(Deserialize)]
struct OfScores {
    scores: Vec<Vec<f64>>,
    aggregates: Vec<f64>,
    aggregate_intervals: Vec<Ends>,
    run_profile: Vec<f64>,
    run_profile_intervals: Vec<Ends>,
    average_profile: Vec<f64>,
    average_profile_intervals: Vec<Ends>,
}

#[derive(Deserialize)]
struct OfPair {
    x: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    improvement: f64,
    improvement_interval: Ends,
    iqm_difference: f64,
    iqm_difference_interval: Ends,
}

#[derive(Deserialize)]
struct OfCorrelation {
    x: Vec<f64>,
    y: Vec<f64>,
    spearman: f64,
    kendall: f64,
    spearman_p: Option<f64>,
    kendall_p: Option<f64>,
    spearman_p_asymptotic: Option<f64>,
    kendall_p_asymptotic: Option<f64>,
    spearman_interval: Option<Ends>,
    kendall_interval: Option<Ends>,
}

#[derive(Deserialize)]
struct OfDifferences {
    differences: Vec<f64>,
    mean: f64,
    standard_deviation: f64,
    standard_error: f64,
    p: f64,
    interval: Ends,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/estimates.json")).expect("the script's output")
}

fn scores(name: &str, rows: &[Vec<f64>]) -> Scores {
    let tasks: Vec<String> = (0..rows[0].len()).map(|task| format!("task {task}")).collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    Scores::from_rows(name, &tasks, rows).expect("a full matrix")
}

#[track_caller]
fn assert_equal(ours: f64, theirs: f64, what: &str) {
    let error = (ours - theirs).abs();
    assert!(error <= 1e-12 * theirs.abs().max(1.0), "{what}: {ours}, expected {theirs}");
}

impl Golden {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap::new(0)
    }

    #[track_caller]
    fn assert_interval(&self, ours: Option<Interval>, theirs: &Ends, what: &str) {
        let ours = ours.unwrap_or_else(|| panic!("{what}: several runs"));
        let ratio = self.replicates / self.bootstrap().replicates as f64;
        for (end, [mean, std]) in [ours.low, ours.high].into_iter().zip(theirs) {
            let allowed = 6.0 * std * (1.0 / self.seeds + ratio).sqrt() + 1e-12;
            assert!((end - mean).abs() <= allowed, "{what}: {end}, expected {mean} +- {allowed}");
        }
    }

    #[track_caller]
    fn assert_curve(&self, ours: &Curve, theirs: &[f64], intervals: &[Ends], what: &str) {
        assert_eq!(ours.points.len(), theirs.len());
        for ((point, expected), ends) in ours.points.iter().zip(theirs).zip(intervals) {
            let what = format!("{what} at {}", point.x);
            assert_equal(point.estimate, *expected, &what);
            self.assert_interval(point.interval, ends, &what);
        }
    }

    #[track_caller]
    fn assert_estimate(&self, ours: &Estimate, theirs: f64, ends: &Ends, what: &str) {
        assert_equal(ours.estimate, theirs, what);
        self.assert_interval(ours.interval, ends, what);
    }
}

/// In the order of the script.
const AGGREGATES: [Aggregate; 5] = [
    Aggregate::Mean,
    Aggregate::Median,
    Aggregate::Iqm,
    Aggregate::OptimalityGap { gamma: 1.0 },
    Aggregate::OptimalityGap { gamma: 0.3 },
];

#[test]
fn aggregates_are_rliables() {
    let golden = golden();
    for (name, expected) in &golden.scores {
        let scores = scores(name, &expected.scores);
        let ours = estimates(&AGGREGATES, &scores, &golden.bootstrap()).expect("a full matrix");
        assert_eq!(ours.len(), expected.aggregates.len());
        let theirs = expected.aggregates.iter().zip(&expected.aggregate_intervals);
        for (ours, (value, ends)) in ours.iter().zip(theirs) {
            golden.assert_estimate(ours, *value, ends, &ours.name);
        }
    }
}

#[test]
fn performance_profiles_are_rliables() {
    let golden = golden();
    for (name, expected) in &golden.scores {
        let scores = scores(name, &expected.scores);
        let curve = |profile: Profile| {
            profile.of(&scores, &golden.taus, &golden.bootstrap()).expect("a full matrix")
        };
        let (runs, intervals) = (&expected.run_profile, &expected.run_profile_intervals);
        golden.assert_curve(&curve(Profile::Runs), runs, intervals, &format!("{name}: runs"));
        let (tasks, intervals) = (&expected.average_profile, &expected.average_profile_intervals);
        golden.assert_curve(&curve(Profile::Tasks), tasks, intervals, &format!("{name}: tasks"));
    }
}

#[test]
fn comparisons_of_two_algorithms_are_rliables() {
    let golden = golden();
    for (name, expected) in &golden.pairs {
        let (x, y) = (scores("x", &expected.x), scores("y", &expected.y));
        let ours = improvement(&x, &y, &golden.bootstrap()).expect("the same tasks").estimate;
        let ends = &expected.improvement_interval;
        golden.assert_estimate(&ours, expected.improvement, ends, name);
        let point = probability_of_improvement(&x, &y).expect("the same tasks");
        assert_eq!(point, ours.estimate);
        let iqm = aggregate_difference(&x, &y, Aggregate::Iqm, &golden.bootstrap());
        let iqm = iqm.expect("the same tasks").estimate;
        let ends = &expected.iqm_difference_interval;
        golden.assert_estimate(&iqm, expected.iqm_difference, ends, &iqm.name);
    }
}

#[test]
fn rank_correlations_are_scipys() {
    let golden = golden();
    for (name, expected) in &golden.correlations {
        let points = expected.x.iter().copied().zip(expected.y.iter().copied());
        let points = Points::new(name, points).expect("both sides vary");
        let spearman = (RankCorrelation::Spearman, expected.spearman, expected.spearman_p);
        let spearman = (spearman, expected.spearman_p_asymptotic, expected.spearman_interval);
        let kendall = (RankCorrelation::Kendall, expected.kendall, expected.kendall_p);
        let kendall = (kendall, expected.kendall_p_asymptotic, expected.kendall_interval);
        for ((kind, value, exact_p), asymptotic_p, ends) in [spearman, kendall] {
            let what = format!("{name}: {kind}");
            let ours = kind.effect(&points, &golden.bootstrap()).expect("good settings");
            assert_equal(ours.estimate.estimate, value, &what);
            if let Some(p) = exact_p {
                assert_equal(ours.p_value, p, &what);
            }
            if let Some(p) = asymptotic_p {
                assert_near_p(ours.p_value, p, &what);
            }
            if let Some(ends) = ends {
                golden.assert_interval(ours.estimate.interval, &ends, &what);
            }
        }
    }
}

/// Of 40 points, the approximation of a large sample lies within a fifth of the p-value by permutation, beside
/// what a share of 50,000 draws varies by.
fn assert_near_p(ours: f64, theirs: f64, what: &str) {
    let allowed = 0.2 * theirs + 5.0 * (theirs / 50_000.0).sqrt() + 1.0 / 50_000.0;
    assert!((ours - theirs).abs() <= allowed, "{what}: p = {ours}, expected {theirs}");
}

#[test]
fn paired_differences_are_scipys() {
    let golden = golden();
    for (name, expected) in &golden.differences {
        let seeds = || 0..expected.differences.len() as u64;
        let control = Seeded::new("control", seeds().map(|seed| (seed, 0.0))).expect("seeds");
        let treated = seeds().zip(expected.differences.iter().copied());
        let treated = Seeded::new("treated", treated).expect("seeds");
        let ours = paired_difference(&control, &treated, &golden.bootstrap());
        let ours = ours.expect("all seeds pair").effect;
        golden.assert_estimate(&ours.estimate, expected.mean, &expected.interval, name);
        assert_equal(ours.p_value, expected.p, &format!("{name}: p"));
        let spread = treated.summary(&golden.bootstrap()).expect("good").standard_deviation;
        assert_equal(spread.expect("several seeds"), expected.standard_deviation, name);
        let band = standard_error_band(&expected.differences);
        assert_equal(band.high - expected.mean, expected.standard_error, name);
        assert_equal(expected.mean - band.low, expected.standard_error, name);
    }
}

/// Around the curve of runs that each have this one value.
fn standard_error_band(values: &[f64]) -> Interval {
    let runs = values.iter().map(|value| Series::new("run", [(0.0, *value)]));
    let runs: Vec<Series> = runs.collect::<Result<_, _>>().expect("finite");
    let curve = LearningCurve { grid: vec![0.0], interpolation: Interpolation::Linear };
    let curve = curve.of_seeds("runs", &runs, Average::Mean, Spread::StandardErrors(1.0));
    curve.expect("a value for each").points[0].interval.expect("several runs")
}
