//! TRAC: a parameter-free wrapper of the optimiser.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use pliant_core::{
    error::{Error, Result},
    intervention::{Hook, Intervention},
    learner::Learner,
    ranges::positive,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::memory::Memory;

/// TRAC (Muppidi et al., 2024, algorithms 1 and 2) around the configured optimiser: parameters are kept at
/// `reference + S * distance`, where the reference are the parameters before the first step, the
/// distance is what the optimiser's steps add up to, and the scale S is the sum of one-dimensional tuners,
/// one for each discount, that learn from how gradient and distance lie to each other. As in the authors'
/// program the distance before a step is found from the parameters; what other interventions changed since
/// the last step (a reset) moves the reference along, so that it stays. Reference and tuners are remembered and saved; target network and moments stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracConfig {
    /// Discounts of the tuners, one tuner each.
    pub betas: Vec<f64>,
    /// The scale that each tuner begins with.
    pub first_scale: f64,
    /// Added to divisors.
    pub eps: f64,
}

impl Default for TracConfig {
    fn default() -> Self {
        let betas = vec![0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
        Self { betas, first_scale: 1e-8, eps: 1e-8 }
    }
}

impl HasSchedule for TracConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// A one-dimensional tuner.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Tuner {
    beta: f64,
    variance: f64,
    sigma: f64,
    scale: f64,
}

impl Tuner {
    fn new(beta: f64) -> Self {
        Self { beta, variance: 0.0, sigma: 1e-8, scale: 0.0 }
    }

    /// Takes in `h = <gradient, distance>`.
    fn observe(&mut self, h: f64, first_scale: f64, eps: f64) {
        self.variance = self.beta * self.beta * self.variance + h * h;
        self.sigma = self.beta * self.sigma - h;
        let argument = self.sigma / (SQRT_2 * self.variance.sqrt() + eps);
        self.scale = first_scale / erfi(FRAC_1_SQRT_2) * erfi(argument);
    }
}

fn is_discount(beta: &f64) -> bool {
    (0.0..=1.0).contains(beta)
}

/// The imaginary error function, `2 / sqrt(pi) * sum x^(2n + 1) / (n! (2n + 1))`.
fn erfi(x: f64) -> f64 {
    let (mut power, mut sum) = (x, x);
    for n in 1..10_000 {
        power *= x * x / f64::from(n);
        let term = power / f64::from(2 * n + 1);
        sum += term;
        if term.abs() <= sum.abs() * f64::EPSILON {
            break;
        }
    }
    FRAC_2_SQRT_PI * sum
}

/// Scales the distance from the reference.
#[derive(Debug)]
pub struct Trac {
    config: TracConfig,
    window: UpdateWindow,
    tuners: Vec<Tuner>,
    reference: Memory,
    /// The parameters as the last step left them.
    left: Memory,
    /// Parameters before the optimiser's step.
    before: Vec<(String, Tensor)>,
    /// `<gradient, distance>` before the optimiser's step.
    inner_product: f64,
}

impl Trac {
    /// Checks the settings.
    pub fn build(config: Scheduled<TracConfig>) -> Result<Box<dyn Intervention>, String> {
        let Scheduled { config, schedule: window } = config;
        if config.betas.is_empty() || !config.betas.iter().all(is_discount) {
            return Err(format!(
                "`betas` are {:?}, expected one or more numbers from 0 to 1",
                config.betas
            ));
        }
        positive("first_scale", config.first_scale)?;
        positive("eps", config.eps)?;
        let tuners = config.betas.iter().map(|beta| Tuner::new(*beta)).collect();
        let (reference, left) = (Memory::default(), Memory::default());
        let (before, inner_product) = (Vec::new(), 0.0);
        Ok(Box::new(Self { config, window, tuners, reference, left, before, inner_product }))
    }

    /// The tuners' sum, and 0 where that is negative.
    fn scale(&self) -> f64 {
        let sum = self.tuners.iter().map(|tuner| tuner.scale).sum::<f64>();
        if sum < 0.0 { 0.0 } else { sum }
    }

    /// Moves a parameter's reference by what others changed since the last step.
    fn follow(&mut self, name: &str, present: &Tensor) -> Result<()> {
        let left = self.left.of_shape_or(name, present, || present.copy())?;
        let moved = present - &*left;
        let reference = self.reference.of_shape_or(name, present, || present.copy())?;
        let _ = reference.g_add_(&moved);
        Ok(())
    }

    /// `(parameter - reference) / (S + eps)`.
    fn distance(&mut self, name: &str, parameter: &Tensor) -> Result<Tensor> {
        let divisor = self.scale() + self.config.eps;
        let reference = self.reference.of_shape_or(name, parameter, || parameter.copy())?;
        Ok((parameter - &*reference) / divisor)
    }
}

