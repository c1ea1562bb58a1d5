//! The plasticity probe.

use pliant_core::{
    clock::Every,
    error::Result,
    metrics::{Axis, Curves, Line, Metrics, Value},
    network::Model,
    probe::{Probe, Subject},
    ranges::positive,
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::check_steps_batch,
    fit::{Fit, Goal, OptimizerState, Protocol, by_one_thread, fit_all, mean_and_std},
    reference::Reference,
};

/// How well a copy of the network still fits new targets (Lyle et al., 2023, equations 4 and 5): for each of
/// `targets` freshly drawn networks w0, `g(x) = a + sin(scale * f(x; w0))`, where a is the present mean
/// prediction and x are observations from the replay; a copy is trained on the squared error (averaged over
/// actions) by the primary task's optimiser for `steps` steps. Interventions that are not part of the network
/// have no part in it. `plasticity/initial_loss` and `/final_loss` are of all x; `/baseline` b is the targets'
/// variance (per action, averaged), `/plasticity` P = b - final loss; each a mean over targets, with its
/// standard deviation over them (`/final_loss_std`) and each target's own (`/final_loss/target_N`). `/change`
/// is the final loss minus that of the first measurement (the paper's loss of plasticity), which was made
/// after `/reference_updates` updates: 0 if `agent.learning_starts` is at least `observations`. The figure
/// `plasticity/curves` shows learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlasticityConfig {
    /// Networks whose outputs are to be fitted.
    pub targets: u32,
    /// Optimiser steps on each.
    pub steps: u32,
    /// Observations per step, at most `observations`. The paper does not say.
    pub batch_size: u32,
    /// Observations that are drawn from the replay and learned from. The paper does not say.
    pub observations: u32,
    /// What outputs of w0 are multiplied by before the sine: 1e5 in the paper.
    pub scale: f64,
    /// The mean prediction a, over all actions or for each. The paper does not say.
    pub offset: Offset,
    /// The optimiser's moments at the beginning. The paper does not say.
    pub optimizer_state: OptimizerState,
}

/// The mean prediction that targets lie around.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Offset {
    /// One number: over observations and actions.
    #[default]
    Scalar,
    /// One for each action.
    PerAction,
}

impl Default for PlasticityConfig {
    fn default() -> Self {
        Self {
            targets: 10,
            steps: 2000,
            batch_size: 128,
            observations: 2048,
            scale: 1e5,
            offset: Offset::Scalar,
            optimizer_state: OptimizerState::Fresh,
        }
    }
}

impl HasSchedule for PlasticityConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Trains copies on new targets.
#[derive(Debug)]
pub struct Plasticity {
    config: Scheduled<PlasticityConfig>,
    /// The mean final loss of the first measurement.
    first: Reference,
}

impl Plasticity {
    /// Checks the settings.
    pub fn build(config: Scheduled<PlasticityConfig>) -> Result<Box<dyn Probe>, String> {
        let PlasticityConfig { targets, steps, batch_size, observations, scale, .. } =
            config.config;
        for (key, value, most) in [("targets", targets, 1000), ("steps", steps, 1_000_000)] {
            if !(1..=most).contains(&value) {
                return Err(format!("`{key}` is {value}, expected 1 to {most}"));
            }
        }
        if !(2..=MOST_OBSERVATIONS).contains(&observations) {
            return Err(format!(
                "`observations` is {observations}, expected 2 to {MOST_OBSERVATIONS}"
            ));
        }
        check_steps_batch(batch_size, observations)?;
        positive("scale", scale)?;
        Ok(Box::new(Self { config, first: Reference::default() }))
    }
}

const MOST_OBSERVATIONS: u32 = 1 << 20;

impl Probe for Plasticity {
    fn every(&self) -> Every {
        self.config.schedule.every()
    }

    fn needs(&self) -> u64 {
        self.config.config.observations.into()
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let config = &self.config.config;
        let batch = subject.draw(config.observations, stream);
        let online = &subject.learner.online;
        let present = by_one_thread(|| q_values(online, &batch.s_tm1));
        let offset = offset(&present, config.offset);
        let mut goals = Vec::new();
        let mut baselines = Vec::new();
        for _ in 0..config.targets {
            let fresh = online.redraw(stream);
            let outputs = by_one_thread(|| q_values(&fresh, &batch.s_tm1));
            let values = targets(&outputs, &offset, config.scale);
            baselines.push(baseline(&values));
            goals.push((Goal::Values(values), stream.split()));
        }
        let protocol = Protocol {
            steps: config.steps,
            batch_size: config.batch_size,
            state: config.optimizer_state,
        };
        let watch = ("plasticity", subject.watch);
        let fits = fit_all(subject.learner, &batch.s_tm1, goals, protocol, watch)?;
        self.report(&fits, &baselines, subject.clock.updates, metrics);
        Ok(())
    }
}

