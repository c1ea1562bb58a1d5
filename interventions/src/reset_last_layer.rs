//! A new output layer at each target update.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::{Beside, is_of, reset},
    schedule::{Event, OnSchedule},
};

/// The output layer is drawn anew each time the target network was updated (Lyle et al., 2023, section
/// 5). The target network keeps the layer that it just took over, so targets stay what was learned; the
/// optimiser forgets the layer's moments and counters unless told otherwise.
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
    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let layers = learner.online.last_layers(1);
        let beside = Beside { target: false, optimizer: self.0.reset_moments };
        reset(learner, hook.stream, beside, |name| is_of(&layers, name));
        Ok(())
    }
}

pliant_core::stateless!(ResetLastLayer);
