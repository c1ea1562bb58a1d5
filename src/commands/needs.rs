//! What runs take of a machine.

use pliant_core::{state::StateDict, tch::Tensor};

use crate::experiment::Experiment;

/// Bytes that a run's checkpoints take.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoints {
    /// All but the replay, in all checkpoints that are kept and the one being written.
    pub states: u64,
    /// The replay as it is in memory.
    pub replay: u64,
}

/// Frames compress about twenty-fold, the rest of a transition less; noise not at all.
const USUAL_COMPRESSION: u64 = 8;

impl Checkpoints {
    /// Those of a run.
    pub fn of(experiment: &Experiment) -> Self {
        let mut state = StateDict::default();
        state.put_part("agent", experiment.agent.as_ref());
        state.put_part("interventions", &experiment.interventions);
        let bytes = |tensor: &Tensor| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64;
        let saved: u64 = state.tensors().values().map(bytes).sum();
        let learner = experiment.agent.learner();
        // They are made at the first step.
        let moments =
            learner.optimizer.moments().names().len() * learner.online.variables().count();
        let section = &experiment.config.checkpoint;
        let count = section.keep as u64 + 1;
        let replay = if section.replay { experiment.replay_bytes } else { 0 };
        Self { states: (saved + 4 * moments as u64) * count, replay }
    }

    /// What is to be expected.
    pub fn usual(self) -> u64 {
        self.with_replay_compressed(USUAL_COMPRESSION)
    }

    /// With a replay that does not compress.
    pub fn most(self) -> u64 {
        self.with_replay_compressed(1)
    }

    /// The replay is there twice while it is being written.
    fn with_replay_compressed(self, times: u64) -> u64 {
        self.states + 2 * self.replay / times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes;

    #[test]
    fn what_checkpoints_take_is_what_they_hold() {
        let need = |set: &[&str]| Checkpoints::of(&fakes::experiment(set));
        let (two, three) = (need(&["checkpoint.keep=1"]), need(&["checkpoint.keep=2"]));
        assert_eq!(2 * three.states, 3 * two.states);
        assert_eq!(need(&["checkpoint.replay=false"]).replay, 0);
        let experiment = fakes::experiment(&["checkpoint.keep=1"]);
        let parameters = experiment.agent.learner().online.variables().count() as u64;
        // Online, target and the two moments of RMSProp, twice.
        assert!(two.states >= 2 * 4 * 4 * parameters, "{two:?} of {parameters} parameters");
    }
}
