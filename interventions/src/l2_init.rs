//! Regularisation towards the initial parameters.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    ranges::not_negative,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::{
    memory::Memory,
    schedule::{InWindow, Penalty, sum},
};

/// L2 Init, or regenerative regularisation (Kumar et al., 2023): `coefficient * sum (theta -
/// theta_0)^2` is added to the loss, where theta_0 are the parameters that the network began with, which
/// are remembered and saved. Target network and moments are not touched, but moments see the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct L2InitConfig {
    /// Strength; the paper tries 1e-5 to 1e-2.
    pub coefficient: f64,
}

impl Default for L2InitConfig {
    fn default() -> Self {
        Self { coefficient: 1e-3 }
    }
}

impl HasSchedule for L2InitConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Pulls parameters back to where they began.
#[derive(Debug)]
pub struct L2Init {
    config: L2InitConfig,
    initial: Memory,
}

impl L2Init {
    /// Checks the settings.
    pub fn build(config: Scheduled<L2InitConfig>) -> Result<Box<dyn Intervention>, String> {
        not_negative("coefficient", config.config.coefficient)?;
        let penalty = Self { config: config.config, initial: Memory::default() };
        Ok(InWindow::boxed(penalty, config.schedule))
    }
}

impl Penalty for L2Init {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        for (name, parameter) in learner.online.variables().parameters() {
            self.initial.set(name, parameter.detach().copy());
        }
        Ok(())
    }

    fn term(&mut self, learner: &Learner, _hook: &mut Hook<'_>) -> Result<Tensor> {
        let distance = |(name, parameter): (&str, &Tensor)| {
            // A parameter that an injection has added since begins now.
            let now = || no_grad(|| parameter.detach().copy());
            let initial = self.initial.of_shape_or(name, parameter, now)?;
            Ok((parameter - &*initial).square().sum(Kind::Float))
        };
        let distances = learner.online.variables().parameters().map(distance);
        let distances = distances.collect::<Result<Vec<_>>>()?;
        Ok(sum(distances.into_iter(), learner) * self.config.coefficient)
    }
}

impl Checkpoint for L2Init {
    fn save(&self, state: &mut StateDict) {
        self.initial.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.initial.load(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn parameters_are_pulled_to_where_they_began() {
        let config = L2InitConfig { coefficient: 0.25 };
        let mut setting = Setting::with_sgd(L2Init::build(config.into()), 1, 0.5);
        let first = setting.numbers("dense1/weight")[0];
        // Nothing gets through the second layer.
        setting.set("dense2/weight", &[0.0]);
        setting.set("dense2/bias", &[-4.0]);
        setting.set("dense1/weight", &[first + 2.0]);
        setting.update(1);
        // The distance of 2 loses .5 * 2 * .25 of itself.
        let moved = setting.numbers("dense1/weight")[0] - first;
        assert!((moved - 1.5).abs() < 1e-6, "{moved}");
    }
}
