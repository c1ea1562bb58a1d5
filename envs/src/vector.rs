//! Placeholder (the lead's): the contract of Batch.
use crate::env::Step;
/// What all environments hand back.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Current observations, after same-step autoreset.
    pub frames: Vec<u8>,
    /// Final observations where a step was the last.
    pub final_frames: Vec<u8>,
    /// Outcomes.
    pub steps: Vec<Step>,
}
