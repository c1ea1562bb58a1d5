//! One step of the primary task on a copy.

use pliant_core::{
    learner::Learner,
    probe::{ProbeData, Transitions},
    tch::Kind,
};

/// A copy of a learner after its optimiser made one step on the agent's loss of a batch. Interventions have
/// no part in it. The gradients are those of the step.
pub(crate) fn after_one_step(
    learner: &Learner,
    data: &dyn ProbeData,
    batch: &Transitions,
) -> Learner {
    let mut fork = learner.fork();
    let loss = data.losses(&fork, batch, None).mean(Kind::Float);
    loss.backward();
    fork.optimizer.step(fork.online.variables());
    fork.online.follow_parameters();
    fork
}
