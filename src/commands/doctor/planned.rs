//! What a configuration needs of this machine.

use std::path::Path;

use pliant_core::registry::Plugins;

use super::finding::Finding;
use crate::{
    commands::{needs::Checkpoints, warnings},
    config::Config,
    device, disk,
    experiment::{self, Experiment, amount, available_memory},
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
    all.push(replay(experiment.replay_in_main_memory(), available_memory()));
    let disk =
        disk::free(Path::new(".")).map(|free| checkpoints(Checkpoints::of(&experiment), free));
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
    let needs = format!("{} of memory when full", amount(needed));
    match available {
        Some(free) if needed > free => {
            let free = amount(free);
            let what = "lower agent.replay_capacity, or end what else takes memory";
            Finding::failed("replay", format!("{needs}, {free} are free: {what}"))
        }
        Some(free) => Finding::ok("replay", format!("{needs}, {} are free", amount(free))),
        None => Finding::note("replay", format!("{needs}; how much is free is unknown")),
    }
}

fn checkpoints(need: Checkpoints, free: u64) -> Finding {
    let (usual, most) = (need.usual(), need.most());
    let text = format!(
        "about {} of disk for checkpoints and at most {}, {} are free",
        amount(usual),
        amount(most),
        amount(free)
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
    match warnings::idle_threads(&experiment.config.run) {
        Some(text) => Finding::note("run.threads", text),
        None => {
            let (threads, cores) = (experiment.threads, device::cores());
            Finding::ok("run.threads", format!("{threads} compute, {cores} core(s) are there"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Verdict;

    #[test]
    fn a_disk_too_small_for_the_checkpoints_fails_and_says_what_to_do() {
        let need = Checkpoints { states: 30, replay: 800 };
        let verdict = |free| checkpoints(need, free).verdict;
        // 30 + 2 * 800 / 8 = 230, and 30 + 2 * 800 = 1630.
        assert_eq!(
            [229, 230, 1629, 1630].map(verdict),
            [Verdict::Failed, Verdict::Note, Verdict::Note, Verdict::Ok]
        );
        assert!(checkpoints(need, 0).text.contains("checkpoint.keep"));
    }

    #[test]
    fn a_replay_larger_than_memory_fails_and_says_what_to_do() {
        assert_eq!(replay(8, Some(8)).verdict, Verdict::Ok);
        let finding = replay(9, Some(8));
        assert!(finding.has_failed() && finding.text.contains("agent.replay_capacity"));
    }
}
