//! Weight clipping.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::Model,
    ranges::positive,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
    variables::Init,
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::check_weights,
    schedule::{Event, OnSchedule},
};

/// Weight clipping (Elsayed et al., 2024, algorithm 1): after every update the weights and biases of each
/// layer are clipped to `kappa` times the bound that its weight is first drawn within: `kappa /
/// sqrt(fan_in)` by default; where weights begin normal, the bound of the uniform distribution that is as
/// wide. Target network and moments stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightClippingConfig {
    /// Multiple of the initial bound.
    pub kappa: f64,
}

impl Default for WeightClippingConfig {
    fn default() -> Self {
        Self { kappa: 2.0 }
    }
}

impl HasSchedule for WeightClippingConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(1)
    }
}

/// Clips weights and biases.
#[derive(Debug)]
pub struct WeightClipping(WeightClippingConfig);

impl WeightClipping {
    /// Checks the settings.
    pub fn build(config: Scheduled<WeightClippingConfig>) -> Result<Box<dyn Intervention>, String> {
        positive("kappa", config.config.kappa)?;
        Ok(OnSchedule::boxed(Self(config.config), config.schedule))
    }
}

fn clip(model: &Model, kappa: f64) {
    for (name, weight) in model.variables().weights() {
        let bound = match model.variables().init(name) {
            Some(Init::Uniform { bound }) => kappa * bound,
            Some(Init::Normal { std }) => kappa * std * 3f64.sqrt(),
            _ => continue,
        };
        let _ = weight.shallow_clone().clamp_(-bound, bound);
        let bias = name.strip_suffix("weight").map(|layer| format!("{layer}bias"));
        if let Some(bias) = bias.and_then(|bias| model.variables().get(&bias)) {
            let _ = bias.shallow_clone().clamp_(-bound, bound);
        }
    }
}

impl Event for WeightClipping {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_weights(&learner.online)
    }

    fn is_risky(&self) -> bool {
        false
    }

    fn act(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        clip(&learner.online, self.0.kappa);
        Ok(())
    }
}

pliant_core::stateless!(WeightClipping);

#[cfg(test)]
mod tests {
    use pliant_agents::networks::{Initialization, Mlp, MlpConfig};
    use pliant_core::{
        network::{NetworkPlan, NetworkSpec},
        seeds::Seeds,
        tch::{Device, no_grad},
    };

    use super::*;
    use crate::testing::Setting;

    #[test]
    fn weights_and_biases_are_clipped_to_their_layers_bound() {
        let config = WeightClippingConfig { kappa: 2.0 };
        let mut setting = Setting::with(WeightClipping::build(config.into()), 4);
        setting.set("dense2/bias", &[9.0, -9.0, 0.5, -0.25]);
        setting.set("dense1/weight", &[9.0, -9.0, 0.5, -0.25]);
        setting.update(1);
        // 2 / sqrt(4) and 2 / sqrt(1).
        let close = |name: &str, expected: [f32; 4]| {
            let actual = setting.numbers(name);
            let is_close = actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(is_close, "{name}: {actual:?}");
        };
        close("dense2/bias", [1.0, -1.0, 0.5, -0.25]);
        close("dense1/weight", [2.0, -2.0, 0.5, -0.25]);
    }

    #[test]
    fn the_bound_of_a_normal_beginning_is_that_of_a_uniform_one_as_wide() {
        let config = MlpConfig {
            width: 4,
            initialization: Initialization::HeNormal,
            ..MlpConfig::default()
        };
        let mlp = Mlp::build(config).expect("valid");
        let plan = NetworkPlan::default();
        let spec = NetworkSpec { observation: [1, 1, 1], actions: 1, plan };
        let mut stream = Seeds::new(0).stream("network");
        let model = Model::new(mlp, spec, &mut stream, Device::Cpu).expect("fits");
        let weight = model.variables().get("dense2/weight").expect("a weight");
        let _ = no_grad(|| weight.shallow_clone().fill_(9.0));
        no_grad(|| clip(&model, 1.0));
        // A standard deviation of sqrt(2 / 4), times sqrt(3).
        let expected = 1.5f64.sqrt();
        assert!((weight.double_value(&[0, 0]) - expected).abs() < 1e-6, "{weight}");
    }
}