impl Plasticity {
    fn report(&mut self, fits: &[Fit], baselines: &[f64], updates: u64, metrics: &mut Metrics) {
        let of = |value: fn(&Fit) -> f64| -> Vec<f64> { fits.iter().map(value).collect() };
        let last = of(|fit| fit.last);
        let learned: Vec<f64> = baselines.iter().zip(&last).map(|(b, last)| b - last).collect();
        over_targets("plasticity/initial_loss", &of(|fit| fit.initial), metrics);
        over_targets("plasticity/final_loss", &last, metrics);
        over_targets("plasticity/baseline", baselines, metrics);
        over_targets("plasticity/plasticity", &learned, metrics);
        self.first.report("plasticity", mean_and_std(&last).0, updates, metrics);
        let (baseline, _) = mean_and_std(baselines);
        metrics.add("plasticity/curves", Value::Curves(learning_curves(fits, "loss", baseline)));
    }
}

/// Mean (`TAG`), standard deviation (`TAG_std`) and each target's own (`TAG/target_N`).
pub(crate) fn over_targets(tag: &str, values: &[f64], metrics: &mut Metrics) {
    let (mean, spread) = mean_and_std(values);
    metrics.scalar(tag, mean);
    metrics.scalar(format!("{tag}_std"), spread);
    for (index, value) in values.iter().enumerate() {
        metrics.scalar(format!("{tag}/target_{index}"), *value);
    }
}

/// The mean over goals with the standard deviation as a band, and a level to compare with.
pub(crate) fn learning_curves(fits: &[Fit], label: &str, level: f64) -> Curves {
    let points = fits.first().map_or(0, |fit| fit.curve.len());
    let at = |index: usize| -> Vec<f64> { fits.iter().map(|fit| fit.curve[index].1).collect() };
    let mut mean = Line { name: "mean ± std over targets".to_owned(), ..Line::default() };
    for index in 0..points {
        let step = fits[0].curve[index].0;
        let (center, spread) = mean_and_std(&at(index));
        mean.points.push((step, center));
        mean.band.push((center - spread, center + spread));
    }
    let ends = [0, points.saturating_sub(1)].map(|index| (fits[0].curve[index].0, level));
    let level =
        Line { name: "nothing learned".to_owned(), points: ends.to_vec(), band: Vec::new() };
    Curves { x: Axis::linear("step"), y: Axis::linear(label), lines: vec![mean, level] }
}

impl Checkpoint for Plasticity {
    fn save(&self, state: &mut StateDict) {
        state.put("first", &self.first);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.first = state.get("first")?;
        Ok(())
    }
}

/// Of observations, a few at a time.
fn q_values(model: &Model, observations: &Tensor) -> Tensor {
    no_grad(|| {
        let parts: Vec<Tensor> =
            observations.split(512, 0).iter().map(|some| model.q_values(some)).collect();
        Tensor::cat(&parts, 0)
    })
}

/// f64 `[1]` or `[actions]` of Q-values `[observations, actions]`.
fn offset(q: &Tensor, kind: Offset) -> Tensor {
    let q = q.to_kind(Kind::Double);
    match kind {
        Offset::Scalar => q.mean(Kind::Double).reshape([1]),
        Offset::PerAction => q.mean_dim([0i64].as_slice(), false, Kind::Double),
    }
}

/// `a + sin(scale * f)`, the sine in f64: f32 `[observations, actions]`.
fn targets(outputs: &Tensor, offset: &Tensor, scale: f64) -> Tensor {
    ((outputs.to_kind(Kind::Double) * scale).sin() + offset).to_kind(Kind::Float)
}

