//! Seconds that intervals take on one core.
//!
//! ```sh
//! cargo run --release -p pliant-statistics --example speed
//! ```

use std::time::Instant;

use pliant_statistics::{
    aggregate::{Aggregate, estimates},
    bootstrap::Bootstrap,
    correlation::{Points, RankCorrelation},
    difference::aggregate_difference,
    error::Result,
    improvement::improvement,
    learning_curve::{Average, LearningCurve, Spread},
    profile::Profile,
    scores::Scores,
    series::{Interpolation, Series, measured_grid},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() -> Result<()> {
    let bootstrap = Bootstrap::new(0);
    let (x, y) = (atari("x", 0)?, atari("y", 1)?);
    for aggregate in Aggregate::FIELD {
        timed(&format!("{aggregate}, 57 games x 5 runs"), || aggregate.estimate(&x, &bootstrap))?;
    }
    timed("all four together", || estimates(&Aggregate::FIELD, &x, &bootstrap))?;
    timed("probability of improvement, 57 x 5 against 57 x 5", || improvement(&x, &y, &bootstrap))?;
    timed("difference of IQMs with its test", || {
        aggregate_difference(&x, &y, Aggregate::Iqm, &bootstrap)
    })?;
    let taus: Vec<f64> = (0..101).map(|tau| f64::from(tau) * 0.08).collect();
    let few = bootstrap.with_replicates(2000);
    timed("profile at 101 taus, 2000 replicates", || Profile::Runs.of(&x, &taus, &few))?;
    let points = Points::new(
        "agents",
        x.values()[..128].iter().copied().zip(y.values()[..128].iter().copied()),
    )?;
    for kind in [RankCorrelation::Spearman, RankCorrelation::Kendall] {
        timed(&format!("{kind} of 128 agents with its test"), || kind.effect(&points, &bootstrap))?;
    }
    let runs = (0..5).map(|seed| {
        Series::new("run", (0..200).zip(draw(seed, 200)).map(|(x, y)| (f64::from(x), y)))
    });
    let runs = runs.collect::<Result<Vec<_>>>()?;
    let curve = LearningCurve { grid: measured_grid(&runs), interpolation: Interpolation::Linear };
    timed("learning curve of 5 seeds at 200 points", || {
        curve.of_seeds("dqn", &runs, Average::Mean, Spread::Bootstrap(bootstrap))
    })
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<()> {
    let start = Instant::now();
    work()?;
    println!("{:7.3} s  {what}", start.elapsed().as_secs_f64());
    Ok(())
}

fn atari(name: &str, seed: u64) -> Result<Scores> {
    let games = (0..57).map(|game| (format!("game {game}"), draw(seed * 57 + game, 5)));
    Scores::new(name, games.collect::<Vec<_>>())
}

fn draw(seed: u64, count: usize) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random::<f64>() * 4.0).collect()
}
