//! The program as its users run it.

mod bad_input;
mod common;
mod reproducible;
mod resume;
