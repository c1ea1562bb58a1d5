//! Supervised tasks that change over time: an environment shows labelled images, takes an answer to each
//! and tells the label.
//!
//! ```text
//! step of an environment   0 ...............  steps_per_task ..........  2 steps_per_task ....
//! task                     0                | 1                        | 2, .., the last one stays
//! image of every step      drawn uniformly, with replacement, from those that the task shows
//! ```
//!
//! Environments that step together show a minibatch, and all change their task with the same step.

mod class_incremental;
mod env;
mod examples;
mod factory;
mod permuted_inputs;
mod random_labels;
mod sequence;
#[cfg(test)]
mod tests;
mod warm_start;

pub use class_incremental::{ClassIncremental, ClassIncrementalConfig};
pub use factory::SupervisedFactory;
pub use permuted_inputs::{PermutedInputs, PermutedInputsConfig};
pub use random_labels::{Labels, RandomLabels, RandomLabelsConfig};
pub use warm_start::{WarmStart, WarmStartConfig};
