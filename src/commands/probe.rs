//! `pliant probe`

mod file;

use std::{collections::BTreeMap, path::Path};

use pliant_core::{
    learner::Learner,
    metrics::{Metrics, Value},
    network::Taps,
    probe::{ProbeData, Subject, Transitions},
    registry::Plugins,
    seeds::{Seeds, Stream},
    sink::Sink,
    tch::Tensor,
};
use serde_json::json;

use super::resume::stored_config;
use crate::{
    checkpoint::{self, Loaded},
    cli::ProbeArgs,
    config::Options,
    experiment::{self, Experiment},
    failure::{Failure, Outcome},
    run_dir::RunDirectory,
    sinks::{FigureSink, Progress, Start, TensorBoardSink},
    table,
};

/// Measures the checkpoints of a run with other probes, the oldest first.
pub fn run(args: &ProbeArgs, plugins: &Plugins) -> Outcome {
    let directory = RunDirectory::open(&args.run)?;
    let mut experiment = rebuilt(args, &directory, plugins)?;
    let mut paths = checkpoint::list(&directory.checkpoints());
    paths.reverse();
    if paths.is_empty() {
        let folder = directory.checkpoints();
        return Err(Failure::Input(format!("there is no checkpoint in {}", folder.display())));
    }
    let file = match args.data.as_str() {
        "replay" => {
            load_replay(&mut experiment, &paths)?;
            None
        }
        file => {
            let spec = experiment.agent.learner().online.spec();
            Some(file::transitions(Path::new(file), spec).map_err(Failure::Input)?)
        }
    };
    let mut sinks = None;
    let mut rows = Vec::new();
    for path in &paths {
        let loaded = checkpoint::read(path).map_err(Failure::Input)?;
        let metrics = measure(&mut experiment, &loaded, file.as_ref(), args.seed)?;
        if sinks.is_none() {
            sinks = Some(Sinks::create(directory.path())?);
        }
        sinks.iter_mut().try_for_each(|sinks| sinks.write(&loaded, &metrics))?;
        rows.push((loaded.clock, metrics));
    }
    if args.json {
        for (clock, metrics) in &rows {
            let scalars: BTreeMap<&str, f64> = scalars(metrics).collect();
            say!(
                "{}",
                json!({"updates": clock.updates, "frames": clock.frames, "metrics": scalars})
            );
        }
    } else {
        say!("{}", as_table(&rows));
    }
    Ok(())
}

/// The run's parts with the probes of the command line in the place of its own.
fn rebuilt(args: &ProbeArgs, directory: &RunDirectory, plugins: &Plugins) -> Outcome<Experiment> {
    let options = Options { device: args.device.clone(), ..Options::default() };
    let own = stored_config(directory, options.clone(), plugins)?.probes.len();
    let options = Options { probe: args.probe.clone(), ..options };
    let mut config = stored_config(directory, options, plugins)?;
    config.probes.drain(..own);
    experiment::build(config, plugins)
}

/// The replay of the newest checkpoint that has one; for all checkpoints, so that they are compared on the
/// same transitions.
fn load_replay(experiment: &mut Experiment, oldest_first: &[std::path::PathBuf]) -> Outcome {
    let failed = |path: &Path, error: String| {
        Failure::Input(format!("checkpoint {}: {error}", path.display()))
    };
    for path in oldest_first.iter().rev() {
        let replay = checkpoint::replay(path).map_err(|error| failed(path, error))?;
        if let Some(mut replay) = replay {
            // What is saved of the agent fits the replay that was saved with it.
            load_agent(experiment, &checkpoint::read(path).map_err(Failure::Input)?)?;
            let loaded = experiment.agent.load_replay(&mut replay);
            return loaded.map_err(|error| failed(path, error.to_string()));
        }
    }
    Err(Failure::Input(
        "no checkpoint of the run has a replay (checkpoint.replay is false): give transitions with \
         --data FILE"
            .to_owned(),
    ))
}

fn load_agent(experiment: &mut Experiment, loaded: &Loaded) -> Outcome {
    loaded
        .state
        .load_part("agent", experiment.agent.as_mut())
        .map_err(|error| Failure::Input(format!("checkpoint {}: {error}", loaded.path.display())))
}

