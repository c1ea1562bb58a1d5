//! Running several runs of one configuration.

mod local;

pub use local::{Ended, Job, Share, run_all};
