//! What each command does.

pub mod bench;
pub mod doctor;
pub mod eval;
pub mod fetch;
pub mod list;
mod needs;
pub mod probe;
pub mod report;
pub mod resume;
pub mod retry;
mod scores;
mod session;
pub mod study;
pub mod trace;
pub mod train;
pub mod warnings;

#[cfg(test)]
pub use session::provenance;
