//! Environments of pliant: all Atari games, the classification MDPs and supervised tasks, vectorised, without tensors.
//!
//! [`Env`](env::Env) is one environment, [`EnvFactory`](env::EnvFactory) a checked configuration that
//! makes them, [`VectorEnv`](vector::VectorEnv) many of them over worker threads.

#[cfg(feature = "atari")]
pub mod ale;
pub mod classification;
pub mod env;
mod folders;
#[cfg(feature = "gymnasium")]
pub mod gymnasium;
mod state;
pub mod supervised;
pub mod vector;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: pliant_fuzzing::Counted = pliant_fuzzing::Counted;
