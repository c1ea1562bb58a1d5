//! A new output layer at each target update.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::{Beside, check_weights, is_of, refuse_injection, reset},
    schedule::{Event, OnSchedule},
};

/// The output layer is drawn anew each time the target network was updated (Lyle et al., 2023,
/// figures 6 and 8 to 14). The target network keeps the layer that it just took over, so targets stay what
/// was learned; the optimiser forgets the layer's moments and counters unless told otherwise. Not beside
/// `plasticity_injection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetLastLayerConfig {
    /// Forget the layer's moments and step counters.
    pub reset_moments: bool,
}

impl Default for ResetLastLayerConfig {
    fn default() -> Self {
        Self { reset_moments: true }
    }
}

impl HasSchedule for ResetLastLayerConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::on_target_update()
    }
}

/// Redraws the output layer.
#[derive(Debug)]
pub struct ResetLastLayer(ResetLastLayerConfig);

impl ResetLastLayer {
    /// Takes the settings.
    pub fn build(config: Scheduled<ResetLastLayerConfig>) -> Result<Box<dyn Intervention>, String> {
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

impl Event for ResetLastLayer {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_weights(&learner.online)?;
        refuse_injection(learner)
    }

    fn spares_target(&self) -> bool {
        true
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let output: Vec<String> = learner.online.main_layers().pop().into_iter().collect();
        let beside = Beside { target: false, optimizer: self.0.reset_moments };
        reset(learner, hook.stream, beside, |name| is_of(&output, name));
        Ok(())
    }
}

pliant_core::stateless!(ResetLastLayer);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn the_online_output_alone_is_drawn_anew_after_the_target_was_updated() {
        let build = || ResetLastLayer::build(ResetLastLayerConfig::default().into());
        let mut setting = Setting::with(build(), 2).target_period(3);
        setting.set("output/weight", &[50.0, 60.0]);
        setting.update(2);
        assert!(setting.numbers("output/weight")[0] > 49.0, "nothing was due");
        let hidden = setting.numbers("dense2/weight");
        setting.update(1);
        // Drawn within 1 / sqrt(2).
        assert!(setting.numbers("output/weight").iter().all(|weight| weight.abs() <= 0.71));
        let moved = setting.numbers("dense2/weight")[0] - hidden[0];
        assert!(moved.abs() < 1e-4, "the layer below stays: {moved}");
        let target = setting.learner.target.variables().get("output/weight").expect("a weight");
        assert!(target.min().double_value(&[]) > 49.0, "the target keeps what it took over");
        let moments = setting.learner.optimizer.moments();
        assert!(moments.get("output/weight").is_none() && moments.get("dense2/weight").is_some());
    }

    #[test]
    fn a_period_that_meets_a_target_update_spares_the_target_too() {
        let schedule = UpdateSchedule::every(2);
        let config = ResetLastLayerConfig::default();
        let mut setting = Setting::with(ResetLastLayer::build(Scheduled { config, schedule }), 2)
            .target_period(4);
        let target = |setting: &Setting| {
            let target = setting.learner.target.variables().get("output/weight");
            target.expect("a weight").min().double_value(&[])
        };
        setting.update(3);
        setting.set("output/weight", &[50.0, 60.0]);
        setting.update(1);
        assert!(setting.numbers("output/weight").iter().all(|weight| weight.abs() <= 0.71));
        assert!(target(&setting) > 49.0, "{}", target(&setting));
    }

    #[test]
    fn moments_are_kept_if_that_is_asked_for() {
        let config = ResetLastLayerConfig { reset_moments: false };
        let mut setting = Setting::with(ResetLastLayer::build(config.into()), 2).target_period(2);
        setting.set("output/weight", &[50.0, 60.0]);
        setting.update(2);
        assert!(setting.numbers("output/weight").iter().all(|weight| weight.abs() <= 0.71));
        assert!(setting.learner.optimizer.moments().get("output/weight").is_some());
    }
}
