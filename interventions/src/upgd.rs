//! Utility-based perturbed gradient descent.

use std::collections::BTreeMap;

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::Model,
    ranges::{decay, not_negative},
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    state::{Checkpoint, StateDict},
    tch::Tensor,
};
use serde::{Deserialize, Serialize};

use crate::memory::Memory;

/// UPGD (Elsayed & Mahmood, 2024, algorithm 1): whatever step the optimiser makes, noise is added to it and
/// the whole is multiplied by 1 - u for every single parameter, where u is the sigmoid of its utility, a
/// running mean of -gradient * value, over the greatest of the network: useful parameters are protected,
/// others perturbed. As in the authors' program the mean is corrected for its beginning at 0 and the
/// greatest (by its size, should all be negative) is not; their program's factor of 2 is left to the
/// learning rate. With SGD this is the paper's update. Utilities are remembered and saved, also of what is
/// drawn anew; target network
/// and moments stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpgdConfig {
    /// Decay of the utility's running mean, per update.
    pub beta_utility: f64,
    /// Standard deviation of the noise, which is multiplied by the learning rate like a gradient.
    pub sigma: f64,
    /// Decoupled weight decay: each update takes away `learning_rate * weight_decay` of every parameter.
    pub weight_decay: f64,
}

impl Default for UpgdConfig {
    fn default() -> Self {
        Self { beta_utility: 0.999, sigma: 1e-3, weight_decay: 1e-3 }
    }
}

impl HasSchedule for UpgdConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Gates and perturbs the optimiser's steps.
#[derive(Debug)]
pub struct Upgd {
    config: UpgdConfig,
    window: UpdateWindow,
    /// Running means by parameter.
    utilities: Memory,
    /// Updates that a parameter's means have seen.
    seen: BTreeMap<String, u64>,
    /// The parameters and their gates from before to after the optimiser's step.
    before: Vec<Gated>,
}

#[derive(Debug)]
struct Gated {
    name: String,
    value: Tensor,
    /// `1 - u`.
    openness: Tensor,
}

impl Upgd {
    /// Checks the settings.
    pub fn build(config: Scheduled<UpgdConfig>) -> Result<Box<dyn Intervention>, String> {
        let Scheduled { config, schedule: window } = config;
        decay("beta_utility", config.beta_utility)?;
        not_negative("sigma", config.sigma)?;
        not_negative("weight_decay", config.weight_decay)?;
        let utilities = Memory::default();
        Ok(Box::new(Self { config, window, utilities, seen: BTreeMap::new(), before: Vec::new() }))
    }

    /// Brings the utilities up to date; the greatest of them, f32 `[]`.
    fn update_utilities(&mut self, model: &Model) -> Result<Option<Tensor>> {
        let beta = self.config.beta_utility;
        let mut greatest: Option<Tensor> = None;
        for (name, parameter) in model.variables().with_gradients() {
            let utilities =
                self.utilities.of_shape_or(name, parameter, || parameter.zeros_like())?;
            let present = parameter.detach() * parameter.grad() * (beta - 1.0);
            let _ = utilities.g_mul_scalar_(beta).g_add_(&present);
            let seen = self.seen.entry(name.to_owned()).or_default();
            *seen = seen.saturating_add(1);
            let most = utilities.max();
            greatest = Some(greatest.map_or_else(|| most.copy(), |so_far| so_far.maximum(&most)));
        }
        Ok(greatest)
    }
}

impl Intervention for Upgd {
    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(self.window.start_updates)
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    /// Gates are from 0 to 1; what they gate is a sound step.
    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        self.config.sigma > 1e6 || self.config.weight_decay > 1.0
    }

    fn before_step(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        self.before.clear();
        if !self.window.contains(learner.updates + 1) {
            return Ok(());
        }
        let Some(greatest) = self.update_utilities(&learner.online)? else { return Ok(()) };
        let greatest = greatest.abs();
        for (name, parameter) in learner.online.variables().with_gradients() {
            let utilities =
                self.utilities.of_shape_or(name, parameter, || parameter.zeros_like())?;
            let correction = 1.0 - self.config.beta_utility.powf(self.seen[name] as f64);
            // Of a network whose greatest utility is 0 nothing is known: u = 1/2.
            let scaled =
                (&*utilities / correction / &greatest).nan_to_num(0.0, None::<f64>, None::<f64>);
            let openness = scaled.neg().sigmoid();
            let value = parameter.detach().copy();
            self.before.push(Gated { name: name.to_owned(), value, openness });
        }
        Ok(())
    }

    fn after_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let rate = learner.optimizer.learning_rate();
        let UpgdConfig { sigma, weight_decay, .. } = self.config;
        for Gated { name, value, openness } in self.before.drain(..) {
            let Some(parameter) = learner.online.variables().get(&name) else { continue };
            let noise = hook.stream.normal(&value.size(), sigma).to_device(value.device());
            let step = parameter.detach() - &value - noise * rate;
            let kept = &value * (1.0 - rate * weight_decay);
            parameter.shallow_clone().copy_(&(kept + step * openness));
        }
        Ok(())
    }
}

