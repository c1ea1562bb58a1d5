//! The words that all parts of pliant share.
//!
//! An out-of-tree plug-in needs this crate alone; [`guide`] says how to write one. Data flows one way: an environment's frames reach
//! the agent, the agent's transitions reach the [`Learner`](learner::Learner), interventions change
//! how it learns, probes read it, and what they find leaves as [`Metrics`](metrics::Metrics).

pub mod agent;
pub mod clock;
pub mod conformance;
pub mod error;
pub mod gpu;
pub mod guide;
pub mod head;
pub mod intervention;
pub mod learner;
pub mod memory;
pub mod metrics;
pub mod network;
pub mod not_finite;
pub mod optimizer;
pub mod plugin;
pub mod precision;
pub mod prelude;
pub mod probe;
pub mod ranges;
pub mod recording;
pub mod registry;
pub mod schedule;
pub mod seeds;
pub mod sink;
pub mod state;
pub mod variables;

pub use pliant_envs as envs;
pub use tch;
