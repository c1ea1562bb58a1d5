//! RMSProp, centred or not, with eps inside or outside the root.

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
const KIND: &str = "rmsprop";

/// RMSProp (Hinton, 2012; centred: Graves, 2013).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmsPropConfig {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the running means of gradient and squared gradient, per update.
    pub decay: f64,
    /// Keeps the root away from zero.
    pub eps: f64,
    /// Where eps stands: `inside_root` (DQN, optax) or `outside_root` (PyTorch).
    pub eps_position: EpsPosition,
    /// Divide by the standard deviation of the gradient rather than its root mean square.
    pub centered: bool,
    /// Heavy-ball momentum on the scaled gradient.
    pub momentum: f64,
}

impl Default for RmsPropConfig {
    /// DQN Zoo's `double_q`.
    fn default() -> Self {
        Self {
            learning_rate: 0.00025,
            decay: 0.95,
            eps: 0.01 / (32.0 * 32.0),
            eps_position: EpsPosition::InsideRoot,
            centered: true,
            momentum: 0.0,
        }
    }
}

/// Where eps stands in RMSProp. With eps = 0.01 / 32^2 the floor of the divisor is 3.1e-3 inside
/// the root and 9.8e-6 outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EpsPosition {
    /// `g / sqrt(v + eps)`: DQN, optax, Dopamine.
    InsideRoot,
    /// `g / (sqrt(v) + eps)`: PyTorch.
    OutsideRoot,
}

/// The RMSProp optimiser. Moments: `square` (mean squared gradient), `mean` (mean gradient, used if
/// centred), `momentum`.
#[derive(Debug)]
pub struct RmsProp {
    config: RmsPropConfig,
    /// The step size before anyone changed it.
    configured_rate: f64,
    moments: Moments,
}

impl RmsProp {
    /// An optimiser that has seen nothing yet.
    pub fn build(config: RmsPropConfig) -> Result<Box<dyn Optimizer>, String> {
        ranges::positive("learning_rate", config.learning_rate)?;
        ranges::decay("decay", config.decay)?;
        ranges::decay("momentum", config.momentum)?;
        ranges::not_negative("eps", config.eps)?;
        ranges::require(
            config.eps > 0.0 || !config.centered,
            "eps",
            config.eps,
            "above 0 if centered",
        )?;
        let names: &[&str] = match (config.centered, config.momentum > 0.0) {
            (false, false) => &["square"],
            (true, false) => &["square", "mean"],
            (false, true) => &["square", "momentum"],
            (true, true) => &["square", "mean", "momentum"],
        };
        Ok(Box::new(Self {
            configured_rate: config.learning_rate,
            config,
            moments: Moments::new(names),
        }))
    }
}

impl RmsPropConfig {
    fn fused(&self) -> fused::RmsProp {
        fused::RmsProp {
            learning_rate: self.learning_rate,
            decay: self.decay,
            eps: self.eps,
            is_inside_root: self.eps_position == EpsPosition::InsideRoot,
            is_centered: self.centered,
            momentum: self.momentum,
        }
    }

    /// The root of the mean squared gradient, or of the variance, with eps. In place wherever it can be: a
    /// pass over memory costs more than the arithmetic.
    fn divisor(&self, moments: &[Tensor]) -> Tensor {
        let mut divisor = if self.centered {
            let mut variance = moments[1].square().neg_();
            variance.g_add_(&moments[0]).clamp_min_(0.0) // rounding can go below
        } else {
            moments[0].copy()
        };
        match self.eps_position {
            EpsPosition::InsideRoot => divisor.g_add_scalar_(self.eps).sqrt_(),
            EpsPosition::OutsideRoot => divisor.sqrt_().g_add_scalar_(self.eps),
        }
    }
}

impl Optimizer for RmsProp {
    fn step(&mut self, variables: &Variables) {
        no_grad(|| {
            let (fused, alone) = split(&mut self.moments, variables, false);
            self.config.fused().step(&parts(&fused, &self.moments));
            alone.iter().for_each(|due| self.step_variable(due.name, &due.variable, &due.gradient));
        });
    }

