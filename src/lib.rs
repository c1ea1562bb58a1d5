//! pliant as a library: what an out-of-tree program needs to run with plug-ins of its own.
//!
//! ```no_run,standalone_crate
//! fn main() -> std::process::ExitCode {
//!     pliant::prepare(); // before anything touches libtorch
//!     let plugins = pliant::plugins::builtin();
//!     // plugins.interventions.register("mine", Mine::build);
//!     pliant::cli::main(plugins)
//! }
//! ```

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))] // they panic: `say!`, `tell!`

#[macro_use]
mod out;

#[cfg(test)]
mod bad_input;
mod bench;
mod checkpoint;
pub mod cli;
mod commands;
pub mod config;
mod cuda;
mod device;
mod disk;
mod engine;
mod episodes;
mod evaluation;
mod experiment;
mod failed_update;
mod failure;
#[cfg(test)]
mod fakes;
mod film;
mod onlooker;
pub mod plot;
pub mod plugins;
mod prepare;
mod report;
mod run_dir;
mod runner;
mod signals;
pub mod sinks;
mod study;
mod table;
mod tasks;
mod tensors;
pub mod trace;

pub use prepare::prepare;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: pliant_fuzzing::Counted = pliant_fuzzing::Counted;
