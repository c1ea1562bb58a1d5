//! Recycling dormant units.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::HiddenLayer,
    ranges::not_negative,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    schedule::{Event, OnSchedule},
    units::{check_units, recyclable, redraw_incoming, silence_outgoing},
};

/// ReDo (Sokar et al., 2023, algorithm 1): units whose share of their layer's activity on the update's
/// batch is at most `tau` (equation 1) are recycled in the online network: incoming parameters are drawn
/// as when the network was made, outgoing weights become 0, and the optimiser forgets moments and step
/// counters of both. The target network stays as it is. Units that a skip connection carries on are left
/// alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedoConfig {
    /// A unit is dormant if its activity is at most this times its layer's mean.
    pub tau: f64,
}

impl Default for RedoConfig {
    fn default() -> Self {
        Self { tau: 0.025 }
    }
}

impl HasSchedule for RedoConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(1000)
    }
}

/// Recycles dormant units.
#[derive(Debug)]
pub struct Redo(RedoConfig);

impl Redo {
    /// Checks the settings.
    pub fn build(config: Scheduled<RedoConfig>) -> Result<Box<dyn Intervention>, String> {
        not_negative("tau", config.config.tau)?;
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

/// Indices, i64 `[k]`, of the units whose activity f32 `[units]` is at most `tau` times its mean.
fn dormant(activity: &Tensor, tau: f64) -> Tensor {
    activity.le_tensor(&(activity.mean(Kind::Float) * tau)).nonzero().squeeze_dim(1)
}

impl Event for Redo {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_units(learner)
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let choose = |(layer, activation): (HiddenLayer, &Tensor)| {
            let units = dormant(&layer.mean_activity(activation), self.0.tau);
            (layer, units)
        };
        let layers: Vec<(HiddenLayer, Tensor)> =
            recyclable(learner, hook.batch.taps).into_iter().map(choose).collect();
        let (mut recycled, mut units) = (0, 0);
        for (layer, indices) in &layers {
            redraw_incoming(learner, layer, indices, hook.stream);
            recycled += indices.size()[0];
            units += layer.units;
        }
        for (layer, indices) in &layers {
            silence_outgoing(learner, layer, indices);
        }
        if units > 0 {
            hook.metrics.scalar("redo/recycled_fraction", recycled as f64 / units as f64);
        }
        Ok(())
    }
}

pliant_core::stateless!(Redo);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setting, numbers};

    #[test]
    fn a_unit_at_the_threshold_is_dormant() {
        let activity = Tensor::from_slice(&[4.0f32, 0.0, 3.0, 1.0]);
        let indices = |tau| Vec::<i64>::try_from(&dormant(&activity, tau)).expect("i64");
        assert_eq!(indices(0.0), [1]);
        assert_eq!(indices(0.5), [1, 3]);
    }

    /// Unit 1 of `dense1` and unit 0 of `dense2` never fire.
    #[test]
    fn masks_weights_and_moments_of_a_case_by_hand() {
        let mut setting = Setting::with(Redo::build(RedoConfig { tau: 0.0 }.into()), 2);
        setting.set("dense1/weight", &[1.0, 1.0]);
        setting.set("dense1/bias", &[1.0, -9.0]);
        setting.set("dense2/weight", &[1.0, 1.0, 1.0, 1.0]);
        setting.set("dense2/bias", &[-99.0, 1.0]);
        setting.set("output/weight", &[1.0, 1.0]);
        setting.update(999);
        let dead = |setting: &Setting, name: &str, index: usize| setting.numbers(name)[index];
        assert_eq!(dead(&setting, "dense1/bias", 1), -9.0, "nothing is due yet, and no gradient");
        let before = setting.numbers("dense2/weight");
        setting.update(1);
        assert_eq!(setting.learner.updates, 1000);
        // Drawn within 1 / sqrt(fan_in): 1 for dense1, 0.7 for dense2.
        assert!(dead(&setting, "dense1/bias", 1).abs() <= 1.0);
        assert!(dead(&setting, "dense2/bias", 0).abs() <= 0.71);
        let weight = setting.numbers("dense2/weight");
        assert!(weight[0] != before[0] && weight[0].abs() <= 0.71, "the living input is redrawn");
        assert_eq!(weight[1], 0.0, "from a recycled to a recycled unit");
        assert_eq!(weight[3], 0.0, "from a recycled unit");
        assert!((weight[2] - before[2]).abs() < 0.01 && weight[2] != 0.0, "left alone");
        assert_eq!(setting.numbers("output/weight")[0], 0.0);
        assert_ne!(setting.numbers("output/weight")[1], 0.0);
        let slot = |name: &str| setting.learner.optimizer.moments().get(name).expect("stepped");
        let steps = |name: &str| numbers(&slot(name).steps);
        assert_eq!(steps("dense1/bias"), [1000.0, 0.0]);
        assert_eq!(steps("dense2/weight"), [0.0, 0.0, 1000.0, 0.0]);
        assert_eq!(steps("output/weight"), [0.0, 1000.0]);
        assert_eq!(numbers(&slot("output/weight").tensors[0])[0], 0.0);
        assert_ne!(numbers(&slot("output/weight").tensors[0])[1], 0.0);
    }
}
