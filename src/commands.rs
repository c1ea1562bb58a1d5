//! What each command does.

pub mod doctor;
pub mod eval;
pub mod fetch;
pub mod list;
pub mod resume;
mod session;
pub mod trace;
pub mod train;
