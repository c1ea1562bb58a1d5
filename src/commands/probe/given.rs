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
        self.transitions.map_or(self.agent.len(), |given| given.a_tm1.size()[0] as u64)
    }

    fn capacity(&self) -> u64 {
        self.len()
    }

    fn discount(&self) -> f64 {
        self.agent.discount()
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        let Some(given) = self.transitions else { return self.agent.transitions(batch, stream) };
        let indices = stream.distinct(batch, self.len() as usize)?;
        let indices: Vec<i64> = indices.into_iter().map(|index| index as i64).collect();
        let indices = Tensor::from_slice(&indices);
        let drawn = |tensor: &Tensor| tensor.index_select(0, &indices);
        Some(Transitions {
            s_tm1: drawn(&given.s_tm1),
            a_tm1: drawn(&given.a_tm1),
            r_t: drawn(&given.r_t),
            discount_t: drawn(&given.discount_t),
            s_t: drawn(&given.s_t),
        })
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        self.agent.losses(learner, batch, taps)
    }
}
