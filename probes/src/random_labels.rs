//! Fitting random labels.

use pliant_core::{
    clock::Every,
    error::Result,
    metrics::{Metrics, Value},
    probe::{Probe, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::Tensor,
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::check_steps_batch,
    fit::{Fit, Goal, OptimizerState, Protocol, fit_all, mean_and_std},
    plasticity::{learning_curves, over_targets},
    reference::Reference,
};

/// How well a copy of the network still memorises: every observation of a set from the replay gets a random
/// action as its label, and a copy is trained by the cross-entropy of Q-values as logits, with the protocol of
/// `plasticity`. `random_labels/initial_loss`, `/final_loss`, `/accuracy` (on the set, after the last step)
/// are means over `targets` labellings, with `_std` and `/target_N` as there; `/change` is the accuracy minus
/// that of the first measurement, made after `/reference_updates` updates. The figure is
/// `random_labels/curves`. The same observation may be there twice (a task with few images) under
/// different labels: no network names both rightly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomLabelsConfig {
    /// Labellings.
    pub targets: u32,
    /// Optimiser steps on each.
    pub steps: u32,
    /// Observations per step, at most `observations`.
    pub batch_size: u32,
    /// Observations that are labelled.
    pub observations: u32,
    /// The optimiser's moments at the beginning.
    pub optimizer_state: OptimizerState,
}

impl Default for RandomLabelsConfig {
    fn default() -> Self {
        Self {
            targets: 5,
            steps: 2000,
            batch_size: 128,
            observations: 2048,
            optimizer_state: OptimizerState::Fresh,
        }
    }
}

impl HasSchedule for RandomLabelsConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Trains copies on random labels.
#[derive(Debug)]
pub struct RandomLabels {
    config: Scheduled<RandomLabelsConfig>,
    /// The mean accuracy of the first measurement.
    first: Reference,
}

impl RandomLabels {
    /// Checks the settings.
    pub fn build(config: Scheduled<RandomLabelsConfig>) -> Result<Box<dyn Probe>, String> {
        let RandomLabelsConfig { targets, steps, batch_size, observations, .. } = config.config;
        let counts = [
            ("targets", targets, 1000),
            ("steps", steps, 1_000_000),
            ("observations", observations, 1 << 20),
        ];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(format!("`{key}` is {value}, expected 1 to {most}"));
            }
        }
        check_steps_batch(batch_size, observations)?;
        Ok(Box::new(Self { config, first: Reference::default() }))
    }
}

impl Probe for RandomLabels {
    fn every(&self) -> Every {
        self.config.schedule.every()
    }

    fn needs(&self) -> u64 {
        self.config.config.observations.into()
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let config = &self.config.config;
        let batch = subject.draw(config.observations, stream);
        let online = &subject.learner.online;
        let actions = online.spec().actions as usize;
        let mut goal = || {
            let labels = stream.indices(config.observations as usize, actions);
            let labels: Vec<i64> = labels.into_iter().map(|label| label as i64).collect();
            let labels = Tensor::from_slice(&labels).to_device(online.device());
            (Goal::Labels(labels), stream.split())
        };
        let goals = (0..config.targets).map(|_| goal()).collect();
        let protocol = Protocol {
            steps: config.steps,
            batch_size: config.batch_size,
            state: config.optimizer_state,
        };
        let watch = ("random labels", subject.watch);
        let fits = fit_all(subject.learner, &batch.s_tm1, goals, protocol, watch)?;
        self.report(&fits, actions, subject.clock.updates, metrics);
        Ok(())
    }
}

impl RandomLabels {
    fn report(&mut self, fits: &[Fit], actions: usize, updates: u64, metrics: &mut Metrics) {
        let of = |value: fn(&Fit) -> f64| -> Vec<f64> { fits.iter().map(value).collect() };
        let accuracy = of(|fit| fit.accuracy);
        over_targets("random_labels/initial_loss", &of(|fit| fit.initial), metrics);
        over_targets("random_labels/final_loss", &of(|fit| fit.last), metrics);
        over_targets("random_labels/accuracy", &accuracy, metrics);
        self.first.report("random_labels", mean_and_std(&accuracy).0, updates, metrics);
        // A guess among all actions.
        let curves = learning_curves(fits, "cross-entropy", (actions as f64).ln());
        metrics.add("random_labels/curves", Value::Curves(curves));
    }
}

impl Checkpoint for RandomLabels {
    fn save(&self, state: &mut StateDict) {
        state.put("first", &self.first);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.first = state.get("first")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_is_of_the_accuracy_and_to_the_first_measurement_even_after_a_resume() {
        let fit = |accuracy| Fit { initial: 3.0, last: 2.0, accuracy, curve: vec![(1.0, 2.0)] };
        let new = || RandomLabels {
            config: RandomLabelsConfig::default().into(),
            first: Reference::default(),
        };
        let (mut probe, mut metrics) = (new(), Metrics::default());
        probe.report(&[fit(0.5), fit(0.75)], 4, 7, &mut metrics);
        let mut state = StateDict::default();
        probe.save(&mut state);
        let (mut resumed, mut later) = (new(), Metrics::default());
        resumed.load(&state).expect("saved above");
        resumed.report(&[fit(0.25)], 4, 9, &mut later);
        let number = |metrics: &Metrics, name: &str| {
            metrics.get_scalar(&format!("random_labels/{name}")).expect("reported")
        };
        assert_eq!(number(&metrics, "accuracy"), 0.625);
        assert_eq!(number(&metrics, "change"), 0.0);
        assert_eq!(number(&later, "change"), -0.375);
        assert_eq!(number(&later, "reference_updates"), 7.0);
    }
}
