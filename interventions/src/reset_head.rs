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
    redraw::{Beside, check_weights, is_of, refuse_injection, reset},
    schedule::{Event, OnSchedule},
};

/// The last layers are drawn anew from time to time, in the target network to the same values (Nikishin
/// et al., 2022; the default period is ours). The optimiser forgets their moments and counters. Layers count
/// in the reverse of the order in which the network makes them: every linear map and convolution with its
/// normalisation, a skip connection's among them. (A transformer's embeddings and the normalisations of its
/// stream are no layers and stay.) Not beside `plasticity_injection`.
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
        check_weights(&learner.online)?;
        refuse_injection(learner)?;
        let (wanted, there) = (self.0.last_layers as usize, learner.online.main_layers().len());
        if wanted <= there {
            return Ok(());
        }
        Err(format!("`last_layers` is {wanted}, but the network has {there} layers"))
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let all = learner.online.main_layers();
        let layers = &all[all.len().saturating_sub(self.0.last_layers as usize)..];
        let beside = Beside { target: true, optimizer: true };
        reset(learner, hook.stream, beside, |name| is_of(layers, name));
        Ok(())
    }
}

pliant_core::stateless!(ResetHead);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    fn setting(last_layers: u32) -> Setting {
        let config = ResetHeadConfig { last_layers };
        let schedule = UpdateSchedule::every(2);
        let built = ResetHead::build(Scheduled { config, schedule });
        let mut setting = Setting::with(built, 2);
        for name in ["dense1/bias", "dense2/bias"] {
            setting.set(name, &[50.0, 50.0]);
        }
        setting.set("output/bias", &[50.0]);
        setting.update(2);
        setting
    }

    #[test]
    fn so_many_last_layers_are_drawn_anew_and_alike_in_both_networks() {
        for (last_layers, redrawn) in [(1, 1), (2, 2), (3, 3)] {
            let setting = setting(last_layers);
            let names = ["output/bias", "dense2/bias", "dense1/bias"];
            for (index, name) in names.into_iter().enumerate() {
                let is_redrawn = setting.numbers(name)[0].abs() < 2.0;
                assert_eq!(is_redrawn, index < redrawn, "{last_layers} layers: {name}");
                let [online, target] = [&setting.learner.online, &setting.learner.target]
                    .map(|model| model.variables().get(name).expect("a bias"));
                assert_eq!(online.equal(target), is_redrawn, "{last_layers} layers: {name}");
            }
        }
    }

    #[test]
    fn more_layers_than_there_are_are_refused() {
        let config = ResetHeadConfig { last_layers: 4 };
        let message = Setting::refusal(ResetHead::build(config.into()));
        assert!(
            message.contains("`last_layers` is 4") && message.contains("3 layers"),
            "{message}"
        );
    }

    #[test]
    fn the_optimiser_forgets_what_was_drawn_anew() {
        let setting = setting(2);
        let moments = setting.learner.optimizer.moments();
        for (name, is_kept) in
            [("output/bias", false), ("dense2/weight", false), ("dense1/weight", true)]
        {
            assert_eq!(moments.get(name).is_some(), is_kept, "{name}");
        }
    }
}
