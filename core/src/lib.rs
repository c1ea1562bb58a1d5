//! The words that all parts of pliant share.
//!
//! An out-of-tree plug-in needs this crate alone. Data flows one way: an environment's frames reach
//! the agent, the agent's transitions reach the [`Learner`](learner::Learner), interventions change
//! how it learns, probes read it, and what they find leaves as [`Metrics`](metrics::Metrics).

pub mod agent;
pub mod clock;
pub mod conformance;
pub mod error;
pub mod head;
pub mod intervention;
pub mod learner;
pub mod metrics;
pub mod network;
pub mod optimizer;
pub mod probe;
pub mod registry;
pub mod schedule;
pub mod seeds;
pub mod sink;
pub mod state;
pub mod variables;

pub use pliant_envs as envs;
pub use tch;
