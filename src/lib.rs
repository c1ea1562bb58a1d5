//! pliant as a library: what an out-of-tree program needs to run with plug-ins of its own.

pub mod sinks;
