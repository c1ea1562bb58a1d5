//! What a configuration needs of this machine.

use std::path::Path;

use pliant_core::{registry::Plugins, state::StateDict, tch::Tensor};

use super::finding::Finding;
use crate::{
    config::Config,
    device, disk,
    experiment::{self, Experiment, available_memory, gigabytes},
};

/// Builds everything, as a run would, and compares what it takes with what is there.
pub(super) fn findings(config: Config, plugins: &Plugins) -> Vec<Finding> {
    let experiment = match experiment::build(config, plugins) {
        Ok(experiment) => experiment,
        Err(error) => return vec![Finding::failed("configuration", error.to_string())],
    };
    let spec = experiment.agent.learner().online.spec();
    let text = format!(
        "all parts are built: {:?} observations, {} actions, on {}",
        spec.observation,
        spec.actions,
        device::name(experiment.device)
    );
    let mut all = vec![Finding::ok("configuration", text)];
    all.extend(inputs(&experiment));
    all.push(replay(experiment.replay_bytes, available_memory()));
    let disk = disk::free(Path::new(".")).map(|free| checkpoints(Need::of(&experiment), free));
    all.push(disk.unwrap_or_else(|error| Finding::failed("checkpoints", error)));
    all.push(threads(&experiment));
    all
}

/// The ROMs and data of this run, which were checked when it was built.
fn inputs(experiment: &Experiment) -> Option<Finding> {
    let inputs = experiment.factory.provenance();
    let named = inputs.iter().map(|(name, sum)| format!("{name} {}", sum.get(..8).unwrap_or(sum)));
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| Finding::ok("inputs", named.join(", ")))
}

fn replay(needed: u64, available: Option<u64>) -> Finding {
    let needs = format!("{} of memory when full", gigabytes(needed));
    match available {
        Some(free) if needed > free => {
            let free = gigabytes(free);
            let what = "lower agent.replay_capacity, or end what else takes memory";
            Finding::failed("replay", format!("{needs}, {free} are free: {what}"))
        }
        Some(free) => Finding::ok("replay", format!("{needs}, {} are free", gigabytes(free))),
        None => Finding::note("replay", format!("{needs}; how much is free is unknown")),
    }
}

/// Bytes that a run's checkpoints take.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// All but the replay, in all checkpoints that are kept and the one being written.
    states: u64,
    /// The replay as it is in memory.
    replay: u64,
}

/// Frames compress about twenty-fold, the rest of a transition less; noise not at all.
const USUAL_COMPRESSION: u64 = 8;

impl Need {
    fn of(experiment: &Experiment) -> Self {
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

    /// With the replay compressed so many times. It is there twice while it is being written.
    fn with_replay_compressed(self, times: u64) -> u64 {
        self.states + 2 * self.replay / times
    }
}

fn checkpoints(need: Need, free: u64) -> Finding {
    let (usual, most) =
        (need.with_replay_compressed(USUAL_COMPRESSION), need.with_replay_compressed(1));
    let text = format!(
        "about {} of disk for checkpoints and at most {}, {} are free",
        gigabytes(usual),
        gigabytes(most),
        gigabytes(free)
    );
    let advice =
        "free some, lower checkpoint.keep or agent.replay_capacity, or set checkpoint.replay=false";
    if free < usual {
        return Finding::failed("checkpoints", format!("{text}: {advice}"));
    }
    if free < most {
        return Finding::note(
            "checkpoints",
            format!("{text}: enough for frames of games, not of noise"),
        );
    }
    Finding::ok("checkpoints", text)
}

fn threads(experiment: &Experiment) -> Finding {
    let (cores, run) = (device::cores(), &experiment.config.run);
    let text = format!("{} compute, {cores} core(s) are there", experiment.threads);
    let is_too_many = |threads: usize| threads > cores;
    if is_too_many(experiment.threads) || is_too_many(run.env_threads) {
        let advice =
            "threads without a core wait for each other: lower run.threads and run.env_threads";
        return Finding::note("run.threads", format!("{text}: {advice}"));
    }
    Finding::ok("run.threads", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::doctor::finding::Verdict, fakes};

    #[test]
    fn a_disk_too_small_for_the_checkpoints_fails_and_says_what_to_do() {
        let need = Need { states: 30, replay: 800 };
        let verdict = |free| checkpoints(need, free).verdict;
        // 30 + 2 * 800 / 8 = 230, and 30 + 2 * 800 = 1630.
        assert_eq!(
            [229, 230, 1629, 1630].map(verdict),
            [Verdict::Failed, Verdict::Note, Verdict::Note, Verdict::Ok]
        );
        assert!(checkpoints(need, 0).text.contains("checkpoint.keep"));
    }

    #[test]
    fn what_checkpoints_take_is_what_they_hold() {
        let need = |set: &[&str]| Need::of(&fakes::experiment(set));
        let (two, three) = (need(&["checkpoint.keep=1"]), need(&["checkpoint.keep=2"]));
        assert_eq!(2 * three.states, 3 * two.states);
        assert_eq!(need(&["checkpoint.replay=false"]).replay, 0);
        let experiment = fakes::experiment(&["checkpoint.keep=1"]);
        let parameters = experiment.agent.learner().online.variables().count() as u64;
        // Online, target and the two moments of RMSProp, twice.
        assert!(two.states >= 2 * 4 * 4 * parameters, "{two:?} of {parameters} parameters");
    }

    #[test]
    fn a_replay_larger_than_memory_fails_and_says_what_to_do() {
        assert_eq!(replay(8, Some(8)).verdict, Verdict::Ok);
        let finding = replay(9, Some(8));
        assert!(finding.has_failed() && finding.text.contains("agent.replay_capacity"));
    }
}
