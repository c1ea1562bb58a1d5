//! Normalise and project.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::{NetworkPlan, Norm, NormKind, NormPosition},
    ranges::positive,
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    memory::Memory,
    redraw::check_weights,
    schedule::{Event, OnSchedule},
};

/// Normalise-and-Project (Lyle et al., 2024): every hidden layer is normalised before its activation,
/// without learned scales, and after every update each hidden weight is scaled back to the Frobenius norm
/// that it began with; the output layer is free. The initial norms are remembered and saved; target
/// network and moments stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizeAndProjectConfig {
    /// Added to the variance.
    pub eps: f64,
}

impl Default for NormalizeAndProjectConfig {
    fn default() -> Self {
        Self { eps: 1e-5 }
    }
}

impl HasSchedule for NormalizeAndProjectConfig {
    type Schedule = UpdateSchedule;

    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule::every(1)
    }
}

/// Plans the normalisation and projects the weights.
#[derive(Debug)]
pub struct NormalizeAndProject {
    config: NormalizeAndProjectConfig,
    /// Frobenius norms by weight, f32 `[]`.
    norms: Memory,
}

impl NormalizeAndProject {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<NormalizeAndProjectConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        positive("eps", config.config.eps)?;
        let event = Self { config: config.config, norms: Memory::default() };
        Ok(OnSchedule::boxed(event, config.schedule))
    }
}

fn frobenius(weight: &Tensor) -> Tensor {
    weight.square().sum(Kind::Float).sqrt()
}

impl Event for NormalizeAndProject {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        plan.set_norm(Norm {
            kind: NormKind::Layer,
            position: NormPosition::BeforeActivation,
            affine: false,
            eps: self.config.eps,
        })
    }

    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_weights(&learner.online)?;
        for (name, weight) in crate::hidden_weights(&learner.online) {
            self.norms.set(&name, frobenius(&weight));
        }
        Ok(())
    }

    /// No weight is larger than the norm of all.
    fn is_risky(&self) -> bool {
        false
    }

    fn act(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        for (name, mut weight) in crate::hidden_weights(&learner.online) {
            let present = frobenius(&weight);
            let first = self.norms.of_shape_or(&name, &present, || present.copy())?;
            let _ = weight.g_mul_(&(&*first / present.clamp_min(1e-12)));
        }
        Ok(())
    }
}

impl Checkpoint for NormalizeAndProject {
    fn save(&self, state: &mut StateDict) {
        self.norms.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.norms.load(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setting, numbers};

    #[test]
    fn hidden_weights_keep_their_norm_and_the_output_does_not() {
        let config = NormalizeAndProjectConfig::default();
        let mut setting = Setting::with_sgd(NormalizeAndProject::build(config.into()), 4, 0.1);
        let norm = |setting: &Setting, name: &str| {
            let weight = setting.learner.online.variables().get(name).expect("a weight").detach();
            numbers(&frobenius(&weight))[0]
        };
        let names = ["dense1/weight", "dense2/weight", "output/weight"];
        let before = names.map(|name| norm(&setting, name));
        let first = setting.numbers("dense2/weight");
        setting.update(20);
        let after = names.map(|name| norm(&setting, name));
        assert!((after[0] - before[0]).abs() < 1e-5, "{before:?}, then {after:?}");
        assert!((after[1] - before[1]).abs() < 1e-5, "{before:?}, then {after:?}");
        assert_ne!(setting.numbers("dense2/weight"), first, "it learns");
        assert!((after[2] - before[2]).abs() > 1e-3, "{before:?}, then {after:?}");
    }
}
