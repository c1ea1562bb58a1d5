//! Probes on agents with their replay.

mod common;
mod fitting;
mod hessian;
mod per_example;
mod plasticity;
mod registry;
mod truth;
