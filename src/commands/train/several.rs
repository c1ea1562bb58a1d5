//! `pliant train --seeds`: one configuration under several seeds, at once as far as the machine goes.

use std::{ffi::OsString, fs, path::Path};

use crate::{
    config::Config,
    device,
    engine::{self, Ended, Gpus, Job, Seeds, Share},
    experiment::{Experiment, check_memory_for},
    failure::{Failure, Outcome},
    run_dir, signals,
    sinks::{Progress, console::numbers::short, csv},
    table,
};

fn share(experiment: &Experiment, seeds: &Seeds, at_once: Option<usize>) -> Share {
    Share::of(device::cores(), seeds.all().len(), at_once, experiment.config.run.threads)
}

/// An error unless as many as run at a time have room.
pub(super) fn check(experiment: &Experiment, seeds: &Seeds, at_once: Option<usize>) -> Outcome {
    check_memory_for(experiment, share(experiment, seeds, at_once).at_once)
}

/// Trains `experiment` under each of the seeds, below `out`, at most `at_once` at a time.
pub(super) fn train(
    experiment: Experiment,
    seeds: &Seeds,
    at_once: Option<usize>,
    out: Option<&Path>,
) -> Outcome {
    let share = share(&experiment, seeds, at_once);
    let mut config = experiment.config.clone();
    config.run.threads = share.threads;
    if config.run.env_threads == 0 {
        config.run.env_threads = share.threads;
    }
    let claim = || run_dir::claim_default(&format!("{}-seeds", config.run.name));
    let folder = out.map_or_else(claim, Path::to_owned);
    let jobs = jobs(&config, &experiment, seeds, &folder)?;
    drop(experiment); // its replay
    let stop = signals::stop()?;
    let Share { at_once, threads } = share;
    tell!(
        "{} runs in {}, {at_once} at a time, threads for each: {threads}",
        jobs.len(),
        folder.display()
    );
    // This very program, whatever lies at its path by the time that the last seed begins.
    let program = Path::new("/proc/self/exe");
    let gpus = Gpus::to_deal_out([config.run.device.as_str()]);
    let progress = Progress::new(jobs.iter().map(|job| job.budget_frames).sum());
    let ended = engine::run_all(program, &jobs, at_once, &gpus, &progress, &stop);
    progress.close();
    report(&jobs, &ended)
}

/// What starts each run: the resolved configuration as a file, with the seed laid over it.
fn jobs(
    config: &Config,
    experiment: &Experiment,
    seeds: &Seeds,
    folder: &Path,
) -> Outcome<Vec<Job>> {
    let failed = |error: std::io::Error| Failure::Input(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        let text = format!("{} is not empty; choose another with --out", folder.display());
        return Err(Failure::Input(text));
    }
    let file = folder.join("seeds.toml");
    fs::write(&file, config.to_toml()).map_err(failed)?;
    let libraries = experiment.libraries.iter();
    let plugins: Vec<OsString> =
        libraries.flat_map(|library| ["--plugin".into(), library.path.clone().into()]).collect();
    let job = |seed: &u64| {
        let (name, run) = (format!("seed {seed}"), folder.join(format!("seed{seed}")));
        let mut arguments = plugins.clone();
        arguments.extend(["train".into(), file.clone().into()]);
        arguments.extend(["--seed".into(), seed.to_string().into()]);
        arguments.extend(["--out".into(), run.clone().into()]);
        Job { name, arguments, run, budget_frames: config.run.budget_frames }
    };
    Ok(seeds.all().iter().map(job).collect())
}

/// What a run's score is called, the first that there is.
const SCORES: [&str; 3] = ["eval/return", "eval/accuracy", "train/reward_per_step"];

/// A row for each seed with its last score, and their mean and spread.
fn report(jobs: &[Job], ended: &[Ended]) -> Outcome {
    let last = |job: &Job, tag: &str| csv::last(&job.run.join("metrics.csv"), tag);
    let is_there = |tag: &&str| jobs.iter().any(|job| last(job, tag).is_some());
    let tag = SCORES.into_iter().find(is_there).unwrap_or(SCORES[0]);
    let scores: Vec<Option<f64>> = jobs.iter().map(|job| last(job, tag)).collect();
    let rows = jobs.iter().zip(ended).zip(&scores).map(|((job, ended), score)| {
        let score = score.map(short).unwrap_or_default();
        vec![job.name.clone(), ended.state().to_owned(), score, job.run.display().to_string()]
    });
    say!("{}", table::render(&["run", "state", tag, "run directory"], rows));
    let finished = ended.iter().zip(scores).filter(|(ended, _)| ended.is_finished());
    let scores: Vec<f64> = finished.filter_map(|(_, score)| score).collect();
    if let Some((mean, std)) = mean_and_std(&scores) {
        let (mean, std, count) = (short(mean), short(std), scores.len());
        say!("{tag}: mean {mean}, standard deviation {std} over {count} finished seeds");
    }
    if ended.iter().any(|ended| ended.state() == "stopped") {
        say!("continue what was stopped with: pliant resume RUN_DIRECTORY");
    }
    let why =
        |(job, ended): (&Job, &Ended)| Some(format!("{}: {}", job.name, ended.error.as_ref()?));
    let failed: Vec<String> = jobs.iter().zip(ended).filter_map(why).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Run(failed.join("; "))) }
}

/// Of a sample; `None` where there is no spread.
fn mean_and_std(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (mean, (squares / (count - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_a_sample() {
        assert_eq!(mean_and_std(&[1.0, 3.0, 5.0]), Some((3.0, 2.0)));
        assert_eq!(mean_and_std(&[1.0]), None);
    }
}
