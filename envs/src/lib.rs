//! Environments of pliant.
pub mod env;
pub mod vector;