    fn step_variable(&mut self, name: &str, variable: &Tensor, gradient: &Tensor) {
        let RmsPropConfig { learning_rate, decay, centered, momentum, .. } = self.config;
        let moments = &mut self.moments.advance(name, variable).tensors;
        let _ = moments[0].lerp_(&gradient.square(), 1.0 - decay);
        if centered {
            let _ = moments[1].lerp_(gradient, 1.0 - decay);
        }
        let mut divisor = self.config.divisor(moments);
        let mut scaled = divisor.reciprocal_().g_mul_(gradient);
        let mut variable = variable.shallow_clone();
        if momentum > 0.0 {
            let velocity = moments.last_mut().expect("made with momentum");
            scaled = velocity.g_mul_scalar_(momentum).g_add_(&scaled).copy();
        }
        let _ = variable.g_sub_(&scaled.g_mul_scalar_(learning_rate));
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_diagonal(&self) -> bool {
        true
    }

    fn divisor(&self, name: &str) -> Option<Tensor> {
        Some(self.config.divisor(&self.moments.get(name)?.tensors))
    }

    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn safe_gradient(&self) -> f64 {
        let floor = match self.config.eps_position {
            EpsPosition::InsideRoot => self.config.eps.sqrt(),
            EpsPosition::OutsideRoot => self.config.eps,
        };
        safe_gradient(self.config.learning_rate, floor)
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

impl Checkpoint for RmsProp {
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
    use crate::optimizer::testing::{assert_close, numbers, variable, walk};

    fn after(config: RmsPropConfig, gradients: &[f64]) -> Vec<f32> {
        walk(RmsProp::build(config).expect("valid settings").as_mut(), gradients)
    }

    #[test]
    fn first_centred_step_by_hand() {
        // v = .05 * 2^2 = .2, m = .05 * 2 = .1, v - m^2 = .19.
        let inside = RmsPropConfig { learning_rate: 0.1, eps: 0.01, ..RmsPropConfig::default() };
        let outside = RmsPropConfig { eps_position: EpsPosition::OutsideRoot, ..inside.clone() };
        assert_close(&after(inside, &[2.0]), &[-0.2 / 0.2f32.sqrt()]);
        assert_close(&after(outside, &[2.0]), &[-0.2 / (0.19f32.sqrt() + 0.01)]);
    }

    #[test]
    fn two_plain_steps_by_hand() {
        // v = .25 * 2^2 = 1, then .75 * 1 + .25 * 5^2 = 7.
        let config = RmsPropConfig {
            learning_rate: 1.0,
            decay: 0.75,
            eps: 2.0,
            centered: false,
            ..RmsPropConfig::default()
        };
        let outside = RmsPropConfig { eps_position: EpsPosition::OutsideRoot, ..config.clone() };
        let first = -2.0 / 3f32.sqrt();
        assert_close(&after(config, &[2.0, 5.0]), &[first, first - 5.0 / 3.0]);
        let first = -2.0 / 3.0;
        assert_close(&after(outside, &[2.0, 5.0]), &[first, first - 5.0 / (7f32.sqrt() + 2.0)]);
    }

    #[test]
    fn momentum_keeps_a_share_of_the_scaled_gradient() {
        // decay 0: v = g^2, so each scaled gradient is g / sqrt(g^2 + 7), here 3 / 4; then 1.5 times it.
        let config = RmsPropConfig {
            learning_rate: 1.0,
            decay: 0.0,
            eps: 7.0,
            centered: false,
            momentum: 0.5,
            ..RmsPropConfig::default()
        };
        assert_close(&after(config, &[3.0, 3.0]), &[-0.75, -0.75 - 1.125]);
    }

    /// Coming from above, f32 means stop short of their limits: the mean too high by twice as much in its
    /// square as the mean square.
    #[test]
    fn steady_gradients_do_not_make_the_centred_variance_negative() {
        let config = RmsPropConfig { eps: 1e-12, ..RmsPropConfig::default() };
        let mut optimizer = RmsProp::build(config).expect("valid settings");
        let variables = variable(&[1000], &[0.0; 1000]);
        let gradients = Tensor::arange(1000, (tch::Kind::Float, tch::Device::Cpu)) * 0.37;
        for step in 0..600 {
            variables.zero_grad();
            let scale = if step == 0 { 100.0 } else { 1.0 };
            let loss = variables.get("w").expect("w") * &gradients * scale;
            loss.sum(tch::Kind::Float).backward();
            optimizer.step(&variables);
        }
        let lost = numbers(&variables).iter().filter(|value| !value.is_finite()).count();
        assert_eq!(lost, 0, "v - m^2 rounds below 0");
    }
}
