//! `pliant eval`

use std::sync::Arc;

use pliant_core::{registry::Plugins, seeds::Seeds};
use serde_json::json;

use super::{resume::stored_config, session};
use crate::{
    checkpoint,
    cli::EvalArgs,
    config::Options,
    evaluation::Evaluator,
    experiment,
    failure::{Failure, Outcome},
    run_dir::RunDirectory,
};

/// Evaluates the agent of a run's newest checkpoint.
pub fn run(args: &EvalArgs, plugins: &Plugins) -> Outcome {
    let directory = RunDirectory::open(&args.run)?;
    let config = stored_config(&directory, options(args), plugins)?;
    let loaded = checkpoint::read_newest(&directory.checkpoints()).map_err(Failure::Input)?;
    let mut experiment = experiment::build(config, plugins)?;
    loaded.state.load_part("agent", experiment.agent.as_mut()).map_err(|error| {
        Failure::Input(format!("checkpoint {}: {error}", loaded.path.display()))
    })?;
    let mut evaluator = Evaluator::new(
        &experiment.factory,
        &experiment.config.eval,
        experiment.threads,
        Arc::default(),
    )?;
    let evaluation = evaluator.evaluate(experiment.agent.as_ref(), &Seeds::new(args.seed))?;
    let name = evaluator.score_name();
    if args.json {
        let object = json!({
            "run": directory.path(), "frames": loaded.clock.frames, "updates": loaded.clock.updates,
            "score": name, "mean": evaluation.score(), "standard_error": evaluation.standard_error(),
            "returns": evaluation.returns, "agent_steps": evaluation.steps,
            "epsilon": experiment.config.eval.epsilon, "seed": args.seed,
        });
        println!("{object}");
    } else {
        let row = format!("after {} frames", loaded.clock.frames);
        println!("{}", session::evaluations(&[(row.as_str(), evaluation)], name));
    }
    Ok(())
}

fn options(args: &EvalArgs) -> Options {
    let episodes = args.episodes.map(|episodes| format!("eval.episodes={episodes}"));
    let epsilon = args.epsilon.map(|epsilon| format!("eval.epsilon={epsilon:?}"));
    let set = episodes.into_iter().chain(epsilon).collect();
    Options { set, device: args.device.clone(), ..Options::default() }
}
