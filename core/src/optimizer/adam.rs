//! Adam, with eps inside and outside the root and decoupled weight decay.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Moments, Optimizer, require_decay, require_not_negative, require_positive};
use crate::{
    error::Result,
    state::{Checkpoint, StateDict},
};

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
    moments: Moments,
}

impl Adam {
    /// An optimiser that has seen nothing yet.
    pub fn build(config: AdamConfig) -> Result<Box<dyn Optimizer>, String> {
        require_positive("learning_rate", config.learning_rate)?;
        require_decay("beta1", config.beta1)?;
        require_decay("beta2", config.beta2)?;
        require_not_negative("eps", config.eps)?;
        require_not_negative("eps_root", config.eps_root)?;
        require_not_negative("weight_decay", config.weight_decay)?;
        if config.eps == 0.0 && config.eps_root == 0.0 {
            return Err("`eps` and `eps_root` are both 0, expected one of them above 0".to_owned());
        }
        Ok(Box::new(Self { config, moments: Moments::new(&["mean", "square"]) }))
    }
}

impl Optimizer for Adam {
    fn step_variable(&mut self, name: &str, variable: &Tensor, gradient: &Tensor) {
        let AdamConfig { learning_rate, beta1, beta2, eps, eps_root, weight_decay } = self.config;
        let slot = self.moments.advance(name, variable);
        let [mean, square] = slot.tensors.as_mut_slice() else { unreachable!("made with two") };
        let _ = mean.lerp_(gradient, 1.0 - beta1);
        let _ = square.g_mul_scalar_(beta2).addcmul_(&(gradient * (1.0 - beta2)), gradient);
        let mean_hat = &*mean / bias_correction(beta1, &slot.steps);
        let square_hat = &*square / bias_correction(beta2, &slot.steps);
        let mut variable = variable.shallow_clone();
        if weight_decay > 0.0 {
            let _ = variable.g_mul_scalar_(1.0 - learning_rate * weight_decay);
        }
        let divisor = (square_hat + eps_root).sqrt() + eps;
        let _ = variable.g_sub_(&(mean_hat / divisor * learning_rate));
    }

    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    fn moments(&self) -> &Moments {
        &self.moments
    }

    fn moments_mut(&mut self) -> &mut Moments {
        &mut self.moments
    }

    fn fork(&self) -> Box<dyn Optimizer> {
        Box::new(Self { config: self.config.clone(), moments: self.moments.fork() })
    }
}

/// `1 - beta^t`, in f64: with beta = 0.999 f32 would lose three digits at the first steps.
fn bias_correction(beta: f64, steps: &Tensor) -> Tensor {
    let power = steps.to_kind(tch::Kind::Double) * beta.ln();
    (-power.expm1()).to_kind(tch::Kind::Float)
}

impl Checkpoint for Adam {
    fn save(&self, state: &mut StateDict) {
        state.put("learning_rate", &self.config.learning_rate);
        state.put_part("moments", &self.moments);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.config.learning_rate = state.get("learning_rate")?;
        state.load_part("moments", &mut self.moments)
    }
}
