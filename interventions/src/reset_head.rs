//! New last layers on a schedule.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::{Beside, is_of, reset},
    schedule::{Event, OnSchedule},
};

/// The last layers are drawn anew from time to time, in the target network to the same values (Nikishin
/// et al., 2022: the last layer of Rainbow's head every 40,000 updates of SPR). The optimiser forgets
/// their moments and counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResetHeadConfig {
    /// Layers to redraw, counted from the output layer.
    pub last_layers: u32,
}

impl Default for ResetHeadConfig {
    fn default() -> Self {
        Self { last_layers: 1 }
    }
}

impl HasSchedule for ResetHeadConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(40_000)
    }
}

/// Redraws the last layers.
#[derive(Debug)]
pub struct ResetHead(ResetHeadConfig);

impl ResetHead {
    /// Checks the settings.
    pub fn build(config: Scheduled<ResetHeadConfig>) -> Result<Box<dyn Intervention>, String> {
        if config.config.last_layers == 0 {
            return Err("`last_layers` is 0, expected at least 1".to_owned());
        }
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

impl Event for ResetHead {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        let (wanted, there) = (self.0.last_layers as usize, learner.online.hidden().len() + 1);
        if wanted <= there {
            return Ok(());
        }
        Err(format!("`last_layers` is {wanted}, but the network has {there} layers"))
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let layers = learner.online.last_layers(self.0.last_layers as usize);
        let beside = Beside { target: true, optimizer: true };
        reset(learner, hook.stream, beside, |name| is_of(&layers, name));
        Ok(())
    }
}

pliant_core::stateless!(ResetHead);
