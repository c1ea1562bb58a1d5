//! The program as its users run it.

mod bad_input;
mod bench;
mod classification;
mod common;
mod continual;
mod doctor;
mod evaluation;
mod interventions;
mod list;
mod memory;
mod not_finite;
mod plugin;
mod probe;
mod report;
mod reproducible;
mod resume;
mod seeds;
mod slurm;
mod study;
mod supervised;
mod trouble;
mod video;
