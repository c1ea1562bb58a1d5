//! What holds whatever the numbers are, on numbers drawn from named seeds.

use pliant_statistics::{
    aggregate::{Aggregate, estimates},
    bootstrap::Bootstrap,
    correlation::{Points, RankCorrelation},
    improvement::probability_of_improvement,
    learning_curve::{Average, LearningCurve, Spread},
    profile::Profile,
    scores::Scores,
    seeded::Seeded,
    series::{Interpolation, Series, measured_grid},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SEEDS: std::ops::Range<u64> = 0..20;

/// Between 0 and 10, skewed, some of them tied.
fn draw(random: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| (random.random::<f64>().powi(3) * 100.0).round() / 10.0).collect()
}

fn drawn_scores(seed: u64) -> Scores {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (runs, tasks) = (random.random_range(2..8), random.random_range(1..9));
    let tasks = (0..tasks).map(|task| (format!("task {task}"), draw(&mut random, runs)));
    Scores::new(format!("seed {seed}"), tasks.collect::<Vec<_>>()).expect("good scores")
}

fn mapped(scores: &Scores, map: impl Fn(f64) -> f64) -> Scores {
    let tasks = scores.tasks().map(|(task, runs)| (task, runs.iter().copied().map(&map).collect()));
    Scores::new(scores.name(), tasks.collect::<Vec<_>>()).expect("good scores")
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn the_interquartile_mean_lies_between_the_quartiles() {
    for seed in SEEDS {
        let scores = drawn_scores(seed);
        let all = sorted(scores.values());
        let (low, high) = (all[all.len() / 4], all[all.len() - 1 - all.len() / 4]);
        let iqm = Aggregate::Iqm.of(&scores).expect("as many runs");
        assert!(low <= iqm && iqm <= high, "seed {seed}: {low} {iqm} {high}");
    }
}

#[test]
fn scaled_and_shifted_scores_have_scaled_and_shifted_intervals() {
    let aggregates = [Aggregate::Mean, Aggregate::Median, Aggregate::Iqm];
    let bootstrap = Bootstrap::new(1).with_replicates(500);
    for seed in SEEDS {
        let scores = drawn_scores(seed);
        let of = |scores: &Scores| estimates(&aggregates, scores, &bootstrap).expect("good");
        let other = mapped(&scores, |score| 3.0 * score - 7.0);
        for (one, other) in of(&scores).into_iter().zip(of(&other)) {
            assert!(close(3.0 * one.estimate - 7.0, other.estimate));
            let ends = [one.low(), one.high()].into_iter().zip([other.low(), other.high()]);
            for (one, other) in ends {
                let (one, other) = (one.expect("several runs"), other.expect("several runs"));
                assert!(close(3.0 * one - 7.0, other), "seed {seed}: {one} {other}");
            }
        }
    }
}

#[test]
fn one_algorithm_beats_the_other_or_the_other_way_round() {
    for seed in SEEDS {
        let x = drawn_scores(seed);
        let mut random = ChaCha8Rng::seed_from_u64(1000 + seed);
        let y = x.tasks().map(|(task, _)| (task, draw(&mut random, 5))).collect::<Vec<_>>();
        let y = Scores::new("y", y).expect("good scores");
        let x_over_y = probability_of_improvement(&x, &y).expect("same tasks");
        let y_over_x = probability_of_improvement(&y, &x).expect("same tasks");
        assert!(close(x_over_y + y_over_x, 1.0), "seed {seed}");
        assert!((0.0..=1.0).contains(&x_over_y));
    }
}

#[test]
fn profiles_fall_from_one_to_zero_with_their_bands() {
    let taus: Vec<f64> = (0..24).map(|index| f64::from(index) * 0.5 - 0.5).collect();
    for (seed, profile) in SEEDS.flat_map(|seed| [(seed, Profile::Runs), (seed, Profile::Tasks)]) {
        let bootstrap = Bootstrap::new(seed).with_replicates(500);
        let points = profile.of(&drawn_scores(seed), &taus, &bootstrap).expect("good").points;
        assert_eq!((points[0].estimate, points[23].estimate), (1.0, 0.0));
        let ends = |index: usize| points[index].interval.expect("several runs");
        for index in 1..points.len() {
            assert!(points[index].estimate <= points[index - 1].estimate);
            assert!(ends(index).low <= ends(index - 1).low);
            assert!(ends(index).high <= ends(index - 1).high);
        }
    }
}

/// For scores from 0 on, the mean of min(score, gamma) is the area below the profile up to gamma.
#[test]
fn the_optimality_gap_is_the_area_above_the_profile() {
    let gamma = 4.0;
    for seed in SEEDS {
        let scores = drawn_scores(seed);
        let mut taus = sorted(scores.values());
        taus.extend([0.0, gamma]);
        taus.retain(|tau| *tau <= gamma);
        let mut taus = sorted(&taus);
        taus.dedup();
        let bootstrap = Bootstrap::new(0).with_replicates(100);
        let points = Profile::Runs.of(&scores, &taus, &bootstrap).expect("good").points;
        let steps = points.windows(2).map(|pair| (pair[1].x - pair[0].x) * pair[0].estimate);
        let gap = Aggregate::OptimalityGap { gamma }.of(&scores).expect("as many runs");
        assert!(close(gamma - steps.sum::<f64>(), gap), "seed {seed}");
    }
}

#[test]
fn intervals_of_symmetric_data_hold_their_middle() {
    for seed in SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let half = draw(&mut random, 1 + seed as usize);
        let both = half.iter().flat_map(|value| [5.0 + value, 5.0 - value]);
        let values = (0..).zip(both).collect::<Vec<_>>();
        let summary = Seeded::new("symmetric", values).expect("seeds");
        let summary = summary.summary(&Bootstrap::new(seed).with_replicates(2000)).expect("good");
        let interval = summary.mean.interval.expect("several seeds");
        assert!(interval.contains(5.0), "seed {seed}: {interval:?}");
        assert!(interval.low >= summary.least && interval.high <= summary.most);
    }
}

