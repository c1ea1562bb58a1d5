//! What `train` and `resume` share: outputs, signals, the closing table.

use std::path::Path;

use pliant_core::{
    clock::Clock,
    error::{Error, Result},
    metrics::Metrics,
    sink::Sink,
};
use tch::Device;
use toml::{Table, Value};

use super::{scores, warnings};
use crate::{
    checkpoint::Loaded,
    config::Config,
    device,
    experiment::Experiment,
    failure::{Failure, Outcome},
    run_dir::{Lock, Provenance, RunDirectory, State},
    runner::{AFTER_TRAINING, Outputs, Position, Runner, Summary},
    signals,
    sinks::{
        CsvSink, FigureSink, JsonlSink, Progress, Start, TensorBoardSink,
        tensorboard::{self, Category, Chart, HparamValue, Lines},
    },
};

/// What the numbers of a run depend on beside its configuration.
pub fn provenance(experiment: &Experiment) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("PLIANT_COMMIT").to_owned(),
        libtorch: env!("PLIANT_LIBTORCH").to_owned(),
        device: device::name(experiment.device),
        threads: experiment.threads,
        seed: experiment.config.run.seed,
        inputs: experiment.factory.provenance(),
        plugins: experiment.libraries.clone(),
        earlier: Vec::new(),
    }
}

/// Where a run begins.
pub enum From<'a> {
    /// At its first frame, in a new folder.
    New,
    /// At its first frame again: it ended before its first checkpoint.
    Again,
    /// At a checkpoint.
    Checkpoint(&'a Loaded),
}

impl<'a> From<'a> {
    fn checkpoint(&self) -> Option<&'a Loaded> {
        match self {
            Self::Checkpoint(loaded) => Some(loaded),
            Self::New | Self::Again => None,
        }
    }

    /// The updates made until there.
    fn updates(&self) -> u64 {
        self.checkpoint().map_or(0, |loaded| loaded.clock.updates)
    }
}

/// Trains a new run, or continues one, and prints what came of it.
pub fn run(
    experiment: Experiment,
    directory: &RunDirectory,
    _held: Lock,
    from: &From<'_>,
) -> Outcome {
    let stop = signals::stop()?;
    let (config, provenance) = (experiment.config.clone(), provenance(&experiment));
    let evaluation_data = experiment.factory.evaluation_data();
    warnings::tell_of_idleness(&experiment);
    warnings::tell_of_eager_updates(&experiment);
    if experiment.device != Device::Cpu && experiment.replay_in_main_memory() > 0 {
        tell!("the replay is in main memory, its batches travel to the device");
    }
    let mut runner = Runner::new(experiment, directory.clone(), stop)?;
    let mut is_changed = true;
    if let Some(loaded) = from.checkpoint() {
        runner.restore(loaded)?; // before anything in the run directory is changed
    }
    let former = directory.path().join("config.toml");
    if !matches!(from, From::New) {
        is_changed = std::fs::read(&former).is_ok_and(|it| it != config.to_toml().as_bytes());
    }
    let outputs = outputs(&config, directory, from, is_changed)?;
    if !matches!(from, From::New) {
        warn_of_differences(directory.provenance().as_ref(), &provenance);
        if is_changed {
            directory.keep(&former, &format!("config-until-{}", from.updates()))?;
        }
        directory.write("config.toml", config.to_toml().as_bytes())?;
        directory.add_provenance(provenance)?;
    }
    let summary = runner.train(outputs)?;
    report(&summary, directory, &config, evaluation_data);
    Ok(())
}

/// Says what lets the numbers differ from those of a run that never stopped.
fn warn_of_differences(last: Option<&Provenance>, now: &Provenance) {
    let Some(last) = last else { return };
    let texts = [
        ("libtorch", last.libtorch.clone(), now.libtorch.clone()),
        ("device", last.device.clone(), now.device.clone()),
        ("threads", last.threads.to_string(), now.threads.to_string()),
    ];
    let differing = texts.into_iter().filter(|(_, last, now)| last != now);
    let differing: Vec<String> =
        differing.map(|(what, last, now)| format!("{what} {now} instead of {last}")).collect();
    if !differing.is_empty() {
        tell!(
            "warning: the run goes on with {}: its numbers will not be those of a run that never stopped, bit for bit",
            differing.join(", ")
        );
    }
}

