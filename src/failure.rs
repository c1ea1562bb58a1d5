//! How a command fails: by its input, or while running.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pliant_core::error::Error;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong: nothing was run, nothing was changed. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The run failed. Exit code 1.
    #[error("{0}")]
    Run(String),
}

impl Failure {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Run(_) => 1,
        }
    }

    /// A failure while running, with what was being done.
    pub fn while_doing(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Run(format!("{what}: {error}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Run(error.to_string())
    }
}

impl From<pliant_envs::env::EnvError> for Failure {
    fn from(error: pliant_envs::env::EnvError) -> Self {
        Self::Run(error.to_string())
    }
}

/// Results of commands.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Turns a panic into a failure, so that a run is closed in order: tch panics where libtorch fails,
/// for instance for want of memory on the device.
pub fn catch<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Err(Failure::Run(format!("stopped by a panic: {}", text.unwrap_or("without a message"))))
    })
}
