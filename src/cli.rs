//! The command line.

mod bench;
mod study;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Args, CommandFactory, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use pliant_core::registry::Plugins;
use pliant_envs::classification::DatasetName;

pub use bench::{BenchArgs, BenchEnvArgs, BenchLearnerArgs, BenchProbeArgs};
pub use study::{Engine, ReportArgs, StudyArgs, StudyCommand, StudyOneArgs, StudyRunArgs};

use crate::{
    commands,
    config::Options,
    engine::Seeds,
    failure::{self, Failure, Outcome},
    plugins, signals,
};

/// Train value-based deep RL agents, change how they learn, measure whether they still can.
#[derive(Parser)]
#[command(name = "pliant", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Load interventions and probes from a shared library; may be given several times
    #[arg(long, value_name = "FILE", global = true)]
    plugin: Vec<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Train an agent from a preset or a configuration file
    Train(TrainArgs),
    /// Continue a run from its newest checkpoint
    Resume(ResumeArgs),
    /// Make the update at which a run failed once more, to find out what helps
    Retry(RetryArgs),
    /// Evaluate the agent of a run
    Eval(EvalArgs),
    /// Measure the stored checkpoints of a run with probes
    Probe(ProbeArgs),
    /// Run a study: many runs, from a file that says what varies
    #[command(subcommand)]
    Study(StudyCommand),
    /// Make a page of runs with figures and tables, or of a study
    Report(ReportArgs),
    /// Show the kinds of a family, one of them, or all, with their settings
    List(ListArgs),
    /// Replay a file of actions and write what the environment does
    Trace(TraceArgs),
    /// Get a data set
    Fetch(FetchArgs),
    /// Measure speed; prints one JSON object
    #[command(subcommand)]
    Bench(BenchArgs),
    /// Check what this machine has of what a run needs, or whether a run is whole
    Doctor(DoctorArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options that make a configuration.
#[derive(Args)]
pub struct ConfigArgs {
    /// A preset (see `pliant list presets`), several joined by `+` of which later ones win, or a TOML file
    #[arg(value_name = "PRESET[+PRESET..]|FILE")]
    base: Option<String>,
    /// Change a setting: --set env.game=pong
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Add an intervention: --with layer_norm:affine=false
    #[arg(long, value_name = "KIND[:k=v,..]")]
    with: Vec<String>,
    /// Add a probe: --probe units:batch_size=2048
    #[arg(long, value_name = "KIND[:k=v,..]")]
    probe: Vec<String>,
    /// Root of all random streams (run.seed)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// auto, cpu or cuda:N (run.device)
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The environment's variables are left out.
    #[arg(skip)]
    is_resolved: bool,
}

impl ConfigArgs {
    /// A file's alone, which has all settings.
    pub fn of_file(path: &Path) -> Self {
        let base = Some(path.to_string_lossy().into_owned());
        let (set, with, probe) = (Vec::new(), Vec::new(), Vec::new());
        Self { base, set, with, probe, seed: None, device: None, is_resolved: true }
    }

    /// The same as options of a configuration.
    pub fn options(&self) -> Options {
        Options {
            base: self.base.clone(),
            set: self.set.clone(),
            with: self.with.clone(),
            probe: self.probe.clone(),
            seed: self.seed,
            device: self.device.clone(),
            is_resolved: self.is_resolved,
        }
    }
}

/// `pliant train`
#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Train under several seeds: a range such as 1..4 with both ends, or a list; each in a folder of its own
    #[arg(long, value_name = "FIRST..LAST", conflicts_with = "seed")]
    pub(crate) seeds: Option<Seeds>,
    /// With --seeds: at most so many at a time [default: as many as there are cores for]
    #[arg(long, value_name = "N", requires = "seeds", value_parser = at_least_one(1000))]
    pub(crate) jobs: Option<usize>,
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
    /// The environment's variables are left out.
    #[arg(skip)]
    pub(crate) is_resolved: bool,
}

/// `pliant retry`
#[derive(Args)]
pub struct RetryArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// The update, as the error counts it [default: the newest in the run's failures/]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) update: Option<u64>,
    /// Change a setting first: --set agent.optimizer.learning_rate=0.0001
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
    /// Episodes [default: eval.episodes of the run, or its eval.frames]
    #[arg(long, value_name = "N", conflicts_with = "frames",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) episodes: Option<u64>,
    /// Frames, of as many episodes as end within them [default: eval.frames of the run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    /// Film the first episode: a .gif, or with ffmpeg an .mp4; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) video: Option<PathBuf>,
    /// Film at most this many agent steps [default: the whole first episode]
    #[arg(long, value_name = "N", requires = "video",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) video_steps: Option<u64>,
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

