//! Stochastic gradient descent, with heavy-ball momentum.

use pliant_torch_ext::fused;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::{
    Moments, Optimizer,
    fused::{parts, split},
    heavy_ball_threshold, load_rate, safe_gradient, save_rate,
};
use crate::{
    error::Result,
    ranges,
    state::{Checkpoint, StateDict},
    variables::Variables,
};

/// Stands in saved states, so that another optimiser's are refused.
const KIND: &str = "sgd";

/// Stochastic gradient descent: `v = momentum * v + g`, the step is `lr * v`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SgdConfig {
    /// Step size.
    pub learning_rate: f64,
    /// Share of the last step that is kept.
    pub momentum: f64,
}

impl Default for SgdConfig {
    /// Figure 2 of Lyle et al. (2023).
    fn default() -> Self {
        Self { learning_rate: 0.001, momentum: 0.0 }
    }
}

/// The SGD optimiser. Moment: `momentum`, if there is any.
#[derive(Debug)]
pub struct Sgd {
    config: SgdConfig,
    /// The step size before anyone changed it.
    configured_rate: f64,
    moments: Moments,
}

impl Sgd {
    /// An optimiser that has seen nothing yet.
    pub fn build(config: SgdConfig) -> Result<Box<dyn Optimizer>, String> {
        ranges::positive("learning_rate", config.learning_rate)?;
        ranges::decay("momentum", config.momentum)?;
        let names: &[&str] = if config.momentum > 0.0 { &["momentum"] } else { &[] };
        Ok(Box::new(Self {
            configured_rate: config.learning_rate,
            config,
            moments: Moments::new(names),
        }))
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, variables: &Variables) {
        let SgdConfig { learning_rate, momentum } = self.config;
        no_grad(|| {
            let (fused, alone) = split(&mut self.moments, variables, false);
            fused::Sgd { learning_rate, momentum }.step(&parts(&fused, &self.moments));
            alone.iter().for_each(|due| self.step_variable(due.name, &due.variable, &due.gradient));
        });
    }

    fn step_variable(&mut self, name: &str, variable: &Tensor, gradient: &Tensor) {
        let SgdConfig { learning_rate, momentum } = self.config;
        let mut variable = variable.shallow_clone();
        let slot = self.moments.advance(name, &variable);
        let step = match slot.tensors.first_mut() {
            Some(velocity) => velocity.g_mul_scalar_(momentum).g_add_(gradient),
            None => gradient.shallow_clone(),
        };
        let _ = variable.g_sub_(&(step * learning_rate));
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_diagonal(&self) -> bool {
        true
    }

    fn divisor(&self, name: &str) -> Option<Tensor> {
        // Without momentum nothing is remembered, and nothing is divided either way.
        let slot = self.moments.get(name)?;
        Some(slot.tensors.first().map_or_else(|| slot.steps.ones_like(), Tensor::ones_like))
    }

    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn safe_gradient(&self) -> f64 {
        safe_gradient(self.config.learning_rate, 1.0)
    }

    fn stability_threshold(&self) -> Option<f64> {
        Some(heavy_ball_threshold(self.config.momentum, self.config.learning_rate))
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    fn is_recordable(&self) -> bool {
        true
    }

    fn moments(&self) -> &Moments {
        &self.moments
    }

    fn moments_mut(&mut self) -> &mut Moments {
        &mut self.moments
    }

    fn fork(&self) -> Box<dyn Optimizer> {
        Box::new(Self {
            config: self.config.clone(),
            configured_rate: self.configured_rate,
            moments: self.moments.fork(),
        })
    }
}

impl Checkpoint for Sgd {
    fn save(&self, state: &mut StateDict) {
        save_rate(state, KIND, self.configured_rate, self.config.learning_rate);
        state.put_part("moments", &self.moments);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.config.learning_rate = load_rate(state, KIND, self.configured_rate)?;
        state.load_part("moments", &mut self.moments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::testing::{assert_close, walk};

    #[test]
    fn steps_by_hand() {
        let after = |momentum| {
            let config = SgdConfig { learning_rate: 0.5, momentum };
            walk(Sgd::build(config).expect("valid settings").as_mut(), &[2.0, -1.0, 0.0])
        };
        assert_close(&after(0.0), &[-1.0, -0.5, -0.5]);
        // v = 2, then .5 * 2 - 1 = 0, then 0.
        assert_close(&after(0.5), &[-1.0, -1.0, -1.0]);
        // v = 2, then .75 * 2 - 1 = .5, then .375.
        assert_close(&after(0.75), &[-1.0, -1.25, -1.4375]);
    }
}
