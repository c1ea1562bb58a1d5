//! Dormant and dead units.

use pliant_core::{
    clock::Every,
    error::Result,
    learner::Learner,
    metrics::Metrics,
    network::Taps,
    probe::{Probe, ProbeData},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

/// Share of units whose activity is at most `tau` times their layer's mean (Sokar et al., 2023), and of
/// units that are zero on the whole batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DormantUnitsConfig {
    /// A unit is dormant if its score is at most this.
    pub tau: f64,
    /// Observations to measure on.
    pub batch_size: u32,
    /// Updates between measurements; 5000 if no period is given.
    pub every_updates: Option<u64>,
    /// Frames between measurements, instead of `every_updates`.
    pub every_frames: Option<u64>,
}

impl Default for DormantUnitsConfig {
    fn default() -> Self {
        Self { tau: 0.025, batch_size: 512, every_updates: None, every_frames: None }
    }
}

/// Measures dormant and dead units of the online network.
#[derive(Debug)]
pub struct DormantUnits {
    config: DormantUnitsConfig,
    every: Every,
}

impl DormantUnits {
    /// Checks the settings.
    pub fn build(config: DormantUnitsConfig) -> Result<Box<dyn Probe>, String> {
        let DormantUnitsConfig { tau, batch_size, every_updates, every_frames } = config;
        if !(tau >= 0.0 && tau.is_finite()) {
            return Err(format!("`tau` is {tau}, expected a number of at least 0"));
        }
        if batch_size == 0 {
            return Err("`batch_size` is 0, expected at least 1".to_owned());
        }
        let every = Every::choose(every_updates, every_frames, Every::Updates(5000))?;
        Ok(Box::new(Self { config, every }))
    }
}

impl Probe for DormantUnits {
    fn every(&self) -> Every {
        self.every
    }

    fn measure(
        &mut self,
        learner: &Learner,
        data: &dyn ProbeData,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let batch_size = self.config.batch_size as usize;
        let Some(batch) = data.transitions(batch_size, stream) else { return Ok(()) };
        let mut taps = Taps::default();
        let _ = no_grad(|| learner.online.forward(&batch.s_tm1, Some(&mut taps)));
        let mut network = Count::default();
        for (layer, activation) in learner.online.hidden().iter().zip(taps.activations()) {
            let activity = mean_activity(activation);
            let scores = dormant_scores(&activity);
            let count = Count::of(&activity, &scores, self.config.tau);
            count.report(&format!("/{}", layer.name), metrics);
            network.add(&count);
            metrics.histogram(format!("dormant_units/score/{}", layer.name), scores);
        }
        network.report("", metrics);
        Ok(())
    }
}

impl Checkpoint for DormantUnits {
    fn save(&self, _state: &mut StateDict) {}

    fn load(&mut self, _state: &StateDict) -> Result<()> {
        Ok(())
    }
}

/// `E|h_i|` of each unit of f32 `[batch, units, ..]`: the mean over all dimensions but the second.
fn mean_activity(activation: &Tensor) -> Vec<f64> {
    let others: Vec<i64> = (0..activation.dim() as i64).filter(|dim| *dim != 1).collect();
    let mean = no_grad(|| activation.abs().mean_dim(others, false, Kind::Double));
    Vec::try_from(&mean).expect("a flat f64 tensor")
}

/// `s_i = E|h_i| / mean_k E|h_k|` (Sokar et al., 2023, equation 1); all 0 in a layer without any
/// activity.
fn dormant_scores(activity: &[f64]) -> Vec<f64> {
    let mean = activity.iter().sum::<f64>() / activity.len() as f64;
    activity.iter().map(|unit| if mean == 0.0 { 0.0 } else { unit / mean }).collect()
}

/// Units of a layer or of the whole network.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    units: usize,
    dormant: usize,
    dead: usize,
}

impl Count {
    fn of(activity: &[f64], scores: &[f64], tau: f64) -> Self {
        Self {
            units: activity.len(),
            dormant: scores.iter().filter(|score| **score <= tau).count(),
            dead: activity.iter().filter(|activity| **activity == 0.0).count(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.dormant += other.dormant;
        self.dead += other.dead;
    }

    /// Nothing for a network without hidden units.
    fn report(&self, suffix: &str, metrics: &mut Metrics) {
        if self.units > 0 {
            let share = |count: usize| count as f64 / self.units as f64;
            metrics.scalar(format!("dormant_units/fraction{suffix}"), share(self.dormant));
            metrics.scalar(format!("dormant_units/dead_fraction{suffix}"), share(self.dead));
        }
    }
}
