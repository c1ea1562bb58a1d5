//! Options of `pliant bench`.

use clap::{Args, Subcommand};

use super::{ConfigArgs, at_least_one, up_to};

/// `pliant bench`
#[derive(Subcommand)]
pub enum BenchArgs {
    /// Environments under random actions, beside the emulator alone
    Env(BenchEnvArgs),
    /// Updates of the network, beside the same without interventions: `time_ratio` is one's time over the other's, median, least and most
    Learner(BenchLearnerArgs),
    /// Measurements of probes, beside updates of the network
    Probe(BenchProbeArgs),
}

/// `pliant bench learner`
#[derive(Args)]
pub struct BenchLearnerArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Rounds, of which the median counts: an even number, as the two sides take turns at going first
    #[arg(long, value_name = "N", default_value = "6", value_parser = at_least_one(1_000_000))]
    pub(crate) rounds: usize,
    /// Updates per round
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one(u32::MAX))]
    pub(crate) updates: usize,
    /// Do not measure the same without interventions
    #[arg(long)]
    pub(crate) no_plain: bool,
    /// Measure the learner without interventions beside its own equal: how far chance alone goes
    #[arg(long, conflicts_with = "no_plain")]
    pub(crate) control: bool,
}

/// `pliant bench probe`
#[derive(Args)]
pub struct BenchProbeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", default_value = "3", value_parser = at_least_one(1_000_000))]
    pub(crate) rounds: usize,
    /// Updates per round, beside the probes
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one(u32::MAX))]
    pub(crate) updates: usize,
}

/// `pliant bench env`
#[derive(Args)]
pub struct BenchEnvArgs {
    /// The environment
    #[arg(long, value_name = "KIND", default_value = "atari")]
    pub(crate) env: String,
    /// Change a setting: --set env.game=pong
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Environments that step together
    #[arg(long, value_name = "N", default_value = "8", value_parser = at_least_one(4096))]
    pub(crate) envs: usize,
    /// Threads that step them; 0 takes one per core
    #[arg(long, value_name = "T", default_value = "0", value_parser = up_to(1024))]
    pub(crate) threads: usize,
    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one(1_000_000))]
    pub(crate) rounds: usize,
    /// Agent steps per round, over all environments
    #[arg(long, value_name = "N", default_value = "20000", value_parser = at_least_one(u32::MAX))]
    pub(crate) steps: usize,
    /// Seed of the environments and the actions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Do not measure the emulator alone
    #[arg(long)]
    pub(crate) no_bare: bool,
}
