//! Measuring what probes cost, in updates.

use std::time::Instant;

use pliant_core::{metrics::Metrics, probe::Subject, seeds::Seeds};
use serde::Serialize;

use super::{learner::Student, median};
use crate::{
    device,
    experiment::Experiment,
    failure::{Failure, Outcome},
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Rounds, of which the median counts.
    pub rounds: usize,
    /// Updates per round, beside the probe.
    pub updates: usize,
}

/// What was measured. Times are medians over rounds.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeCost {
    /// The kinds of probe, in order; all of them together are measured.
    pub probes: Vec<String>,
    /// The kind of network.
    pub network: String,
    /// Its parameters.
    pub parameters: usize,
    /// Where it computes.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
    /// Number format.
    pub precision: &'static str,
    /// Seconds of one measurement.
    pub probe_s: f64,
    /// The same of each round.
    pub probe_s_by_round: Vec<f64>,
    /// Training updates per second, in rounds that alternate.
    pub updates_per_s: f64,
    /// A measurement's time over that of one training update.
    pub updates_per_probe: f64,
}

/// Measures with the experiment's probes in rounds that alternate with updates.
pub fn probe(experiment: Experiment, load: Load) -> Outcome<ProbeCost> {
    let config = experiment.config.clone();
    let (device, threads) = (device::name(experiment.device), experiment.threads);
    let parameters = experiment.agent.learner().online.variables().count();
    let mut student = Student::new(experiment)?;
    let (mut probing, mut learning) = (Vec::new(), Vec::new());
    for _ in 0..load.rounds {
        learning.push(student.learn(load.updates)? / load.updates as f64);
        probing.push(measure(&mut student)?);
    }
    let (probe_s, update_s) = (median(&probing), median(&learning));
    Ok(ProbeCost {
        probes: config.probes.into_iter().map(|kind| kind.kind).collect(),
        network: config.network.kind,
        parameters,
        device,
        threads,
        precision: config.run.precision.name(),
        probe_s,
        probe_s_by_round: probing,
        updates_per_s: 1.0 / update_s,
        updates_per_probe: probe_s / update_s,
    })
}

/// The seconds of one measurement.
fn measure(student: &mut Student) -> Outcome<f64> {
    let clock = student.clock;
    let experiment = &mut student.experiment;
    experiment.probes.begin_anew(&Seeds::new(0));
    let agent = experiment.agent.as_ref();
    let subject = Subject {
        learner: agent.learner(),
        data: agent.data(),
        states: experiment.states.as_deref(),
        clock: &clock,
        watch: &(),
    };
    let mut metrics = Metrics::default();
    let started = Instant::now();
    experiment.probes.measure_due(&clock, &subject, &mut metrics)?;
    let seconds = started.elapsed().as_secs_f64();
    match experiment.probes.waiting().next() {
        None => Ok(seconds),
        Some(label) => Err(Failure::Input(format!(
            "{label} waits for more transitions than the {} there are: raise agent.learning_starts",
            agent.data().len()
        ))),
    }
}
