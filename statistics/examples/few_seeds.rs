//! How often intervals of few seeds see an effect where there is none, and how often they hold the true value: the
//! tables of docs/statistics.md.
//!
//! ```sh
//! cargo run --release -p pliant-statistics --example few_seeds
//! ```

use pliant_statistics::{
    aggregate::{Aggregate, estimates},
    bootstrap::Bootstrap,
    effect::Verdict,
    error::Result,
    paired::paired_difference,
    scores::Scores,
    seeded::Seeded,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const STUDIES: u64 = 4000;
const STUDIES_OF_MANY_TASKS: u64 = 1000;

fn main() -> Result<()> {
    pairs()?;
    tasks()
}

fn pairs() -> Result<()> {
    println!("| pairs | interval leaves out 0 | claimed | claimed, effect of 1 sd | of 2 sd |");
    println!("|---|---|---|---|---|");
    for pairs in [2, 3, 4, 5, 6, 8, 10, 20, 50] {
        let nothing = shares(pairs, 0.0)?;
        let (one, two) = (shares(pairs, 1.0)?, shares(pairs, 2.0)?);
        let [misses, claims] = nothing.map(percent);
        println!("| {pairs} | {misses} | {claims} | {} | {} |", percent(one[1]), percent(two[1]));
    }
    Ok(())
}

fn tasks() -> Result<()> {
    let names = Aggregate::FIELD.map(|aggregate| format!(" {aggregate} |")).concat();
    println!("\n| tasks | runs |{names}\n|---|---|---|---|---|---|");
    for (tasks, runs) in
        [1, 5, 26, 57].into_iter().flat_map(|tasks| [3, 5, 10].map(|runs| (tasks, runs)))
    {
        let held = coverage(tasks, runs)?.map(|share| format!(" {} |", percent(share))).concat();
        println!("| {tasks} | {runs} |{held}");
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The share of studies whose interval holds the value of 1000 runs.
fn coverage(tasks: u64, runs: usize) -> Result<[f64; 4]> {
    let bootstrap = Bootstrap::new(0).with_replicates(1000);
    let mut random = ChaCha8Rng::seed_from_u64(tasks);
    let scales: Vec<f64> = (0..tasks).map(|_| 0.8 * (1.2 * normal(&mut random)).exp()).collect();
    let all = draw(&scales, 1000, &mut random)?;
    let mut counts = [0.0; 4];
    for _ in 0..STUDIES_OF_MANY_TASKS {
        let found = estimates(&Aggregate::FIELD, &draw(&scales, runs, &mut random)?, &bootstrap)?;
        for ((count, estimate), aggregate) in counts.iter_mut().zip(found).zip(Aggregate::FIELD) {
            let truth = aggregate.of(&all)?;
            let holds = estimate.interval.is_some_and(|interval| interval.contains(truth));
            *count += f64::from(u8::from(holds));
        }
    }
    Ok(counts.map(|count| count / STUDIES_OF_MANY_TASKS as f64))
}

/// Runs that spread by half of their task's scale.
fn draw(scales: &[f64], runs: usize, random: &mut ChaCha8Rng) -> Result<Scores> {
    let mut task = |scale: f64| (0..runs).map(|_| scale * (1.0 + 0.5 * normal(random))).collect();
    let tasks = scales.iter().enumerate().map(|(index, scale)| (index.to_string(), task(*scale)));
    Scores::new("drawn", tasks.collect::<Vec<_>>())
}

/// Of studies whose paired differences are normal around `effect` with a standard deviation of 1: the share whose
/// interval leaves out 0, and the share that claims a difference.
fn shares(pairs: u64, effect: f64) -> Result<[f64; 2]> {
    let bootstrap = Bootstrap::new(0).with_replicates(2000);
    let mut random = ChaCha8Rng::seed_from_u64(pairs);
    let control = Seeded::new("control", (0..pairs).map(|seed| (seed, 0.0)))?;
    let mut counts = [0.0; 2];
    for _ in 0..STUDIES {
        let treated = (0..pairs).map(|seed| (seed, effect + normal(&mut random)));
        let treated = Seeded::new("treated", treated.collect::<Vec<_>>())?;
        let found = paired_difference(&control, &treated, &bootstrap)?.effect;
        let interval = found.estimate.interval.filter(|interval| !interval.contains(0.0));
        counts[0] += f64::from(u8::from(interval.is_some()));
        let is_claim = matches!(found.verdict(), Verdict::Above | Verdict::Below);
        counts[1] += f64::from(u8::from(is_claim));
    }
    Ok(counts.map(|count| count / STUDIES as f64))
}

/// By Box and Muller (1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
