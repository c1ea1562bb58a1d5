//! A new network on a schedule.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::{Beside, refuse_injection, reset},
    schedule::{Event, OnSchedule},
};

/// All parameters are drawn anew from time to time, in the target network to the same values, and running
/// statistics begin anew; the replay stays (Nikishin et al., 2022; the default period is ours). The
/// optimiser forgets all moments and counters. Not beside `plasticity_injection`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetFullConfig {}

impl HasSchedule for ResetFullConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(200_000)
    }
}

/// Redraws everything.
#[derive(Debug)]
pub struct ResetFull;

impl ResetFull {
    /// Takes the settings.
    pub fn build(config: Scheduled<ResetFullConfig>) -> Result<Box<dyn Intervention>, String> {
        Ok(OnSchedule::boxed(Self, config.schedule))
    }
}

impl Event for ResetFull {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        refuse_injection(learner)
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        reset(learner, hook.stream, Beside { target: true, optimizer: true }, |_| true);
        Ok(())
    }
}

pliant_core::stateless!(ResetFull);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn both_networks_are_drawn_anew_and_alike_and_the_optimiser_forgets() {
        let schedule = UpdateSchedule::every(2);
        let built = ResetFull::build(Scheduled { config: ResetFullConfig {}, schedule });
        let mut setting = Setting::with(built, 2);
        setting.set("dense1/bias", &[50.0, 50.0]);
        setting.update(1);
        assert!(setting.numbers("dense1/bias")[0] > 49.0);
        setting.update(1);
        assert!(setting.numbers("dense1/bias")[0].abs() <= 1.0);
        let both = setting
            .learner
            .online
            .variables()
            .iter()
            .zip(setting.learner.target.variables().iter());
        for ((name, online), (_, target)) in both {
            assert!(online.equal(target), "{name}");
            assert!(setting.learner.optimizer.moments().get(name).is_none(), "{name}");
        }
    }
}