/// `is_changed`: the settings are not those that were written before.
fn outputs(
    config: &Config,
    directory: &RunDirectory,
    from: &From<'_>,
    is_changed: bool,
) -> Outcome<Outputs> {
    let failed = |error: Error| {
        let text = format!("run directory {}: {error}", directory.path().display());
        match error {
            Error::Invalid(_) => Failure::Input(text), // a file that is there is none of a run's
            _ => Failure::Run(text),
        }
    };
    let path = directory.path();
    let (frames, position) = position(directory, from)?;
    let is_new = matches!(from, From::New);
    match (from, &position.events) {
        (From::Again, _) => tensorboard::cut(path, None).map_err(failed)?,
        (From::Checkpoint(_), Some(events)) => {
            tensorboard::cut(path, Some(events)).map_err(failed)?;
        }
        (From::New, _) | (From::Checkpoint(_), None) => {}
    }
    let log = &config.log;
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if log.csv {
        let file = path.join("metrics.csv");
        let sink = if is_new {
            CsvSink::create(&file)
        } else {
            CsvSink::resume(&file, frames, position.rows)
        };
        sinks.push(Box::new(sink.map_err(failed)?));
    }
    if log.jsonl {
        let file = path.join("metrics.jsonl");
        let sink = if is_new {
            JsonlSink::create(&file)
        } else {
            JsonlSink::resume(&file, frames, position.rows)
        };
        sinks.push(Box::new(sink.map_err(failed)?));
    }
    if log.figures {
        sinks.push(Box::new(FigureSink::new(path)));
    }
    let from = from.checkpoint();
    let tensorboard = log.tensorboard.then(|| events(config, path, from, is_changed));
    let tensorboard = tensorboard.transpose().map_err(failed)?;
    let progress = Progress::new(config.run.budget_frames);
    Ok(Outputs::new(sinks, tensorboard, progress, (frames, &position)))
}

/// The frames that a run goes on from, and how far its files had been written then. What a finished run measured
/// at its end stays when it goes on.
fn position(directory: &RunDirectory, from: &From<'_>) -> Outcome<(u64, Position)> {
    let Some(loaded) = from.checkpoint() else { return Ok((0, Position::default())) };
    let (frames, position) = (loaded.clock.frames, Runner::position(loaded)?);
    let is_at_end = is_finished_at(directory, frames);
    Ok((frames, if is_at_end { position.end() } else { position }))
}

fn is_finished_at(directory: &RunDirectory, frames: u64) -> bool {
    let status = directory.status();
    status.is_some_and(|status| {
        status.state == State::Finished && status.clock.frames == frames && frames > 0
    })
}

fn events(
    config: &Config,
    path: &Path,
    from: Option<&Loaded>,
    is_changed: bool,
) -> Result<TensorBoardSink> {
    let resumed = |loaded: &Loaded| Start::Resumed { frames: loaded.clock.frames };
    let mut sink = TensorBoardSink::create(path, from.map_or(Start::Fresh, resumed))?;
    if is_changed {
        sink.write_hparams(&hparams(config), &[])?;
    }
    match from {
        None => sink.write_layout(&charts())?,
        Some(loaded) if is_changed => {
            let mut metrics = Metrics::default();
            metrics.text("run/interventions", config.interventions_as_markdown());
            let clock = Clock { frames: loaded.clock.frames + 1, ..loaded.clock };
            sink.write(&clock, loaded.wall_s, &metrics)?;
        }
        Some(_) => {}
    }
    Ok(sink)
}

/// Charts that belong together, on TensorBoard's custom scalars page.
fn charts() -> Vec<Category> {
    let chart = |title: &str, tags: &[&str]| Chart {
        title: title.to_owned(),
        lines: Lines::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect()),
    };
    let charts = vec![
        chart("return", &["episode/return", "eval/return"]),
        chart("loss", &["train/loss", "train/td_error"]),
    ];
    vec![Category { title: "training".to_owned(), charts }]
}

/// Every setting as a column of TensorBoard's table: `agent.optimizer.learning_rate`, ..
fn hparams(config: &Config) -> Vec<(String, HparamValue)> {
    let table: Table = config.to_toml().parse().expect("what was just written");
    let mut columns = Vec::new();
    flatten("", &Value::Table(table), &mut columns);
    columns
}

fn flatten(path: &str, value: &Value, columns: &mut Vec<(String, HparamValue)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let plain = match value {
        Value::Table(table) => {
            return table.iter().for_each(|(key, inner)| flatten(&below(key), inner, columns));
        }
        Value::Array(items) => {
            let numbered = items.iter().enumerate();
            return numbered
                .for_each(|(index, item)| flatten(&below(&index.to_string()), item, columns));
        }
        Value::Boolean(switch) => HparamValue::Bool(*switch),
        Value::Integer(number) => HparamValue::Number(*number as f64),
        Value::Float(number) => HparamValue::Number(*number),
        other => HparamValue::Text(other.as_str().map_or_else(|| other.to_string(), str::to_owned)),
    };
    columns.push((path.to_owned(), plain));
}

fn report(
    summary: &Summary,
    directory: &RunDirectory,
    config: &Config,
    evaluation_data: Option<&str>,
) {
    let path = directory.path().display();
    if summary.state == State::Stopped {
        say!("stopped; continue with: pliant resume {path}");
        return;
    }
    if !summary.evaluations.is_empty() {
        say!("{}", scores::table(&summary.evaluations, summary.score_name));
    }
    let last = summary.evaluations.iter().find(|(name, _)| name == AFTER_TRAINING);
    if let Some((_, last)) = last
        && summary.score_name == "accuracy"
        && let Some(data) = evaluation_data
    {
        let policy = if config.eval.epsilon == 0.0 { "greedy " } else { "" };
        let (percent, draws) = (100.0 * last.score(), last.steps);
        say!("{policy}accuracy on {data}: {percent:.2} % ({draws} draws)");
    }
    let minutes = summary.wall_s / 60.0;
    say!("{} frames in {minutes:.1} minutes; run directory: {path}", summary.frames);
}
