//! `pliant probe`

pub(super) mod file;
mod given;
mod outputs;
mod report;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use given::Given;
use outputs::Outputs;
use pliant_core::{
    agent::Agent,
    metrics::{Metrics, Value},
    probe::{Probes, Subject, Transitions},
    registry::Plugins,
    seeds::Seeds,
};
use pliant_envs::env::KnownStates;
use report::Report;

use super::resume::config_to_measure;
use crate::{
    checkpoint::{self, Loaded},
    cli::ProbeArgs,
    config::{Config, Options},
    experiment::{self, Experiment},
    failure::{Failure, Outcome},
    onlooker::Onlooker,
    run_dir::RunDirectory,
    signals,
    sinks::Progress,
};

/// Measures the checkpoints of a run with other probes, the oldest first.
pub fn run(args: &ProbeArgs, plugins: &Plugins) -> Outcome {
    let directory = RunDirectory::open(&args.run)?;
    let mut paths = checkpoint::list(&directory.checkpoints());
    paths.reverse();
    if paths.is_empty() {
        let folder = directory.checkpoints();
        return Err(Failure::Input(format!(
            "there is no checkpoint in {}: a run has one when it ends or is stopped, and every \
             `checkpoint.every_frames`",
            folder.display()
        )));
    }
    let config = config(args, &directory, plugins)?;
    let log = config.log.clone();
    let mut experiment = experiment::build(config, plugins)?;
    let given = given(args, &mut experiment, &paths)?;
    let stop = signals::stop()?;
    let mut series = Series {
        probes: std::mem::take(&mut experiment.probes).apart().collect(),
        agent: experiment.agent,
        states: experiment.states,
        given,
        seeds: Seeds::new(args.seed),
        progress: Progress::over(paths.len() as u64, "checkpoints"),
        stop: &stop,
        outputs: Outputs::new(directory.path(), &log),
    };
    series.check()?;
    let mut report = Report::new(args.json);
    let measured = series.measure_all(&paths, &mut report);
    series.progress.close();
    report.close();
    measured
}

/// The run's settings, with the probes of the command line, if there are any, in the place of its own.
fn config(args: &ProbeArgs, directory: &RunDirectory, plugins: &Plugins) -> Outcome<Config> {
    let mut options = Options { device: args.device.clone(), ..Options::default() };
    if !args.probe.is_empty() {
        options.set = vec!["probes=[]".to_owned()];
        options.probe.clone_from(&args.probe);
    }
    let config = config_to_measure(directory, options, plugins)?;
    if config.probes.is_empty() {
        let text = "there is no probe to measure with: the run has none, add --probe KIND";
        return Err(Failure::Input(text.to_owned()));
    }
    Ok(config)
}

/// What `--data` names; `None` for the replay, which the agent then holds: that of the newest checkpoint,
/// for all of them, so that they are compared on the same transitions.
fn given(
    args: &ProbeArgs,
    experiment: &mut Experiment,
    oldest_first: &[PathBuf],
) -> Outcome<Option<Transitions>> {
    if args.data != "replay" {
        let spec = experiment.agent.learner().online.spec();
        let read = file::transitions(Path::new(&args.data), spec);
        return Ok(Some(read.map_err(Failure::Input)?));
    }
    let loaded = load_replay(experiment.agent.as_mut(), oldest_first);
    loaded
        .map_err(|error| Failure::Input(format!("{error}: give transitions with --data FILE")))?;
    Ok(None)
}

fn load_replay(agent: &mut dyn Agent, oldest_first: &[PathBuf]) -> Result<(), String> {
    for path in oldest_first.iter().rev() {
        let failed = |error: String| format!("checkpoint {}: {error}", path.display());
        if let Some(mut replay) = checkpoint::replay(path).map_err(failed)? {
            // What is saved of the agent fits the replay that was saved with it.
            load(agent, path)?;
            return agent.load_replay(&mut replay).map_err(|error| failed(error.to_string()));
        }
    }
    let beside = oldest_first.first().and_then(|path| path.ancestors().nth(2));
    let batch = beside.map(|folder| folder.join("batch.safetensors")).filter(|path| path.exists());
    Err(match batch {
        Some(batch) => format!("a failed update has no replay but its batch, {}", batch.display()),
        None => "no checkpoint of the run has a replay (checkpoint.replay is false)".to_owned(),
    })
}

