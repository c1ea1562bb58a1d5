//! Shrink and perturb.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::{Model, SETTLED},
    ranges::{not_negative, share},
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::{fresh, is_of, refuse_injection},
    schedule::{Event, OnSchedule},
};

/// Shrink and perturb (Ash & Adams, 2020) each time the target network was updated, as in
/// Lyle et al. (2023, figures 6 and 8 to 14): every parameter is multiplied by `shrink`, and `perturb` times a fresh
/// initialisation is added. The paper gives no factors. The target network keeps what it just took
/// over; the optimiser keeps its moments; running statistics catch up. Not beside `plasticity_injection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShrinkAndPerturbConfig {
    /// What parameters are multiplied by.
    pub shrink: f64,
    /// What the fresh initialisation is multiplied by.
    pub perturb: f64,
    /// Names of the layers concerned; none means all.
    pub layers: Vec<String>,
}

impl Default for ShrinkAndPerturbConfig {
    fn default() -> Self {
        Self { shrink: 0.8, perturb: 0.2, layers: Vec::new() }
    }
}

impl HasSchedule for ShrinkAndPerturbConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::on_target_update()
    }
}

/// Shrinks and perturbs.
#[derive(Debug)]
pub struct ShrinkAndPerturb(ShrinkAndPerturbConfig);

impl ShrinkAndPerturb {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<ShrinkAndPerturbConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        share("shrink", config.config.shrink)?;
        not_negative("perturb", config.config.perturb)?;
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

/// `shrink * theta + perturb * fresh` for the parameters that `includes`.
pub(crate) fn shrink_and_perturb(
    model: &Model,
    stream: &mut Stream,
    [shrink, perturb]: [f64; 2],
    includes: impl Fn(&str) -> bool,
) {
    for (name, values) in fresh(model, stream, includes) {
        let mut variable = model.variables().get(&name).expect("just listed").shallow_clone();
        let _ = variable.g_mul_scalar_(shrink).g_add_(&(values * perturb));
    }
}

impl Event for ShrinkAndPerturb {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        refuse_injection(learner)?;
        learner.online.check_layers(&self.0.layers)
    }

    fn spares_target(&self) -> bool {
        true
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let ShrinkAndPerturbConfig { shrink, perturb, layers } = &self.0;
        let includes = |name: &str| layers.is_empty() || is_of(layers, name);
        shrink_and_perturb(&learner.online, hook.stream, [*shrink, *perturb], includes);
        learner.online.settle(SETTLED, includes);
        Ok(())
    }
}

pliant_core::stateless!(ShrinkAndPerturb);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    fn every_update(shrink: f64, perturb: f64, layers: &[&str]) -> Setting {
        let layers = layers.iter().map(|layer| (*layer).to_owned()).collect();
        let config = ShrinkAndPerturbConfig { shrink, perturb, layers };
        let schedule = UpdateSchedule::every(1);
        Setting::with(ShrinkAndPerturb::build(Scheduled { config, schedule }), 2)
    }

    #[test]
    fn parameters_shrink_by_the_factor_and_move_within_the_initial_bound() {
        let mut setting = every_update(0.5, 0.0, &[]);
        setting.set("dense2/bias", &[8.0, -4.0]);
        setting.update(1);
        // Adam's step is below 1e-6.
        let shrunk = setting.numbers("dense2/bias");
        assert!((shrunk[0] - 4.0).abs() < 1e-5 && (shrunk[1] + 2.0).abs() < 1e-5, "{shrunk:?}");
        let mut setting = every_update(0.0, 2.0, &[]);
        setting.set("dense2/bias", &[8.0, -4.0]);
        setting.update(1);
        let fresh = setting.numbers("dense2/bias");
        // Twice uniform within 1 / sqrt(2).
        assert!(fresh.iter().all(|value| value.abs() <= 2f32.sqrt()), "{fresh:?}");
        assert_ne!(fresh[0], fresh[1]);
    }

    #[test]
    fn only_the_named_layers_are_touched() {
        let mut setting = every_update(0.5, 0.0, &["dense2"]);
        setting.set("dense1/bias", &[8.0, 8.0]);
        setting.set("dense2/bias", &[8.0, 8.0]);
        setting.update(1);
        assert!((setting.numbers("dense1/bias")[0] - 8.0).abs() < 1e-4);
        assert!((setting.numbers("dense2/bias")[0] - 4.0).abs() < 1e-4);
    }

    #[test]
    fn an_unknown_layer_is_answered_with_those_there_are() {
        let config = ShrinkAndPerturbConfig {
            layers: vec!["conv9".to_owned()],
            ..ShrinkAndPerturbConfig::default()
        };
        let message = Setting::refusal(ShrinkAndPerturb::build(config.into()));
        for word in ["`conv9`", "`dense1`", "`output`", "interventions[0]"] {
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_period_that_meets_a_target_update_spares_the_target() {
        let config = ShrinkAndPerturbConfig { shrink: 0.5, perturb: 0.0, layers: Vec::new() };
        let schedule = UpdateSchedule::every(2);
        let built = ShrinkAndPerturb::build(Scheduled { config, schedule });
        let mut setting = Setting::with(built, 2).target_period(2);
        setting.set("dense2/bias", &[8.0, 8.0]);
        setting.update(2);
        let target = setting.learner.target.variables().get("dense2/bias").expect("a bias");
        assert!((target.double_value(&[0]) - 8.0).abs() < 1e-4);
        assert!((setting.numbers("dense2/bias")[0] - 4.0).abs() < 1e-4);
    }
}