/// `pliant probe`
#[derive(Args)]
pub struct ProbeArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// A probe: --probe plasticity:steps=500 [default: the run's own]
    #[arg(long, value_name = "KIND[:k=v,..]")]
    pub(crate) probe: Vec<String>,
    /// replay: that of the newest checkpoint; or a safetensors file with s_tm1, a_tm1, r_t, discount_t, s_t
    #[arg(long, value_name = "replay|FILE", default_value = "replay")]
    pub(crate) data: String,
    /// Root of the probes' random streams, the same at every checkpoint
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Print one JSON object per checkpoint instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pliant list`
#[derive(Args)]
pub struct ListArgs {
    /// The family
    #[arg(value_enum)]
    pub(crate) family: Option<commands::list::Family>,
    /// One of the family; among the environments also an Atari game
    #[arg(requires = "family")]
    pub(crate) name: Option<String>,
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

/// `pliant doctor`
#[derive(Args)]
pub struct DoctorArgs {
    /// A preset or a TOML file: has this machine what such a run needs? Or a run directory, or a study's folder: is it
    /// whole?
    /// [default: the machine alone]
    #[arg(value_name = "PRESET[+PRESET..]|FILE|FOLDER")]
    pub(crate) what: Option<String>,
    /// Change a setting of the preset or file: --set agent.replay_capacity=100000
    #[arg(long, value_name = "KEY=VALUE", requires = "what")]
    pub(crate) set: Vec<String>,
    /// auto, cpu or cuda:N (run.device)
    #[arg(long, value_name = "DEVICE", requires = "what")]
    pub(crate) device: Option<String>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pliant fetch`
#[derive(Args)]
pub struct FetchArgs {
    /// The data set
    #[arg(value_parser = datasets())]
    pub(crate) dataset: DatasetName,
    /// Take the files, or the official archive, from this folder instead of downloading them
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
}

fn datasets() -> impl TypedValueParser<Value = DatasetName> {
    let names = PossibleValuesParser::new(DatasetName::ALL.map(DatasetName::name));
    names.try_map(|name| DatasetName::named(&name).ok_or("no such data set"))
}

fn at_least_one(most: u32) -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(1..=i64::from(most)).map(|number| number as usize)
}

fn up_to(most: u32) -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(..=i64::from(most)).map(|number| number as usize)
}

/// Runs the program with these plug-ins, and those that `--plugin` loads, on the process's arguments.
/// Exit codes: 0 done, 1 the run failed, 2 bad input.
pub fn main(mut plugins: Plugins) -> ExitCode {
    let Cli { command, plugin } = Cli::parse();
    let run = || {
        signals::outlive_file_limits()?;
        check_side(&plugin)
            .and_then(|()| plugins::load(&mut plugins, &plugin))
            .map_err(Failure::Input)?;
        dispatch(&command, &plugins)
    };
    match failure::catch(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell!("error: {}", failure::legible(&failure.to_string()));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// An error where `--plugin` stands on both sides of the command: clap keeps those after it alone.
fn check_side(kept: &[PathBuf]) -> Result<(), String> {
    let is_option = |argument: &std::ffi::OsString| {
        argument.to_str().is_some_and(|text| text == "--plugin" || text.starts_with("--plugin="))
    };
    if std::env::args_os().skip(1).filter(is_option).count() == kept.len() {
        return Ok(());
    }
    Err("--plugin stands before and after the command, expected all on one side".to_owned())
}

fn dispatch(command: &Command, plugins: &Plugins) -> Outcome {
    match command {
        Command::Train(args) => commands::train::run(args, plugins),
        Command::Resume(args) => commands::resume::run(args, plugins),
        Command::Retry(args) => commands::retry::run(args, plugins),
        Command::Eval(args) => commands::eval::run(args, plugins),
        Command::Probe(args) => commands::probe::run(args, plugins),
        Command::Report(args) => commands::report::run(args, plugins),
        Command::Study(command) => commands::study::run(command, plugins),
        Command::List(args) => commands::list::run(args, plugins),
        Command::Trace(args) => commands::trace::run(args, plugins),
        Command::Fetch(args) => commands::fetch::run(args),
        Command::Bench(args) => commands::bench::run(args, plugins),
        Command::Doctor(args) => commands::doctor::run(args, plugins),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "pliant", &mut std::io::stdout());
            Ok(())
        }
    }
}
