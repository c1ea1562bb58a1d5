//! Measuring the speed of learning, beside the same without interventions.

use std::{sync::Arc, time::Instant};

use pliant_core::{clock::Clock, metrics::Metrics};
use pliant_envs::{env::Role, vector::VectorEnv};
use serde::Serialize;

use super::median;
use crate::{device, experiment::Experiment, failure::Outcome};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Rounds, of which the median counts.
    pub rounds: usize,
    /// Updates per round.
    pub updates: usize,
}

/// What was measured. Speeds and ratios are medians over rounds.
#[derive(Clone, Debug, Serialize)]
pub struct LearnerSpeed {
    /// The kind of network.
    pub network: String,
    /// Its parameters.
    pub parameters: usize,
    /// The kinds of intervention, in order.
    pub interventions: Vec<String>,
    /// Where it computes.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
    /// Number format.
    pub precision: &'static str,
    /// Whether updates came from recorded CUDA graphs in the end.
    pub is_recorded: bool,
    /// Updates per round.
    pub updates_per_round: usize,
    /// Optimiser steps per second, with everything that belongs to an update.
    pub updates_per_s: f64,
    /// The same of each round.
    pub updates_per_s_by_round: Vec<f64>,
    /// Optimiser steps per second without the interventions, in the same rounds.
    pub plain_updates_per_s: Option<f64>,
    /// An update's time over that of one without the interventions: median, least and most.
    pub time_ratio: Option<[f64; 3]>,
}

/// Makes updates in rounds, in each of which `plain` has its turn too if it is given.
pub fn learner(
    experiment: Experiment,
    plain: Option<Experiment>,
    load: Load,
) -> Outcome<LearnerSpeed> {
    let config = experiment.config.clone();
    let (device, threads) = (device::name(experiment.device), experiment.threads);
    let parameters = experiment.agent.learner().online.variables().count();
    let mut student = Student::new(experiment)?;
    let mut plain = plain.map(Student::new).transpose()?;
    let mut rounds = Vec::new();
    for index in 0..load.rounds {
        rounds.push(match &mut plain {
            None => (student.learn(load.updates)?, None),
            Some(plain) => {
                let ours = || student.learn(load.updates);
                let (ours, other) = in_turn(index, ours, || plain.learn(load.updates))?;
                (ours, Some(other))
            }
        });
    }
    let count = load.updates as f64;
    let speeds: Vec<f64> = rounds.iter().map(|(ours, _)| count / ours).collect();
    let others: Vec<f64> = rounds.iter().filter_map(|(_, other)| Some(count / (*other)?)).collect();
    let ratios: Vec<f64> =
        rounds.iter().filter_map(|(ours, other)| Some(ours / (*other)?)).collect();
    let spread = |ratios: &[f64]| {
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        [median(ratios), least, ratios.iter().copied().fold(0.0, f64::max)]
    };
    Ok(LearnerSpeed {
        network: config.network.kind,
        parameters,
        interventions: config.interventions.into_iter().map(|kind| kind.kind).collect(),
        device,
        threads,
        precision: config.run.precision.name(),
        is_recorded: student.experiment.agent.learner().has_recorded(),
        updates_per_round: load.updates,
        updates_per_s: median(&speeds),
        updates_per_s_by_round: speeds,
        plain_updates_per_s: (!others.is_empty()).then(|| median(&others)),
        time_ratio: (!ratios.is_empty()).then(|| spread(&ratios)),
    })
}

/// What both sides answer in a round. They take turns at going first, since who goes second finds caches,
/// clock speed and memory as the other left them.
fn in_turn<T>(
    round: usize,
    ours: impl FnOnce() -> Outcome<T>,
    other: impl FnOnce() -> Outcome<T>,
) -> Outcome<(T, T)> {
    if round.is_multiple_of(2) {
        return Ok((ours()?, other()?));
    }
    let other = other()?;
    Ok((ours()?, other))
}

/// Updates before anything is measured, after the first: caches and the optimiser's state are made.
const WARM_UP: usize = 5;

impl Load {
    /// The last update that is measured; the first is made while the replay fills.
    pub fn last_update(self) -> u64 {
        (1 + WARM_UP + self.rounds * self.updates) as u64
    }
}

/// An agent with something in its replay.
pub(super) struct Student {
    pub experiment: Experiment,
    pub clock: Clock,
    metrics: Metrics,
}

impl Student {
    /// Lets the agent act until it would learn.
    pub fn new(experiment: Experiment) -> Outcome<Self> {
        let (factory, num_envs) = (Arc::clone(&experiment.factory), experiment.config.run.num_envs);
        let mut envs = VectorEnv::new(factory, Role::Training, num_envs, 1)?;
        let mut student = Self { experiment, clock: Clock::default(), metrics: Metrics::default() };
        let seeds: Vec<u64> = (0..num_envs as u64).collect();
        student.experiment.agent.begin(envs.reset(&seeds)?);
        while student.clock.updates == 0 {
            let actions = student.experiment.agent.act(&student.clock);
            envs.send(&actions)?;
            let batch = envs.recv()?;
            student.experiment.agent.observe(&actions, batch);
            student.clock.agent_steps += batch.steps.len() as u64;
            student.learn_what_is_due()?;
        }
        student.learn(WARM_UP)?;
        Ok(student)
    }

    fn learn_what_is_due(&mut self) -> Outcome {
        let Self { experiment, clock, metrics } = self;
        let Experiment { agent, interventions, .. } = experiment;
        agent.learn(clock, interventions, metrics)?;
        *metrics = Metrics::default();
        Ok(())
    }

    /// Makes so many updates; the seconds they took. The loss of each is read, so none is still under
    /// way on a GPU.
    pub fn learn(&mut self, updates: usize) -> Outcome<f64> {
        let started = Instant::now();
        let goal = self.clock.updates + updates as u64;
        while self.clock.updates < goal {
            self.clock.agent_steps += 1;
            self.learn_what_is_due()?;
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_two_sides_take_turns_at_going_first() {
        let order = RefCell::new(Vec::new());
        let goes = |side: &'static str| {
            order.borrow_mut().push(side);
            Ok(side)
        };
        for round in 0..3 {
            let answers = in_turn(round, || goes("ours"), || goes("plain")).expect("no failure");
            assert_eq!(answers, ("ours", "plain"), "each answer on its own side");
        }
        assert_eq!(*order.borrow(), ["ours", "plain", "plain", "ours", "ours", "plain"]);
    }
}
