//! Shrink and perturb, a little at every update.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::SETTLED,
    ranges::share,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::refuse_injection,
    schedule::{Event, OnSchedule},
    shrink_and_perturb::shrink_and_perturb,
};

/// Soft shrink and perturb (Juliani & Ash, 2024; Ash & Adams, 2020, spread over all updates): after
/// every update each parameter is multiplied by `shrink`, and `1 - shrink` times a fresh initialisation
/// is added. Target network and moments stay as they are. Not beside `plasticity_injection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SoftShrinkAndPerturbConfig {
    /// What parameters are multiplied by.
    pub shrink: f64,
}

impl Default for SoftShrinkAndPerturbConfig {
    fn default() -> Self {
        Self { shrink: 0.999_999 }
    }
}

impl HasSchedule for SoftShrinkAndPerturbConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(1)
    }
}

/// Below this factor, what is estimated of the weights has to be found anew; above, it follows by itself.
const VISIBLY: f64 = 0.99;

/// Shrinks and perturbs softly.
#[derive(Debug)]
pub struct SoftShrinkAndPerturb(SoftShrinkAndPerturbConfig);

impl SoftShrinkAndPerturb {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<SoftShrinkAndPerturbConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        share("shrink", config.config.shrink)?;
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

impl Event for SoftShrinkAndPerturb {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        refuse_injection(learner)
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let shrink = self.0.shrink;
        shrink_and_perturb(&learner.online, hook.stream, [shrink, 1.0 - shrink], |_| true);
        if shrink < VISIBLY {
            learner.online.settle(SETTLED, |_| true);
        }
        Ok(())
    }
}

pliant_core::stateless!(SoftShrinkAndPerturb);
