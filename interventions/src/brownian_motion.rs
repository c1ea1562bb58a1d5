//! A random walk in the place of learning.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

/// A random walk in the place of learning, the control of figure 2 of Lyle et al. (2023): whatever step the optimiser
/// makes, a Gaussian one of the same norm over the whole network is made in its place. With one seed the walk begins at
/// the parameters that learning begins at. The norm is that of the gradient step at the walk's own parameters, as
/// nothing else is known of a twin that learns; where gradients grow along the way the two come to differ. Target network
/// and moments are as they would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrownianMotionConfig {}

impl HasSchedule for BrownianMotionConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Replaces the optimiser's steps.
#[derive(Debug)]
pub struct BrownianMotion {
    window: UpdateWindow,
    /// The parameters and their values before the optimiser's step.
    before: Vec<(String, Tensor)>,
}

impl BrownianMotion {
    /// It has no settings but its schedule.
    pub fn build(config: Scheduled<BrownianMotionConfig>) -> Result<Box<dyn Intervention>, String> {
        Ok(Box::new(Self { window: config.schedule, before: Vec::new() }))
    }
}

impl Intervention for BrownianMotion {
    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(self.window.start_updates)
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    /// As long as the step that it replaces.
    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }

    fn before_step(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        self.before.clear();
        if self.window.contains(learner.updates + 1) {
            let named = |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.detach().copy());
            self.before.extend(learner.online.variables().with_gradients().map(named));
        }
        Ok(())
    }

    fn after_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let before: Vec<(String, Tensor)> = self.before.drain(..).collect();
        if before.is_empty() {
            return Ok(()); // outside of its window
        }
        let parameters = |name: &str| learner.online.variables().get(name);
        let steps = before.iter().filter_map(|(name, old)| Some(parameters(name)?.detach() - old));
        let length = norm(&steps.collect::<Vec<_>>());
        let noise: Vec<Tensor> = before
            .iter()
            .map(|(_, old)| hook.stream.normal(&old.size(), 1.0).to_device(old.device()))
            .collect();
        let of_noise = norm(&noise);
        let factor = if of_noise > 0.0 { length / of_noise } else { 0.0 };
        for ((name, old), noise) in before.iter().zip(&noise) {
            if let Some(parameter) = parameters(name) {
                parameter.shallow_clone().copy_(&(old + noise * factor));
            }
        }
        hook.metrics.scalar(format!("{}/step_norm", hook.name), length);
        Ok(())
    }
}

pliant_core::stateless!(BrownianMotion);

/// The Euclidean norm of all of them together.
fn norm(tensors: &[Tensor]) -> f64 {
    let squares = |tensor: &Tensor| tensor.square().sum(Kind::Double).double_value(&[]);
    tensors.iter().map(squares).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    const NAMES: [&str; 6] = [
        "dense1/weight",
        "dense1/bias",
        "dense2/weight",
        "dense2/bias",
        "output/weight",
        "output/bias",
    ];

    fn all(setting: &Setting) -> Vec<f64> {
        NAMES.iter().flat_map(|name| setting.numbers(name)).map(f64::from).collect()
    }

    fn walking(config: Scheduled<BrownianMotionConfig>) -> Setting {
        Setting::with_sgd(BrownianMotion::build(config), 16, 0.1)
    }

    /// The step from the first parameters.
    fn step(mut setting: Setting) -> Vec<f64> {
        let before = all(&setting);
        setting.update(1);
        all(&setting).iter().zip(&before).map(|(new, old)| new - old).collect()
    }

    fn norm_of(step: &[f64]) -> f64 {
        step.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    #[test]
    fn its_steps_are_as_long_as_those_of_the_optimiser_and_go_elsewhere() {
        let mut later = Scheduled::<BrownianMotionConfig>::from(BrownianMotionConfig::default());
        later.schedule.start_updates = 10;
        let learned = step(walking(later));
        let walked = step(walking(BrownianMotionConfig::default().into()));
        let (a, b) = (norm_of(&learned), norm_of(&walked));
        assert!(a > 0.01 && (a - b).abs() < 1e-5 * a, "{a} and {b}");
        let cosine = learned.iter().zip(&walked).map(|(x, y)| x * y).sum::<f64>() / (a * b);
        // Of 321 dimensions: a standard deviation of 0.056, and 1 in 10^6 beyond five of them.
        assert!(cosine.abs() < 5.0 * 0.056, "{cosine}");
        assert!(walked.iter().all(|x| *x != 0.0), "also where there was no gradient");
    }

    #[test]
    fn where_nothing_is_learned_nothing_moves() {
        let setting = Setting::with_sgd(
            BrownianMotion::build(BrownianMotionConfig::default().into()),
            16,
            f64::MIN_POSITIVE,
        );
        assert!(norm_of(&step(setting)) < 1e-12);
    }
}