/// Of many seeds, an interval's ends are 1.96 standard errors off. The skew of the drawn numbers, and an end's
/// standard deviation of 0.012 standard errors, are within a tenth of one.
#[test]
fn intervals_of_many_seeds_are_those_of_a_normal_distribution() {
    for seed in 0..5 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let values = draw(&mut random, 400);
        let summary = Seeded::new("many", (0..).zip(values)).expect("seeds");
        let summary = summary.summary(&Bootstrap::new(seed).with_replicates(20_000)).expect("good");
        let error = summary.standard_deviation.expect("many seeds") / 20.0;
        let [below, above] = [summary.mean.low(), summary.mean.high()]
            .map(|end| (end.expect("many seeds") - summary.mean.estimate) / error);
        assert!((below + 1.96).abs() < 0.1 && (above - 1.96).abs() < 0.1, "{below} {above}");
    }
}

/// Two tasks of three runs have 27 x 27 resamples, all equally likely. The share of replicates below the true
/// quantile has a standard deviation of 0.0007.
#[test]
fn intervals_are_those_of_all_resamples_counted() {
    let runs = [[0.0, 1.0, 10.0], [2.0, 2.7, 3.1]];
    let tasks = [("a", runs[0].to_vec()), ("b", runs[1].to_vec())];
    let scores = Scores::new("few", tasks).expect("good scores");
    let sums_of = |runs: [f64; 3]| {
        let thrice = runs.into_iter().flat_map(move |a| runs.into_iter().map(move |b| a + b));
        thrice.flat_map(move |ab| runs.into_iter().map(move |c| ab + c)).collect::<Vec<f64>>()
    };
    let (a, b) = (sums_of(runs[0]), sums_of(runs[1]));
    let all: Vec<f64> = a.iter().flat_map(|a| b.iter().map(move |b| (a + b) / 6.0)).collect();
    let all = sorted(&all);
    let quantile = |share: f64| all[(share * 729.0) as usize];
    let estimate = Aggregate::Mean.estimate(&scores, &Bootstrap::new(0)).expect("good");
    let (low, high) = (estimate.low().expect("runs"), estimate.high().expect("runs"));
    let off = 5.0 * 0.0007;
    assert!(quantile(0.025 - off) - 1e-9 <= low && low <= quantile(0.025 + off) + 1e-9, "{low}");
    assert!(quantile(0.975 - off) - 1e-9 <= high && high <= quantile(0.975 + off) + 1e-9, "{high}");
}

#[test]
fn rank_correlations_are_blind_to_scale_and_turn_with_direction() {
    let bootstrap = Bootstrap::new(0).with_replicates(300);
    for (seed, kind) in
        SEEDS.flat_map(|seed| [(seed, RankCorrelation::Spearman), (seed, RankCorrelation::Kendall)])
    {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (x, y) = (draw(&mut random, 12), draw(&mut random, 12));
        let effect = |map: fn(f64) -> f64| {
            let points = x.iter().zip(&y).map(|(x, y)| (*x, map(*y)));
            let points = Points::new("points", points).expect("both sides vary");
            kind.effect(&points, &bootstrap).expect("good settings")
        };
        let (plain, scaled, turned) = (effect(|y| y), effect(f64::exp), effect(|y| -y));
        assert_eq!(plain, scaled, "seed {seed}");
        assert!(close(plain.estimate.estimate, -turned.estimate.estimate));
        let ends = |effect: &pliant_statistics::effect::Effect| {
            (effect.estimate.low().expect("some"), effect.estimate.high().expect("some"))
        };
        assert!(close(ends(&plain).0, -ends(&turned).1) && close(ends(&plain).1, -ends(&turned).0));
        assert_eq!(plain.p_value, turned.p_value);
    }
}

#[test]
fn runs_measured_alike_are_not_interpolated() {
    for seed in SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let x = [0.0, 3.0, 4.0, 9.0];
        let runs: Vec<Vec<f64>> = (0..5).map(|_| draw(&mut random, 4)).collect();
        let series = runs.iter().map(|y| Series::new("run", x.into_iter().zip(y.iter().copied())));
        let series: Vec<Series> = series.collect::<Result<_, _>>().expect("good points");
        let spread = Spread::Bootstrap(Bootstrap::new(seed).with_replicates(500));
        let curve = |interpolation| {
            let curve = LearningCurve { grid: measured_grid(&series), interpolation };
            curve.of_seeds("runs", &series, Average::Mean, spread).expect("good")
        };
        let linear = curve(Interpolation::Linear);
        assert_eq!(linear, curve(Interpolation::LastValue));
        for (index, point) in linear.points.iter().enumerate() {
            let mean = runs.iter().map(|y| y[index]).sum::<f64>() / 5.0;
            assert!(close(point.estimate, mean) && point.n == 5 && point.x == x[index]);
            assert!(point.interval.expect("five runs").contains(mean));
        }
    }
}
