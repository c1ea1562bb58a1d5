//! Transitions that do not grow: those of a file, or of a stored replay.

use pliant_core::{
    learner::Learner,
    network::Taps,
    probe::{ProbeData, Transitions},
    seeds::Stream,
    tch::Tensor,
};

/// What stored checkpoints are measured on.
pub(super) struct Given<'a> {
    /// In the place of the agent's own.
    transitions: Option<&'a Transitions>,
    agent: &'a dyn ProbeData,
}

impl<'a> Given<'a> {
    /// `transitions`, or what the agent holds, with the agent's loss.
    pub(super) fn new(transitions: Option<&'a Transitions>, agent: &'a dyn ProbeData) -> Self {
        Self { transitions, agent }
    }
}

impl ProbeData for Given<'_> {
    fn len(&self) -> u64 {
        self.transitions.map_or(self.agent.len(), Transitions::count)
    }

    fn capacity(&self) -> u64 {
        self.len()
    }

    fn discount(&self) -> f64 {
        self.agent.discount()
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        match self.transitions {
            Some(given) => given.draw(batch, stream),
            None => self.agent.transitions(batch, stream),
        }
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        self.agent.losses(learner, batch, taps)
    }
}
