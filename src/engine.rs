//! Running several runs: as processes of this machine, or as tasks of Slurm job arrays.

mod gpus;
mod local;
mod seeds;
pub mod slurm;

pub use gpus::Gpus;
pub use local::{Ended, Job, Share, run_all};
pub use seeds::Seeds;
