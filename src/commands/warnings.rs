//! What is allowed, and hardly meant.

use pliant_core::clock::Every;

use crate::{config::RunSection, device, experiment::Experiment};

/// Says what the budget is too small for.
pub fn tell_of_idleness(experiment: &Experiment) {
    idleness(experiment).iter().for_each(|what| tell!("warning: {what}"));
}

/// Says what keeps updates on a GPU from being as fast as they can be.
pub fn tell_of_eager_updates(experiment: &Experiment) {
    let learner = experiment.agent.learner();
    if experiment.config.run.cuda_graphs && learner.online.device().is_cuda() {
        eager_updates(experiment).iter().for_each(|what| tell!("note: {what}"));
    }
}

/// What keeps passes and steps from being recorded as CUDA graphs, where there is a GPU; of dropout the learner tells
/// when it is drawn.
fn eager_updates(experiment: &Experiment) -> Vec<String> {
    let learner = experiment.agent.learner();
    let mut of_passes: Vec<String> =
        experiment.interventions.with_gradients().map(str::to_owned).collect();
    if !learner.online.is_recordable() {
        of_passes.push(format!("the network `{}`", experiment.config.network.kind));
    }
    let kind = learner.optimizer.kind();
    let of_steps = (!learner.optimizer.is_recordable()).then(|| format!("the optimizer `{kind}`"));
    let parts = [("passes", of_passes), ("steps", of_steps.into_iter().collect())];
    let hindered = parts.into_iter().filter(|(_, reasons)| !reasons.is_empty());
    let told = hindered.map(|(what, reasons)| {
        let by = reasons.join(", ");
        format!("{what} are computed operation by operation, slower than as CUDA graphs, because of {by}")
    });
    told.collect()
}

/// Says that threads have no core, before they take their time over anything.
pub fn tell_of_threads(run: &RunSection) {
    idle_threads(run).iter().for_each(|what| tell!("warning: {what}"));
}

/// Said of more threads than cores.
pub fn idle_threads(run: &RunSection) -> Option<String> {
    let (cores, all) =
        (device::cores(), [("run.threads", run.threads), ("run.env_threads", run.env_threads)]);
    let (key, most) = all.into_iter().max_by_key(|(_, threads)| *threads)?;
    (most > cores).then(|| {
        format!("{key} is {most}, and {cores} core(s) are there: threads without a core wait for each other; lower {key}")
    })
}

/// What the budget is too small for: learning at all, or single probes and interventions. A step takes at least one
/// frame, so this is never said of a run that gets there.
pub fn idleness(experiment: &Experiment) -> Vec<String> {
    let frames = experiment.config.run.budget_frames;
    let updates = experiment.agent.most_updates(frames);
    if updates == 0 {
        return vec![format!(
            "nothing will be learned: `run.budget_frames` of {frames} ends before the agent's first update \
             (`agent.learning_starts`)"
        )];
    }
    // A step takes a frame at least.
    let probes = experiment.probes.idle_within(frames).map(|(label, needs)| {
        format!(
            "{label} will never measure: it needs {needs} transitions, and `run.budget_frames` ends before"
        )
    });
    let once = experiment.probes.once_within(frames, updates).map(|(label, every)| {
        let most = match every {
            Every::Frames(_) => format!("is {frames}"),
            Every::Updates(_) => format!("allows at most {updates} updates"),
        };
        format!(
            "{label} will measure once, at the beginning: it measures every {every}, and `run.budget_frames` {most}"
        )
    });
    let period = experiment.agent.target_period_updates();
    let interventions = experiment.interventions.idle_within(updates, period);
    let interventions = interventions.into_iter().map(|(label, first)| {
        let first = match first {
            Some(first) => format!("its first update would be {first}"),
            None => format!("no target update, one every {period} updates, falls into its time"),
        };
        format!("{label} will do nothing: {first}, and `run.budget_frames` allows at most {updates} updates")
    });
    probes.chain(once).chain(interventions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes;

    #[test]
    fn what_is_computed_operation_by_operation_is_told_with_its_reasons() {
        let said = |set: &[&str]| eager_updates(&fakes::experiment(set));
        assert!(said(&[]).is_empty());
        let kron = "agent.optimizer.kind=kron";
        let both = said(&["interventions=[{kind=\"l2_init\"},{kind=\"layer_norm\"}]", kron]);
        let [passes, steps] = both.as_slice() else { panic!("{both:?}") };
        assert!(
            passes.starts_with("passes") && passes.contains("intervention `l2_init`"),
            "{passes}"
        );
        assert!(!passes.contains("layer_norm") && !passes.contains("kron"), "{passes}");
        assert!(steps.starts_with("steps") && steps.contains("`kron`"), "{steps}");
        assert_eq!(said(&[kron]), [steps.as_str()]);
    }
}