impl Intervention for Trac {
    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(self.window.start_updates)
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    /// From here the scale grows a few thousand-fold in one update at most: `h^2` is in the variance, so the
    /// argument of `erfi` by 0.7.
    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        self.scale() > 1e3 || self.config.first_scale > 1.0 || self.config.eps < 1e-12
    }

    fn before_step(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        self.before.clear();
        if !self.window.contains(learner.updates + 1) {
            return Ok(());
        }
        let mut products: Option<Tensor> = None;
        for (name, parameter) in learner.online.variables().with_gradients() {
            let present = parameter.detach().copy();
            self.follow(name, &present)?;
            let product = (self.distance(name, &present)? * parameter.grad()).sum(Kind::Double);
            products = Some(products.map_or_else(|| product.copy(), |sum| sum + &product));
            self.before.push((name.to_owned(), present));
        }
        self.inner_product = products.map_or(0.0, |sum| sum.double_value(&[]));
        Ok(())
    }

    fn after_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let before = std::mem::take(&mut self.before);
        if before.is_empty() {
            return Ok(());
        }
        let named = |(name, old): (String, Tensor)| {
            let parameter =
                learner.online.variables().get(&name).expect("there at the step before");
            let distance = self.distance(&name, &old)? + (parameter.detach() - old);
            Ok((name, parameter.shallow_clone(), distance))
        };
        let distances = before.into_iter().map(named).collect::<Result<Vec<_>>>()?;
        for tuner in &mut self.tuners {
            tuner.observe(self.inner_product, self.config.first_scale, self.config.eps);
        }
        let scale = self.scale();
        if !scale.is_finite() {
            return Err(Error::Invalid("its scale has grown beyond all numbers".to_owned()));
        }
        for (name, mut parameter, distance) in distances {
            let reference =
                self.reference.of_shape_or(&name, &distance, || distance.zeros_like())?;
            parameter.copy_(&(&*reference + distance * scale));
            self.left.set(&name, parameter.detach().copy());
        }
        hook.metrics.scalar("trac/scale", scale);
        Ok(())
    }
}

impl Checkpoint for Trac {
    fn save(&self, state: &mut StateDict) {
        state.put("tuners", &self.tuners);
        state.put_part("reference", &self.reference);
        state.put_part("left", &self.left);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.tuners = state.get("tuners")?;
        if self.tuners.is_empty() || !self.tuners.iter().all(|tuner| is_discount(&tuner.beta)) {
            return Err(Error::State("the `beta` of a tuner is no number from 0 to 1".to_owned()));
        }
        state.load_part("reference", &mut self.reference)?;
        state.load_part("left", &mut self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn the_imaginary_error_function_as_in_tables() {
        // scipy.special.erfi.
        for (x, expected) in [
            (0.5, 0.614_952_094_696_510_9),
            (FRAC_1_SQRT_2, 0.953_438_269_251_260_9),
            (1.0, 1.650_425_758_797_542_9),
            (3.0, 1_629.994_622_601_565_7),
        ] {
            assert!((erfi(x) / expected - 1.0).abs() < 1e-14, "erfi({x}) is {}", erfi(x));
            assert_eq!(erfi(-x), -erfi(x));
        }
    }

    /// With one parameter that matters: reference 2, gradient 2 of y^2 / 2 at y = 2.
    #[test]
    fn two_steps_by_hand() {
        let config = TracConfig { betas: vec![0.5], first_scale: 0.1, eps: 1e-8 };
        let mut setting = Setting::with_sgd(Trac::build(config.into()), 1, 0.25);
        for name in ["dense1/weight", "dense2/weight", "output/weight"] {
            setting.set(name, &[0.0]);
        }
        for name in ["dense1/bias", "dense2/bias"] {
            setting.set(name, &[-1.0]);
        }
        setting.set("output/bias", &[2.0]);
        setting.update(1);
        // First step: the distance was 0, so h = 0, sigma = .5e-8 and the tuner's argument is
        // .5e-8 / 1e-8 = .5. The distance becomes -.25 * 2 = -.5.
        let unit = 0.1 / erfi(FRAC_1_SQRT_2);
        let first_scale = unit * erfi(0.5);
        let first = 2.0 - 0.5 * first_scale;
        let bias = |setting: &Setting| f64::from(setting.numbers("output/bias")[0]);
        assert!((bias(&setting) - first).abs() < 1e-6, "{} not {first}", bias(&setting));
        setting.update(1);
        // Second: h = -.5 * y = -.5 * first, variance h^2, sigma .25e-8 - h.
        let h = -0.5 * first;
        let scale = unit * erfi((0.25e-8 - h) / (SQRT_2 * -h + 1e-8));
        let second = 2.0 + (-0.5 - 0.25 * first) * scale;
        assert!((bias(&setting) - second).abs() < 1e-5, "{} not {second}", bias(&setting));
    }

    #[test]
    fn what_others_change_moves_the_reference_and_stays() {
        let config = TracConfig { first_scale: 1e-8, ..TracConfig::default() };
        let mut setting = Setting::with_sgd(Trac::build(config.into()), 2, 0.1);
        setting.update(3);
        let before = setting.numbers("dense2/weight");
        let elsewhere: Vec<f32> = before.iter().map(|weight| weight + 4.0).collect();
        setting.set("dense2/weight", &elsewhere);
        setting.update(5);
        let after = setting.numbers("dense2/weight");
        for (is, was) in after.iter().zip(&elsewhere) {
            assert!((is - was).abs() < 1e-3, "{after:?}, set to {elsewhere:?}");
        }
    }

    #[test]
    fn a_negative_sum_of_scales_is_none_and_no_number_stays_none() {
        let of = |scales: [f64; 2]| {
            let tuners = scales.map(|scale| Tuner { scale, ..Tuner::new(0.5) }).to_vec();
            let (window, config) = (UpdateWindow::always(), TracConfig::default());
            let (reference, left) = (Memory::default(), Memory::default());
            let before = Vec::new();
            Trac { config, window, tuners, reference, left, before, inner_product: 0.0 }.scale()
        };
        assert_eq!([of([3.0, -1.0]), of([1.0, -3.0])], [2.0, 0.0]);
        assert!(of([1.0, f64::NAN]).is_nan());
    }
}
