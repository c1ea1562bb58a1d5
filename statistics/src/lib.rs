//! Statistics of pliant: what a few seeds of many tasks say, and what they do not.
pub mod aggregate;
mod average;
pub mod bootstrap;
pub mod error;
pub mod estimate;
pub mod improvement;
pub mod scores;
