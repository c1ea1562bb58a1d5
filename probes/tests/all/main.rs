//! Probes on agents with their replay.

mod by_hand;
mod common;
mod copies_by_hand;
mod curvature_by_hand;
mod fitting;
mod hessian;
mod layers;
mod linear;
mod needs;
mod per_example;
mod plasticity;
mod registry;
mod settings;
mod traced;
mod truth;
