//! The command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};
use pliant_core::registry::Plugins;

use crate::{
    commands,
    config::Options,
    failure::{self, Outcome},
};

/// Train value-based deep RL agents, change how they learn, measure whether they still can.
#[derive(Parser)]
#[command(name = "pliant", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train an agent from a preset or a configuration file
    Train(TrainArgs),
    /// Continue a run from its newest checkpoint
    Resume(ResumeArgs),
    /// Evaluate the agent of a run
    Eval(EvalArgs),
    /// Show the kinds of a family, or all, with their settings
    List(ListArgs),
    /// Replay a file of actions and write what the environment does
    Trace(TraceArgs),
    /// Get a data set
    Fetch(FetchArgs),
    /// Check what this machine has of what a run needs
    Doctor,
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options that make a configuration.
#[derive(Args)]
pub struct ConfigArgs {
    /// A preset (see `pliant list presets`) or a TOML file
    #[arg(value_name = "PRESET|FILE")]
    base: Option<String>,
    /// Change a setting: --set env.game=pong
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Add an intervention: --with layer_norm:affine=false
    #[arg(long, value_name = "KIND[:k=v,..]")]
    with: Vec<String>,
    /// Add a probe: --probe dormant_units:tau=0.1
    #[arg(long, value_name = "KIND[:k=v,..]")]
    probe: Vec<String>,
    /// Root of all random streams (run.seed)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// auto, cpu or cuda:N (run.device)
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

impl ConfigArgs {
    /// The same as options of a configuration.
    pub fn options(&self) -> Options {
        Options {
            base: self.base.clone(),
            set: self.set.clone(),
            with: self.with.clone(),
            probe: self.probe.clone(),
            seed: self.seed,
            device: self.device.clone(),
        }
    }
}

/// `pliant train`
#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The run directory; must not exist or be empty [default: runs/NAME-seedN-TIME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Check and print the resolved configuration, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `pliant resume`
#[derive(Args)]
pub struct ResumeArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// Change a setting before going on: --set run.budget_frames=2000000
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// auto, cpu or cuda:N (run.device)
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
}

/// `pliant eval`
#[derive(Args)]
pub struct EvalArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// Episodes [default: eval.episodes of the run]
    #[arg(long, value_name = "N")]
    pub(crate) episodes: Option<usize>,
    /// Exploration rate [default: eval.epsilon of the run]
    #[arg(long, value_name = "E")]
    pub(crate) epsilon: Option<f64>,
    /// Root of the evaluation's random streams
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pliant list`
#[derive(Args)]
pub struct ListArgs {
    /// The family
    #[arg(value_enum)]
    pub(crate) family: Option<commands::list::Family>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pliant trace`
#[derive(Args)]
pub struct TraceArgs {
    /// The environment
    #[arg(long, value_name = "KIND")]
    pub(crate) env: String,
    /// Change a setting: --set env.game=pong
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Goes straight to the emulator
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// One integer action per line
    #[arg(long, value_name = "FILE")]
    pub(crate) actions: PathBuf,
    /// The folder for the .npy files; must not exist or be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `pliant fetch`
#[derive(Args)]
pub struct FetchArgs {
    /// The data set
    #[arg(value_parser = ["mnist"])]
    pub(crate) dataset: String,
    /// Take the files from this folder instead of downloading them
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
}

/// Runs the program with these plug-ins on the process's arguments. Exit codes: 0 done, 1 the run
/// failed, 2 bad input.
pub fn main(plugins: &Plugins) -> ExitCode {
    let command = Cli::parse().command;
    match failure::catch(|| dispatch(&command, plugins)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(command: &Command, plugins: &Plugins) -> Outcome {
    match command {
        Command::Train(args) => commands::train::run(args, plugins),
        Command::Resume(args) => commands::resume::run(args, plugins),
        Command::Eval(args) => commands::eval::run(args, plugins),
        Command::List(args) => commands::list::run(args, plugins),
        Command::Trace(args) => commands::trace::run(args, plugins),
        Command::Fetch(args) => commands::fetch::run(args),
        Command::Doctor => commands::doctor::run(),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "pliant", &mut std::io::stdout());
            Ok(())
        }
    }
}
