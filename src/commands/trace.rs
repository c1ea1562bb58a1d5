//! `pliant trace`

use pliant_core::registry::Plugins;

use crate::{
    cli::TraceArgs,
    config,
    failure::{Failure, Outcome},
    trace::{self, TraceError},
};

/// Replays a file of actions and writes what the environment does as .npy files.
pub fn run(args: &TraceArgs, plugins: &Plugins) -> Outcome {
    let env = config::env_section(&args.env, &args.set, plugins).map_err(Failure::Input)?;
    let factory = env.build(&plugins.envs).map_err(Failure::Input)?;
    let actions = trace::read_actions(&args.actions).map_err(Failure::Input)?;
    let summary =
        trace::write_trace(factory.as_ref(), args.seed, &actions, &args.out).map_err(|error| {
            match error {
                TraceError::Input(message) => Failure::Input(message),
                other => Failure::Run(other.to_string()),
            }
        })?;
    say!(
        "{} steps, {} frames, {} episodes ended, reward {}: {}",
        summary.steps,
        summary.frames,
        summary.episodes,
        summary.reward,
        args.out.display()
    );
    Ok(())
}
