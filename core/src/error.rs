//! What can go wrong in a part.

use pliant_envs::env::EnvError;

use crate::not_finite::NotFinite;

/// An error of a part. The texts are lower-case fragments that the program chains by context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot be used; says which, and what would be right.
    #[error("{0}")]
    Invalid(String),
    /// A saved state that is missing something or does not fit.
    #[error("saved state: {0}")]
    State(String),
    /// An environment's failure.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Reading or writing a file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An update that would have led to numbers that are not finite, and was not made.
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
    /// Somebody asked for an end before the work was done.
    #[error("stopped before it was done")]
    Stopped,
    /// A failure inside libtorch.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

/// Shorthand for results of parts.
pub type Result<T, E = Error> = std::result::Result<T, E>;
