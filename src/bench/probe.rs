//! Measuring what probes cost, in updates.

use std::{sync::atomic::AtomicBool, time::Instant};

use pliant_core::{
    metrics::Metrics,
    probe::{Probes, Subject},
    seeds::Seeds,
};
use serde::Serialize;

use super::{learner::Student, median};
use crate::{
    device,
    experiment::Experiment,
    failure::{Failure, Outcome},
    onlooker::Onlooker,
    sinks::Progress,
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Rounds, of which the median counts.
    pub rounds: usize,
    /// Updates per round, beside the probes.
    pub updates: usize,
}

/// What was measured. Times are medians over rounds.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeCosts {
    /// Each probe, in order.
    pub probes: Vec<ProbeCost>,
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
    /// Training updates per second, in rounds that alternate.
    pub updates_per_s: f64,
    /// The same of each round.
    pub updates_per_s_by_round: Vec<f64>,
}

/// What one probe costs.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeCost {
    /// What its tags begin with: its kind, with a number if it is not the first of its kind.
    pub probe: String,
    /// Seconds of one measurement.
    pub measurement_s: f64,
    /// The same of each round.
    pub measurement_s_by_round: Vec<f64>,
    /// A measurement's time over that of one training update.
    pub updates_per_measurement: f64,
}

/// Measures with each of the experiment's probes, in rounds that alternate with updates.
pub fn probe(mut experiment: Experiment, load: Load, progress: &Progress) -> Outcome<ProbeCosts> {
    let config = experiment.config.clone();
    let (device, threads) = (device::name(experiment.device), experiment.threads);
    let parameters = experiment.agent.learner().online.variables().count();
    let apart = std::mem::take(&mut experiment.probes).apart();
    let mut probing: Vec<(String, Probes, Vec<f64>)> =
        apart.map(|(name, probes)| (name, probes, Vec::new())).collect();
    let mut student = Student::new(experiment)?;
    let mut update_s = Vec::new();
    for round in 0..load.rounds {
        progress.advance(round as u64);
        update_s.push(student.learn(load.updates)? / load.updates as f64);
        for (_, probes, seconds) in &mut probing {
            seconds.push(measure(&student, probes, progress)?);
        }
    }
    progress.close();
    let update_median_s = median(&update_s);
    let cost = |(probe, _, seconds): (String, Probes, Vec<f64>)| ProbeCost {
        probe,
        measurement_s: median(&seconds),
        updates_per_measurement: median(&seconds) / update_median_s,
        measurement_s_by_round: seconds,
    };
    Ok(ProbeCosts {
        probes: probing.into_iter().map(cost).collect(),
        network: config.network.kind,
        parameters,
        device,
        threads,
        precision: config.run.precision.name(),
        updates_per_s: 1.0 / update_median_s,
        updates_per_s_by_round: update_s.into_iter().map(|seconds| 1.0 / seconds).collect(),
    })
}

/// The seconds of one measurement.
fn measure(student: &Student, probes: &mut Probes, progress: &Progress) -> Outcome<f64> {
    let (clock, experiment) = (student.clock, &student.experiment);
    probes.begin_anew(&Seeds::new(0));
    let agent = experiment.agent.as_ref();
    let subject = Subject {
        learner: agent.learner(),
        data: agent.data(),
        states: experiment.states.as_deref(),
        clock: &clock,
        watch: &Onlooker { progress, stop: &AtomicBool::new(false) },
    };
    let mut metrics = Metrics::default();
    let started = Instant::now();
    probes.measure_due(&clock, &subject, &mut metrics)?;
    let seconds = started.elapsed().as_secs_f64();
    match probes.waiting().next() {
        None => Ok(seconds),
        Some(label) => Err(Failure::Input(format!(
            "{label} waits for more transitions than the {} there are: raise agent.learning_starts",
            agent.data().len()
        ))),
    }
}
