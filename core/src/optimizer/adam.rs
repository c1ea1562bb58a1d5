//! Adam, with eps inside and outside the root and decoupled weight decay.

use pliant_torch_ext::fused;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::{
    Moments, Optimizer, bias_correction,
    fused::{parts, split},
    load_rate, safe_gradient, save_rate,
};
use crate::{
    error::Result,
    ranges,
    state::{Checkpoint, StateDict},
    variables::Variables,
};

/// Stands in saved states, so that another optimiser's are refused.
const KIND: &str = "adam";

/// Adam (Kingma & Ba, 2015): the step is `lr * m_hat / (sqrt(v_hat + eps_root) + eps)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the mean gradient, per update.
    pub beta1: f64,
    /// Decay of the mean squared gradient, per update.
    pub beta2: f64,
    /// Added outside the root.
    pub eps: f64,
    /// Added inside the root; Lyle et al. (2023) stabilise Adam with 1e-3 and beta2 = 0.9.
    pub eps_root: f64,
    /// Decoupled weight decay (AdamW): each update takes away `learning_rate * weight_decay` of
    /// every parameter.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    /// Dopamine's JAX DQN.
    fn default() -> Self {
        Self {
            learning_rate: 0.0000625,
            beta1: 0.9,
            beta2: 0.999,
            eps: 0.00015,
            eps_root: 0.0,
            weight_decay: 0.0,
        }
    }
}

/// The Adam optimiser. Moments: `mean` and `square`, of gradient and squared gradient.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    /// The step size before anyone changed it.
    configured_rate: f64,
    moments: Moments,
}

impl Adam {
    /// An optimiser that has seen nothing yet.
    pub fn build(config: AdamConfig) -> Result<Box<dyn Optimizer>, String> {
        ranges::positive("learning_rate", config.learning_rate)?;
        ranges::decay("beta1", config.beta1)?;
        ranges::decay("beta2", config.beta2)?;
        ranges::not_negative("eps", config.eps)?;
        ranges::not_negative("eps_root", config.eps_root)?;
        ranges::not_negative("weight_decay", config.weight_decay)?;
        if config.eps == 0.0 && config.eps_root == 0.0 {
            return Err("`eps` and `eps_root` are both 0, expected one of them above 0".to_owned());
        }
        Ok(Box::new(Self {
            configured_rate: config.learning_rate,
            config,
            moments: Moments::new(&["mean", "square"]),
        }))
    }
}

impl AdamConfig {
    fn fused(&self) -> fused::Adam {
        let Self { learning_rate, beta1, beta2, eps, eps_root, weight_decay } = *self;
        fused::Adam { learning_rate, beta1, beta2, eps, eps_root, weight_decay }
    }

    /// `sqrt(square_hat + eps_root) + eps`.
    fn divisor(&self, square: &Tensor, steps: &Tensor) -> Tensor {
        let square_hat = square / bias_correction(self.beta2, steps);
        (square_hat + self.eps_root).sqrt() + self.eps
    }
}

impl Optimizer for Adam {
    fn step(&mut self, variables: &Variables) {
        no_grad(|| {
            let (fused, alone) = split(&mut self.moments, variables, true);
            self.config.fused().step(&parts(&fused, &self.moments));
            alone.iter().for_each(|due| self.step_variable(due.name, &due.variable, &due.gradient));
        });
    }

