//! Options of `pliant study` and `pliant report`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::at_least_one;
use crate::engine::Seeds;

/// `pliant study`
#[derive(Subcommand)]
pub enum StudyCommand {
    /// Run what is not finished of it
    Run(StudyRunArgs),
    /// Tell where its runs stand
    Status(StudyArgs),
    /// Make figures, tables and a page of what is finished
    Report(StudyArgs),
    /// Begin one of its runs, or continue it, in this process: what job arrays call
    One(StudyOneArgs),
}

/// `pliant report`
#[derive(Args)]
pub struct ReportArgs {
    /// Run directories, or the folder of one study
    #[arg(value_name = "RUN|STUDY", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Where the page goes, with its figures and tables, of runs [default: report]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Which study, at which scale, where.
#[derive(Args)]
pub struct StudyArgs {
    /// A study's TOML file, the name of one (see `pliant list studies`), or the folder of one that was begun
    #[arg(value_name = "FILE|NAME|FOLDER")]
    pub(crate) study: String,
    /// How large: one of the file's scales
    #[arg(long, value_name = "SCALE")]
    pub(crate) scale: Option<String>,
    /// Other seeds than the scale's, such as 0..4 or 1,2,7; of a study that was begun, more seeds than it has
    #[arg(long, value_name = "SEEDS")]
    pub(crate) seeds: Option<Seeds>,
    /// Change a setting of all runs: --set run.budget_frames=1000
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The study's folder [default: studies/NAME-SCALE]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// `pliant study run`
#[derive(Args)]
pub struct StudyRunArgs {
    #[command(flatten)]
    pub(crate) study: StudyArgs,
    /// What the runs are: processes of this machine, or tasks of Slurm job arrays
    #[arg(long, value_enum, default_value_t = Engine::Local)]
    pub(crate) engine: Engine,
    /// At most so many runs at a time [default: as many as there are cores for; with Slurm, as many as it starts]
    #[arg(long, value_name = "N", value_parser = at_least_one(1000))]
    pub(crate) jobs: Option<usize>,
    /// With --engine slurm, what to ask of it: account, constraint, cpus, gpus, memory, notice_s, partition, qos, time
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) slurm: Vec<String>,
    /// With --engine slurm: return when Slurm is done with all runs
    #[arg(long)]
    pub(crate) wait: bool,
    /// Run those that failed again, from their last checkpoints
    #[arg(long)]
    pub(crate) retry: bool,
    /// Check everything, list the runs, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Who runs a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Processes of this machine
    Local,
    /// Tasks of Slurm job arrays
    Slurm,
}

/// `pliant study one`
#[derive(Args)]
pub struct StudyOneArgs {
    /// The folder of a study that was begun
    pub(crate) folder: PathBuf,
    /// The run, as `status` calls it: CONDITION/../seedN
    pub(crate) run: String,
    /// If it is stopped before its end, put the Slurm array task that this is back into the queue
    #[arg(long)]
    pub(crate) requeue: bool,
}
