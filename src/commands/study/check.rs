//! What is looked at before any run of a study is made.

use std::{collections::BTreeMap, path::Path};

use pliant_core::registry::Plugins;

use super::Asked;
use crate::{
    commands::{needs::Checkpoints, warnings},
    config::Config,
    disk,
    experiment::{Experiment, amount},
    failure::{Failure, Outcome},
    study::{Plan, PlannedRun, RunState, StudyFolder},
};

/// What the runs of a study take that are not finished.
#[derive(Clone, Copy, Default)]
pub struct Needs {
    runs: u64,
    frames: u64,
    /// Of the largest replay, when it is full.
    memory: u64,
    /// Of all checkpoints.
    disk: u64,
}

/// Builds one run of every combination of conditions, and says what their budgets are too small for.
pub fn build(
    folder: &StudyFolder,
    plan: &Plan,
    build: impl Fn(Config) -> Outcome<Experiment>,
) -> Outcome<Needs> {
    let mut warnings = Warnings::default();
    let mut needs = Needs::default();
    for run in of_first_seed(plan) {
        let named = |failure: Failure| Failure::Input(format!("run {}: {failure}", run.name()));
        let experiment = build(run.config.clone()).map_err(named)?;
        warnings.add(run, &experiment);
        let of_these = plan.runs.iter().filter(|it| it.conditions == run.conditions);
        let is_left = |it: &&PlannedRun| folder.state(&it.name()).0 != RunState::Finished;
        let seeds = of_these.filter(is_left).count() as u64;
        needs.runs += seeds;
        needs.frames += seeds * run.config.run.budget_frames;
        needs.memory = needs.memory.max(experiment.replay_in_main_memory());
        needs.disk += seeds * Checkpoints::of(&experiment).usual();
    }
    warnings.tell();
    tell_of_twins(plan);
    Ok(needs)
}

/// Says which combinations are one and the same: of an axis that `--set` lies over, of a condition that sets nothing.
fn tell_of_twins(plan: &Plan) {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in of_first_seed(plan) {
        let mut config = run.config.clone();
        config.run.name.clear();
        named.entry(config.to_toml()).or_default().push(run.conditions.join("/"));
    }
    for twins in named.into_values().filter(|twins| twins.len() > 1) {
        tell!("warning: {} have the same settings", twins.join(" and "));
    }
}

/// What budgets are too small for, with the combinations that it is said of.
#[derive(Default)]
struct Warnings(BTreeMap<String, Vec<String>>);

impl Warnings {
    /// Takes down what is to be said of a run.
    fn add(&mut self, run: &PlannedRun, experiment: &Experiment) {
        for what in warnings::idleness(experiment) {
            self.0.entry(what).or_default().push(run.conditions.join("/"));
        }
    }

    /// Says all of it.
    fn tell(&self) {
        for (what, combinations) in &self.0 {
            tell!("warning: {what}; so it is with {}", combinations.join(", "));
        }
    }
}

/// One run of every combination of conditions.
fn of_first_seed(plan: &Plan) -> impl Iterator<Item = &PlannedRun> {
    let first = plan.runs.first().map(|run| run.seed);
    plan.runs.iter().filter(move |run| Some(run.seed) == first)
}

/// What `--dry-run` says. An error if the study was begun and is another now. `at_once`: so many run on this machine.
pub fn describe(
    asked: &Asked,
    plan: &Plan,
    needs: Needs,
    at_once: Option<usize>,
    plugins: &Plugins,
) -> Outcome {
    asked.folder.check(&asked.extent, plan, plugins)?;
    say!("everything was checked and built; nothing was run");
    for run in &plan.runs {
        let state = match asked.folder.state(&run.name()).0 {
            RunState::Waiting => "",
            RunState::Running => ", running",
            RunState::Interrupted => ", interrupted",
            RunState::Finished => ", finished",
            RunState::Failed(_) => ", failed",
        };
        say!("{}  {} frames{state}", run.name(), run.config.run.budget_frames);
    }
    let memory = at_once.map_or_else(
        || format!("{} of memory for each replay", amount(needs.memory)),
        |count| {
            let memory = amount(needs.memory * count as u64);
            format!("{memory} of memory for replays, {count} at a time")
        },
    );
    let disk = amount(needs.disk);
    let there = asked.folder.path().ancestors().find(|path| path.exists());
    let there = there.unwrap_or_else(|| Path::new("."));
    let free = disk::free(there).map(|free| format!(", {} are free there", amount(free)));
    say!(
        "not finished: {} runs, {} frames; {memory}; about {disk} of disk for checkpoints{}",
        needs.runs,
        needs.frames,
        free.unwrap_or_default()
    );
    Ok(())
}