/// Makes the agent that of a checkpoint.
fn load(agent: &mut dyn Agent, path: &Path) -> Result<Loaded, String> {
    let loaded = checkpoint::read(path)?;
    let failed = |error| format!("checkpoint {}: {error}", path.display());
    loaded.state.load_part("agent", agent).map_err(failed)?;
    Ok(loaded)
}

/// Checkpoints of one run, measured one after the other by the same probes.
struct Series<'a> {
    agent: Box<dyn Agent>,
    states: Option<Arc<dyn KnownStates>>,
    /// In the place of the replay.
    given: Option<Transitions>,
    /// Each alone, with what its tags begin with.
    probes: Vec<(String, Probes)>,
    seeds: Seeds,
    progress: Progress,
    stop: &'a AtomicBool,
    outputs: Outputs<'a>,
}

impl Series<'_> {
    /// An error if a probe cannot measure on these transitions.
    fn check(&self) -> Outcome {
        let Self { agent, states, given, probes, .. } = self;
        let given = Given::new(given.as_ref(), agent.data());
        let checks = |(_, probes): &(String, Probes)| {
            probes.fit(agent.learner(), &given, states.as_deref()).map_err(Failure::Input)
        };
        probes.iter().try_for_each(checks)
    }

    /// Measures all that can be read; an error at the end if there were others, or if it was stopped.
    fn measure_all(&mut self, paths: &[PathBuf], report: &mut Report) -> Outcome {
        let mut skipped = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            self.progress.advance(index as u64);
            let loaded = match load(self.agent.as_mut(), path) {
                Ok(loaded) => loaded,
                Err(error) => {
                    self.progress.println(&format!("skipped: {error}"));
                    skipped.push(error);
                    continue;
                }
            };
            let (updates, count) = (loaded.clock.updates, paths.len());
            self.progress.line(&format!("checkpoint {} of {count}: update {updates}", index + 1));
            let metrics = self.measure(&loaded)?;
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::Run(self.stopped(index - skipped.len(), count)));
            }
            report.add(loaded.clock, metrics);
        }
        if skipped.is_empty() {
            return self.outputs.replace_former();
        }
        Err(Failure::Input(format!(
            "{} of {} checkpoints are not measured: {}{}",
            skipped.len(),
            paths.len(),
            skipped.join("; "),
            self.beside_former().unwrap_or_default()
        )))
    }

    /// What is said where a signal ended it.
    fn stopped(&self, whole: usize, count: usize) -> String {
        let kept = self.beside_former();
        let kept = kept.unwrap_or_else(|| "; what they measured is kept".to_owned());
        format!("stopped: all probes have measured {whole} of {count} checkpoints{kept}")
    }

    /// Where new measurements lie that have not taken the place of an earlier call's.
    fn beside_former(&self) -> Option<String> {
        let folder = self.outputs.aside()?;
        Some(format!(
            "; what an earlier call measured is as it was, and what was measured again lies in {}",
            folder.display()
        ))
    }

    /// All probes on the checkpoint that is loaded.
    fn measure(&mut self, loaded: &Loaded) -> Outcome<Metrics> {
        let data = Given::new(self.given.as_ref(), self.agent.data());
        let subject = Subject {
            learner: self.agent.learner(),
            data: &data,
            states: self.states.as_deref(),
            clock: &loaded.clock,
            watch: &Onlooker { progress: &self.progress, stop: self.stop },
        };
        let mut all = Metrics::default();
        for (name, probes) in &mut self.probes {
            probes.begin_anew(&self.seeds);
            let mut metrics = Metrics::default();
            probes.measure_due(&loaded.clock, &subject, &mut metrics)?;
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            tell_what_failed(&self.progress, &metrics);
            self.outputs.write(name, loaded, &metrics)?;
            all.append(metrics);
        }
        Ok(all)
    }
}

/// Numbers that are not finite, what libtorch could not compute.
fn tell_what_failed(progress: &Progress, metrics: &Metrics) {
    for (tag, value) in metrics.iter() {
        if let Value::Text(text) = value
            && tag.starts_with("probe/")
        {
            progress.println(&format!("{tag}: {text}"));
        }
    }
}