    fn step_variable(&mut self, name: &str, variable: &Tensor, gradient: &Tensor) {
        let AdamConfig { learning_rate, beta1, beta2, weight_decay, .. } = self.config;
        let slot = self.moments.advance(name, variable);
        let [mean, square] = slot.tensors.as_mut_slice() else { unreachable!("made with two") };
        let _ = mean.lerp_(gradient, 1.0 - beta1);
        let _ = square.g_mul_scalar_(beta2).addcmul_(&(gradient * (1.0 - beta2)), gradient);
        let mean_hat = &*mean / bias_correction(beta1, &slot.steps);
        let divisor = self.config.divisor(square, &slot.steps);
        let mut variable = variable.shallow_clone();
        if weight_decay > 0.0 {
            let _ = variable.g_mul_scalar_(1.0 - learning_rate * weight_decay);
        }
        let _ = variable.g_sub_(&(mean_hat / divisor * learning_rate));
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_diagonal(&self) -> bool {
        true
    }

    fn divisor(&self, name: &str) -> Option<Tensor> {
        let slot = self.moments.get(name)?;
        let [_, square] = slot.tensors.as_slice() else { unreachable!("made with two") };
        let divisor = self.config.divisor(square, &slot.steps);
        Some(divisor.where_self(&slot.steps.gt(0.0), &divisor.ones_like()))
    }

    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn safe_gradient(&self) -> f64 {
        let AdamConfig { learning_rate, eps, eps_root, weight_decay, .. } = self.config;
        if learning_rate * weight_decay > 1.0 {
            return 0.0; // parameters would grow by it
        }
        safe_gradient(learning_rate, eps + eps_root.sqrt())
    }

    /// `(2 + 2 beta1) / ((1 - beta1) lr)` (Cohen et al., 2022): the mean gradient takes `1 - beta1` of each.
    fn stability_threshold(&self) -> Option<f64> {
        let AdamConfig { beta1, learning_rate, .. } = self.config;
        Some((2.0 + 2.0 * beta1) / ((1.0 - beta1) * learning_rate))
    }

    fn weight_decay(&self) -> f64 {
        self.config.weight_decay
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

impl Checkpoint for Adam {
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
    use crate::optimizer::testing::{assert_close, numbers, step, variable, walk};

    fn adam(config: AdamConfig) -> Box<dyn Optimizer> {
        Adam::build(config).expect("valid settings")
    }

    #[test]
    fn first_step_by_hand() {
        // m_hat = 3, v_hat = 9: 3 / (sqrt(9 + 16) + 1) = 0.5.
        let config =
            AdamConfig { learning_rate: 0.1, eps: 1.0, eps_root: 16.0, ..AdamConfig::default() };
        assert_close(&walk(adam(config).as_mut(), &[3.0]), &[-0.05]);
    }

    #[test]
    fn second_step_by_hand() {
        // beta 0.5: m = .5 * .5 + .5 * 4 = 2.25, m_hat = 2.25 / .75 = 3; v = .5 * .5 + .5 * 16 = 8.25,
        // v_hat = 8.25 / .75 = 11; 3 / sqrt(11 + 25) = 0.5. The first: 1 / sqrt(1 + 25).
        let config = AdamConfig {
            learning_rate: 1.0,
            beta1: 0.5,
            beta2: 0.5,
            eps: 0.0,
            eps_root: 25.0,
            ..AdamConfig::default()
        };
        let first = -1.0 / 26f32.sqrt();
        assert_close(&walk(adam(config).as_mut(), &[1.0, 4.0]), &[first, first - 0.5]);
    }

    #[test]
    fn nothing_is_divided_where_no_step_was_made() {
        let variables = variable(&[2], &[0.0; 2]);
        let mut optimizer = adam(AdamConfig { eps: 1.0, ..AdamConfig::default() });
        step(optimizer.as_mut(), &variables, 3.0);
        optimizer.moments_mut().reset_units("w", 0, &Tensor::from_slice(&[1i64]));
        let divisor = Vec::<f32>::try_from(&optimizer.divisor("w").expect("stepped")).expect("f32");
        assert_close(&divisor, &[3.0 + 1.0, 1.0]);
    }

    #[test]
    fn weight_decay_is_decoupled_from_the_moments() {
        // 2 * (1 - .1 * .5) = 1.9, then the step of 0.1 * 3 / (3 + 3).
        let config =
            AdamConfig { learning_rate: 0.1, eps: 3.0, weight_decay: 0.5, ..AdamConfig::default() };
        let variables = variable(&[1], &[2.0]);
        step(adam(config).as_mut(), &variables, 3.0);
        assert_close(&numbers(&variables), &[1.85]);
    }
}