fn measure(
    experiment: &mut Experiment,
    loaded: &Loaded,
    file: Option<&Transitions>,
    seed: u64,
) -> Outcome<Metrics> {
    load_agent(experiment, loaded)?;
    experiment.probes.begin_anew(&Seeds::new(seed));
    let progress = Progress::new(loaded.clock.frames, false);
    progress.println(&format!("checkpoint of update {}", loaded.clock.updates));
    let agent = experiment.agent.as_ref();
    let from_file = file.map(|transitions| FromFile { transitions, agent: agent.data() });
    let data = from_file.as_ref().map_or(agent.data(), |file| file as &dyn ProbeData);
    let subject = Subject {
        learner: agent.learner(),
        data,
        states: experiment.states.as_deref(),
        clock: &loaded.clock,
        watch: &progress,
    };
    let mut metrics = Metrics::default();
    experiment.probes.measure_due(&loaded.clock, &subject, &mut metrics)?;
    match experiment.probes.waiting().next() {
        None => Ok(metrics),
        Some(label) => Err(Failure::Input(format!(
            "{label}: there are only {} transitions to measure on; lower its batch",
            data.len()
        ))),
    }
}

/// Transitions of a file, with the agent's loss.
struct FromFile<'a> {
    transitions: &'a Transitions,
    agent: &'a dyn ProbeData,
}

impl ProbeData for FromFile<'_> {
    fn len(&self) -> u64 {
        self.transitions.a_tm1.size()[0] as u64
    }

    fn capacity(&self) -> u64 {
        self.len()
    }

    fn discount(&self) -> f64 {
        self.agent.discount()
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        let indices = stream.distinct(batch, self.len() as usize)?;
        let indices: Vec<i64> = indices.into_iter().map(|index| index as i64).collect();
        let indices = Tensor::from_slice(&indices);
        let drawn = |tensor: &Tensor| tensor.index_select(0, &indices);
        Some(Transitions {
            s_tm1: drawn(&self.transitions.s_tm1),
            a_tm1: drawn(&self.transitions.a_tm1),
            r_t: drawn(&self.transitions.r_t),
            discount_t: drawn(&self.transitions.discount_t),
            s_t: drawn(&self.transitions.s_t),
        })
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        self.agent.losses(learner, batch, taps)
    }
}

/// Where the measurements go: TensorBoard and figures, below `reprobe/`.
struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    fn create(run: &Path) -> Outcome<Self> {
        let failed =
            |error| Failure::while_doing(format!("run directory {}", run.display()), error);
        let tensorboard = TensorBoardSink::create(run, Start::Beside).map_err(failed)?;
        Ok(Self(vec![Box::new(tensorboard), Box::new(FigureSink::new(run))]))
    }

    fn write(&mut self, loaded: &Loaded, metrics: &Metrics) -> Outcome {
        let mut below = Metrics::default();
        for (tag, value) in metrics.iter() {
            below.add(format!("reprobe/{tag}"), value.clone());
        }
        for sink in &mut self.0 {
            sink.write(&loaded.clock, loaded.wall_s, &below)
                .and_then(|()| sink.flush())
                .map_err(|error| Failure::while_doing("writing measurements", error))?;
        }
        Ok(())
    }
}

fn scalars(metrics: &Metrics) -> impl Iterator<Item = (&str, f64)> {
    metrics.iter().filter_map(|(tag, value)| match value {
        Value::Scalar(number) => Some((tag, *number)),
        _ => None,
    })
}

/// True of `area/name/layer`, not of `area/loss/name`.
fn is_of_a_layer(tag: &str) -> bool {
    let by_loss = ["gradient_covariance/", "hessian/", "sharpness/"];
    tag.matches('/').count() > 1 && !by_loss.iter().any(|area| tag.starts_with(area))
}

/// A row for each number of the whole network, a column for each checkpoint.
fn as_table(rows: &[(pliant_core::clock::Clock, Metrics)]) -> String {
    let mut header = vec!["update".to_owned()];
    header.extend(rows.iter().map(|(clock, _)| clock.updates.to_string()));
    let mut tags: Vec<&str> = Vec::new();
    for (tag, _) in rows.iter().flat_map(|(_, metrics)| scalars(metrics)) {
        if !is_of_a_layer(tag) && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let cells = |tag: &str| {
        let number =
            |metrics: &Metrics| metrics.get_scalar(tag).map(|number| format!("{number:.4}"));
        let numbers = rows.iter().map(|(_, metrics)| number(metrics).unwrap_or_default());
        std::iter::once(tag.to_owned()).chain(numbers).collect()
    };
    table::render(&header, tags.into_iter().map(cells))
}