/// The loss of the best constant for each action: the targets' variance over observations, averaged over
/// actions.
fn baseline(targets: &Tensor) -> f64 {
    let variance = targets.to_kind(Kind::Double).var_dim([0i64].as_slice(), false, false);
    variance.mean(Kind::Double).double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lie_around_the_present_mean_and_b_is_their_variance() {
        let q = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 6.0]).reshape([2, 2]);
        assert_eq!(offset(&q, Offset::Scalar).double_value(&[0]), 3.0);
        let each = Vec::<f64>::try_from(&offset(&q, Offset::PerAction)).expect("f64");
        assert_eq!(each, [2.0, 4.0]);
        let outputs = Tensor::from_slice(&[0.0f32, 1e-5, 1.570_796_4e-5, -1e-5]).reshape([2, 2]);
        let found = targets(&outputs, &offset(&q, Offset::PerAction), 1e5);
        let found = Vec::<f32>::try_from(&found.reshape([-1])).expect("f32");
        let sine = 1f64.sin() as f32;
        for (actual, expected) in found.iter().zip([2.0, 4.0 + sine, 3.0, 4.0 - sine]) {
            assert!((actual - expected).abs() < 1e-6, "{found:?}");
        }
        // Variances of {2, 3} and {4 + s, 4 - s}: 1/4 and s^2.
        let b = baseline(&Tensor::from_slice(&found).reshape([2, 2]));
        assert!((b - (0.25 + f64::from(sine).powi(2)) / 2.0).abs() < 1e-6, "{b}");
    }

    /// Sines by Python of the f32 nearest to these outputs, times 1e5. A product in f32 is off by up to 0.004, the
    /// sine of 1e5 * 1.1 then by 0.0023.
    #[test]
    fn the_sine_is_of_a_product_in_f64() {
        let outputs = Tensor::from_slice(&[0.3f32, -0.7, 1.1, 0.123]).reshape([2, 2]);
        let found = targets(&outputs, &Tensor::from_slice(&[0.0]), 1e5);
        let sines = [-0.803_375_870_8, 0.824_149_776_4, 0.273_674_571_4, -0.617_138_562_9];
        for (actual, expected) in
            Vec::<f32>::try_from(&found.reshape([-1])).expect("f32").iter().zip(sines)
        {
            assert!((f64::from(*actual) - expected).abs() < 1e-6, "{actual}, expected {expected}");
        }
    }

    #[test]
    fn the_change_is_to_the_first_measurement_even_after_a_resume() {
        let fit = |last| Fit { initial: 1.0, last, accuracy: f64::NAN, curve: vec![(1.0, last)] };
        let new = || Plasticity {
            config: PlasticityConfig::default().into(),
            first: Reference::default(),
        };
        let mut probe = new();
        let mut metrics = Metrics::default();
        probe.report(&[fit(0.25), fit(0.75)], &[0.5, 0.5], 7, &mut metrics);
        assert_eq!(metrics.get_scalar("plasticity/change"), Some(0.0));
        assert_eq!(metrics.get_scalar("plasticity/plasticity"), Some(0.0));
        assert_eq!(metrics.get_scalar("plasticity/final_loss/target_1"), Some(0.75));
        assert_eq!(metrics.get_scalar("plasticity/plasticity/target_0"), Some(0.25));
        let deviation = metrics.get_scalar("plasticity/final_loss_std").expect("reported");
        assert!((deviation - 0.125f64.sqrt()).abs() < 1e-12, "{deviation}");
        let mut state = StateDict::default();
        probe.save(&mut state);
        let mut resumed = new();
        resumed.load(&state).expect("saved above");
        resumed.report(&[fit(1.0)], &[0.5], 9, &mut metrics);
        assert_eq!(metrics.get_scalar("plasticity/reference_updates"), Some(7.0));
        assert_eq!(metrics.get_scalar("plasticity/change"), Some(0.5));
        assert_eq!(metrics.get_scalar("plasticity/plasticity"), Some(-0.5));
    }

    #[test]
    fn curves_are_the_mean_over_targets_with_a_deviation_to_either_side() {
        let fit = |losses: [f64; 2]| Fit {
            initial: 0.0,
            last: 0.0,
            accuracy: f64::NAN,
            curve: [10.0, 20.0].into_iter().zip(losses).collect(),
        };
        // Deviations over n - 1: 4 / sqrt 2, then 0.
        let curves = learning_curves(&[fit([1.0, 3.0]), fit([5.0, 3.0])], "loss", 0.5);
        let spread = 8f64.sqrt();
        assert_eq!(curves.lines[0].points, [(10.0, 3.0), (20.0, 3.0)]);
        let band = &curves.lines[0].band;
        assert!((band[0].0 - (3.0 - spread)).abs() < 1e-12, "{band:?}");
        assert!((band[0].1 - (3.0 + spread)).abs() < 1e-12, "{band:?}");
        assert_eq!(band[1], (3.0, 3.0));
        assert_eq!(curves.lines[1].points, [(10.0, 0.5), (20.0, 0.5)]);
    }
}
