//! Running several runs of one configuration.

mod local;
mod seeds;

pub use local::{Ended, Job, Share, run_all};
pub use seeds::Seeds;