impl Checkpoint for Upgd {
    fn save(&self, state: &mut StateDict) {
        state.put("seen", &self.seen);
        state.put_part("utilities", &self.utilities);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.seen = state.get("seen")?;
        state.load_part("utilities", &mut self.utilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WeightClipping, WeightClippingConfig, testing::Setting};

    /// y = v w b: gradients of y^2 / 2, utilities -g * value, gates by the paper's formula.
    #[test]
    fn one_step_of_sgd_by_hand() {
        let config = UpgdConfig { beta_utility: 0.9, sigma: 0.0, weight_decay: 0.5 };
        let mut setting = Setting::with_sgd(Upgd::build(config.into()), 1, 0.1);
        setting.set("dense1/weight", &[1.0]);
        setting.set("dense1/bias", &[0.0]);
        setting.set("dense2/weight", &[2.0]);
        setting.set("dense2/bias", &[-1.0]);
        setting.set("output/weight", &[3.0]);
        setting.set("output/bias", &[-1.0]);
        setting.update(1);
        // h1 = 1, h2 = 1, y = 2. Gradients: output weight 2, bias 2, dense2 weight and bias 6, dense1
        // weight and bias 12. Utilities -g * value: -6, 2, -12, 6, -12, 0; the greatest is 6 (the
        // correction makes the running mean the value itself at the first step).
        let gate = |utility: f64| 1.0 / (1.0 + f64::exp(utility / 6.0));
        let expected = |value: f64, gradient: f64, utility: f64| {
            value * (1.0 - 0.1 * 0.5) - 0.1 * gradient * gate(utility * 1.0)
        };
        // The mean and the greatest are both (1 - beta) times as large before the correction, which
        // is applied to the mean alone, as in the authors' program.
        let corrected = |utility: f64| utility / 0.1;
        let cases = [
            ("output/weight", 3.0, 2.0, -6.0),
            ("output/bias", -1.0, 2.0, 2.0),
            ("dense2/weight", 2.0, 6.0, -12.0),
            ("dense2/bias", -1.0, 6.0, 6.0),
            ("dense1/weight", 1.0, 12.0, -12.0),
        ];
        for (name, value, gradient, utility) in cases {
            let actual = f64::from(setting.numbers(name)[0]);
            let expected = expected(value, gradient, corrected(utility));
            assert!((actual - expected).abs() < 1e-5, "{name}: {actual}, expected {expected}");
        }
    }

    #[test]
    fn what_others_do_beside_the_step_is_not_gated() {
        let clip = WeightClipping::build(WeightClippingConfig { kappa: 0.5 }.into());
        let still = UpgdConfig { beta_utility: 0.9, sigma: 0.0, weight_decay: 0.0 };
        let mut setting = Setting::with_several(vec![clip, Upgd::build(still.into())], 1, 1e-9);
        setting.set("dense2/weight", &[8.0]);
        setting.update(1);
        assert_eq!(setting.numbers("dense2/weight"), [0.5], "the clip is whole, not gated");
    }

    #[test]
    fn where_no_parameter_is_useful_all_are_open() {
        let config = UpgdConfig { beta_utility: 0.0, sigma: 0.0, weight_decay: 0.0 };
        let mut setting = Setting::with_sgd(Upgd::build(config.into()), 1, 0.1);
        for name in ["dense1/weight", "dense2/weight", "output/weight", "output/bias"] {
            setting.set(name, &[1.0]);
        }
        for name in ["dense1/bias", "dense2/bias"] {
            setting.set(name, &[1.0]);
        }
        setting.update(1);
        // h1 = 2, h2 = 3, y = 4; gradients: output bias 4, output weight 12, all others but dense2's
        // weight (8) 4. Utilities are their negatives, the greatest -4, so those of -4 are open by
        // sigmoid(1) and the output weight by sigmoid(3).
        let open = |x: f64| 1.0 / (1.0 + f64::exp(-x));
        let expected = [("output/bias", 4.0, 1.0), ("output/weight", 12.0, 3.0)];
        for (name, gradient, x) in expected {
            let actual = f64::from(setting.numbers(name)[0]);
            let expected = 1.0 - 0.1 * gradient * open(x);
            assert!((actual - expected).abs() < 1e-5, "{name}: {actual}, expected {expected}");
        }
    }

    #[test]
    fn noise_is_a_gradient_and_is_multiplied_by_the_rate() {
        let after = |learning_rate| {
            let config = UpgdConfig { sigma: 1.0, weight_decay: 0.0, ..UpgdConfig::default() };
            let mut setting = Setting::with_sgd(Upgd::build(config.into()), 64, learning_rate);
            // Nothing gets through, so dense1 has a gradient of 0, a utility of 0 and a gate of 1/2.
            setting.set("dense2/weight", &[0.0; 64 * 64]);
            setting.set("dense2/bias", &[-1.0; 64]);
            setting.set("dense1/weight", &[0.0; 64]);
            setting.update(1);
            let squares =
                setting.numbers("dense1/weight").into_iter().map(|w| f64::from(w).powi(2));
            (squares.sum::<f64>() / 64.0).sqrt()
        };
        // 64 draws: the standard deviation is within 5 / sqrt(128) of itself.
        let (small, large) = (after(0.01), after(0.1));
        assert!((small / 0.005 - 1.0).abs() < 0.45, "{small}");
        assert!((large / small - 10.0).abs() < 1e-3, "{large} and {small}: the same draws");
    }
}
