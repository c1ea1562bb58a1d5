//! A forgetful optimiser.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
};
use serde::{Deserialize, Serialize};

use crate::schedule::{Event, OnSchedule};

/// The optimiser forgets all moments and step counters each time the target network was updated (Lyle et
/// al., 2023; Asadi et al., 2023). Both networks stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetOptimizerConfig {}

impl HasSchedule for ResetOptimizerConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::on_target_update()
    }
}

/// Resets the optimiser.
#[derive(Debug)]
pub struct ResetOptimizer;

impl ResetOptimizer {
    /// Takes the settings.
    pub fn build(config: Scheduled<ResetOptimizerConfig>) -> Result<Box<dyn Intervention>, String> {
        Ok(OnSchedule::boxed(Self, config.schedule))
    }
}

impl Event for ResetOptimizer {
    fn act(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        learner.optimizer.moments_mut().reset();
        Ok(())
    }
}

pliant_core::stateless!(ResetOptimizer);
