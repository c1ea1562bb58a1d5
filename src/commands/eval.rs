//! `pliant eval`

use std::sync::Arc;

use pliant_core::{error::Result, registry::Plugins, seeds::Seeds, state::Checkpoint};
use serde_json::{Value, json};

use super::{resume::config_to_measure, scores};
use crate::{
    checkpoint::{self, Loaded},
    cli::EvalArgs,
    config::Options,
    evaluation::{Evaluated, Evaluation, Evaluator},
    experiment::{self, Experiment},
    failure::{Failure, Outcome},
    film::{Camera, FilmFile},
    run_dir::RunDirectory,
    tasks::{PresentTask, name_of},
};

/// Evaluates the agent of a run's newest checkpoint, and films it where asked to.
pub fn run(args: &EvalArgs, plugins: &Plugins) -> Outcome {
    let directory = RunDirectory::open(&args.run)?;
    let film = args.video.as_deref().map(FilmFile::create).transpose().map_err(Failure::Input)?;
    let config = config_to_measure(&directory, options(args), plugins)?;
    let loaded = newest(&directory)?;
    let mut experiment = experiment::build(config, plugins)?;
    check_unit(args, experiment.factory.spec().continuing)?;
    let mut task = PresentTask::first_of(&experiment.factory.spec().tasks);
    load("agent", experiment.agent.as_mut(), &loaded)?;
    load("tasks", &mut task, &loaded)?;
    let Measured { evaluated, score_name, film } = evaluate(args, &experiment, task.index(), film)?;
    if args.json {
        let task = name_of(task.index(), &experiment.factory.spec().tasks);
        let mut object = as_json(args, &experiment, &loaded, &task, score_name, &evaluated);
        object["video"] = json!(args.video.as_ref().filter(|_| film.is_ok()));
        say!("{object}");
    } else {
        let rows = evaluated.rows(&format!("after {} frames", loaded.clock.frames));
        say!("{}", scores::table(&rows, score_name));
    }
    film
}

/// The newest whole checkpoint; newer ones that are damaged are told of.
fn newest(directory: &RunDirectory) -> Outcome<Loaded> {
    let folder = directory.checkpoints();
    let newest = checkpoint::read_newest(&folder).map_err(Failure::Input)?;
    for (_, error) in &newest.damaged {
        tell!("warning: {error}; the one before is evaluated");
    }
    let none = || Failure::Input(format!("there is no checkpoint in {}", folder.display()));
    newest.loaded.ok_or_else(none)
}

/// What came of an evaluation and of its film.
struct Measured {
    evaluated: Evaluated,
    score_name: &'static str,
    /// The film's failure: one that takes no number away.
    film: Outcome,
}

/// Refuses a number of frames or episodes where it would mean nothing.
fn check_unit(args: &EvalArgs, continuing: bool) -> Outcome {
    let given = args.frames.map(|_| "--frames").or(args.episodes.map(|_| "--episodes"));
    match given.filter(|_| continuing) {
        Some(option) => Err(Failure::Input(format!(
            "{option}: the run's task has no episodes; it is evaluated for the agent steps that \
             its eval.steps says"
        ))),
        None => Ok(()),
    }
}

fn load(name: &str, part: &mut dyn Checkpoint, loaded: &Loaded) -> Outcome {
    loaded
        .state
        .load_part(name, part)
        .map_err(|error| Failure::Input(format!("checkpoint {}: {error}", loaded.path.display())))
}

fn evaluate(
    args: &EvalArgs,
    experiment: &Experiment,
    task: u32,
    mut film: Option<FilmFile>,
) -> Outcome<Measured> {
    let Experiment { factory, config, threads, agent, .. } = experiment;
    let mut evaluator = Evaluator::new(factory, &config.eval, *threads, Arc::default())?;
    let steps = args.video_steps.unwrap_or(u64::MAX);
    let continuing = factory.spec().continuing;
    let mut camera = film.as_mut().map(|film| Camera::new(film, steps, continuing));
    let seeds = Seeds::new(args.seed);
    let evaluated = evaluator.evaluate(agent.as_ref(), &seeds, task, camera.as_mut())?;
    let filmed = camera.map_or(Ok(()), Camera::finish);
    let film = film.map_or(Ok(()), |film| keep(film, filmed));
    Ok(Measured { evaluated, score_name: evaluator.score_name(), film })
}

/// Makes the file, if all of it was filmed.
fn keep(film: FilmFile, filmed: Result<()>) -> Outcome {
    let path = film.path().display().to_string();
    filmed
        .and_then(|()| film.finish())
        .map_err(|error| Failure::while_doing(format!("film {path}"), error))
}

fn as_json(
    args: &EvalArgs,
    experiment: &Experiment,
    loaded: &Loaded,
    task: &str,
    score_name: &str,
    evaluated: &Evaluated,
) -> Value {
    let mut object = json!({
        "run": args.run, "frames": loaded.clock.frames, "updates": loaded.clock.updates,
        "task": task, "score": score_name, "epsilon": experiment.config.eval.epsilon,
        "seed": args.seed,
    });
    let of_task = |(task, evaluation): &(String, Evaluation)| {
        let mut object = numbers(evaluation);
        object["task"] = json!(task);
        object
    };
    if let (Value::Object(all), Value::Object(present)) = (&mut object, numbers(&evaluated.present))
    {
        all.extend(present);
        all.insert("tasks".to_owned(), evaluated.tasks.iter().map(of_task).collect());
    }
    object
}

/// What is told of each task.
fn numbers(evaluation: &Evaluation) -> Value {
    json!({
        "mean": evaluation.score(), "standard_error": evaluation.standard_error(),
        "episodes": evaluation.episodes(), "returns": evaluation.returns,
        "agent_steps": evaluation.steps, "evaluated_frames": evaluation.frames,
        "human_normalised": evaluation.human_normalised(),
        "random_score": evaluation.reference.map(|scores| scores.random),
        "human_score": evaluation.reference.map(|scores| scores.human),
    })
}

fn options(args: &EvalArgs) -> Options {
    let episodes = args.episodes.map(|n| format!("eval.episodes={n}"));
    let frames = args.frames.map(|n| format!("eval.frames={n}"));
    let epsilon = args.epsilon.map(|epsilon| format!("eval.epsilon={epsilon:?}"));
    let set = [episodes, frames, epsilon].into_iter().flatten().collect();
    Options { set, device: args.device.clone(), ..Options::default() }
}
