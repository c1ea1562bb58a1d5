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
    tch::{Kind, no_grad},
};
use serde::{Deserialize, Serialize};

/// Larger batches are taken for a mistake.
const MAX_BATCH: u32 = 1 << 16;

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
        if !(1..=MAX_BATCH).contains(&batch_size) {
            return Err(format!("`batch_size` is {batch_size}, expected 1 to {MAX_BATCH}"));
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
            let activity = layer.mean_activity(activation).to_kind(Kind::Double);
            let activity = Vec::try_from(&activity).expect("one number per unit");
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

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use pliant_agents::networks::{Mlp, MlpConfig};
    use pliant_core::{
        metrics::Value,
        network::{Model, NetworkPlan, NetworkSpec},
        optimizer::{Adam, AdamConfig},
        probe::Transitions,
        seeds::Seeds,
        tch::{Device, Tensor},
    };

    use super::*;

    #[test]
    fn scores_are_shares_of_the_layers_mean() {
        // Mean 2: 4/2, 0/2, 3/2, 1/2.
        assert_eq!(dormant_scores(&[4.0, 0.0, 3.0, 1.0]), [2.0, 0.0, 1.5, 0.5]);
        assert_eq!(dormant_scores(&[0.0, 0.0]), [0.0, 0.0], "a silent layer is all dormant");
    }

    #[test]
    fn a_unit_at_the_threshold_is_dormant_and_only_silence_is_death() {
        let activity = [4.0, 0.0, 3.0, 1.0];
        let count = |tau| Count::of(&activity, &dormant_scores(&activity), tau);
        assert_eq!(count(0.0), Count { units: 4, dormant: 1, dead: 1 });
        assert_eq!(count(0.4), Count { units: 4, dormant: 1, dead: 1 });
        assert_eq!(count(0.5), Count { units: 4, dormant: 2, dead: 1 });
        let silent = Count::of(&[0.0; 3], &[0.0; 3], 0.0);
        assert_eq!(silent, Count { units: 3, dormant: 3, dead: 3 });
    }

    /// Two observations of one pixel: black and white.
    struct BlackAndWhite;

    impl ProbeData for BlackAndWhite {
        fn transitions(&self, _batch: usize, _stream: &mut Stream) -> Option<Transitions> {
            let observations = Tensor::from_slice(&[0u8, 255]).reshape([2, 1, 1, 1]);
            let numbers = Tensor::from_slice(&[0f32, 0.0]);
            Some(Transitions {
                s_tm1: observations.shallow_clone(),
                a_tm1: Tensor::from_slice(&[0i64, 0]),
                r_t: numbers.shallow_clone(),
                discount_t: numbers,
                s_t: observations,
            })
        }
    }

    #[test]
    fn a_network_by_hand() {
        let mlp = Mlp::build(MlpConfig { width: 4, depth: 2, ..MlpConfig::default() });
        let plan = NetworkPlan::default();
        let spec = NetworkSpec { observation: [1, 1, 1], actions: 2, plan };
        let mut stream = Seeds::new(0).stream("network");
        let architecture = Rc::clone(&mlp.expect("valid settings"));
        let model = Model::new(architecture, spec, &mut stream, Device::Cpu).expect("fits");
        let set = |name: &str, values: Tensor| {
            let variable = model.variables().get(name).expect("an existing variable");
            no_grad(|| variable.shallow_clone().copy_(&values.reshape(variable.size())));
        };
        let first_row = |values: [f32; 4]| Tensor::from_slice(&values);
        // On black 0, 0, 0, .25; on white 1.5, -1, .05, .25: means .75, 0, .025, .25; their mean .25625.
        set("dense1/weight", first_row([1.5, -1.0, 0.05, 0.0]));
        set("dense1/bias", first_row([0.0, 0.0, 0.0, 0.25]));
        // All units of the second layer are silent.
        set("dense2/weight", Tensor::zeros([16], (Kind::Float, Device::Cpu)));
        set("dense2/bias", first_row([-1.0; 4]));
        let adam = Adam::build(AdamConfig::default()).expect("valid settings");
        let learner = Learner::new(model, adam);
        let config = DormantUnitsConfig { tau: 0.1, ..DormantUnitsConfig::default() };
        let mut probe = DormantUnits::build(config).expect("valid settings");
        let mut metrics = Metrics::default();
        probe.measure(&learner, &BlackAndWhite, &mut stream, &mut metrics).expect("measures");
        let expected = [
            ("dormant_units/fraction/dense1", 0.5),
            ("dormant_units/dead_fraction/dense1", 0.25),
            ("dormant_units/fraction/dense2", 1.0),
            ("dormant_units/dead_fraction/dense2", 1.0),
            ("dormant_units/fraction", 0.75),
            ("dormant_units/dead_fraction", 0.625),
        ];
        for (tag, value) in expected {
            assert_eq!(metrics.get_scalar(tag), Some(value), "{tag}");
        }
        let scores = metrics.iter().find(|(tag, _)| *tag == "dormant_units/score/dense1");
        let Some((_, Value::Histogram(scores))) = scores else { panic!("no histogram") };
        for (score, expected) in scores.iter().zip([0.75, 0.0, 0.025, 0.25]) {
            assert!((score - expected / 0.25625).abs() < 1e-6, "{scores:?}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |config: DormantUnitsConfig, name: &str| {
            let message = DormantUnits::build(config).err().expect("refused");
            assert!(message.contains(name), "{message}");
        };
        let default = DormantUnitsConfig::default;
        refused(DormantUnitsConfig { tau: -0.1, ..default() }, "`tau`");
        refused(DormantUnitsConfig { tau: f64::NAN, ..default() }, "`tau`");
        refused(DormantUnitsConfig { batch_size: 0, ..default() }, "`batch_size`");
        let both =
            DormantUnitsConfig { every_updates: Some(1), every_frames: Some(1), ..default() };
        refused(both, "`every_frames`");
    }
}
