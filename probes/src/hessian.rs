//! The density of the Hessian's eigenvalues.

use std::f64::consts::PI;

use pliant_core::{
    clock::Every,
    error::Result,
    metrics::{Axis, Curves, Line, Metrics, Value},
    probe::{Probe, Subject},
    ranges::{positive, require},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::Kind,
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::check_batch,
    curvature::{Hessian as Matrix, Spectrum, lanczos},
    fit::mean_and_std,
    lists::check_list,
    loss::{LossKind, Noise},
};

/// Eigenvalues of the Hessian of the mean loss of a batch, by stochastic Lanczos quadrature with full
/// reorthogonalisation (Ghorbani et al., 2019; shown by Lyle et al., 2023, figure 2), for each loss as
/// `hessian/LOSS/..`: `largest` and `smallest` Ritz value, `trace` (with several draws the
/// standard deviation of theirs, `trace_std`), `negative_mass` (the share of eigenvalues
/// below minus the density's bandwidth), and the figure `density`: the quadrature's points spread by normal
/// distributions, on a log axis. Passes are for evaluation. With few steps or one draw `trace` and `negative_mass` are
/// rough: most eigenvalues are near 0, a step's point stands for many of them, and lies on one side; compare them
/// with the default of 80 steps or more, and with several draws, whose spread `trace_std` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HessianConfig {
    /// Transitions.
    pub batch_size: u32,
    /// Of which losses, each once.
    pub losses: Vec<LossKind>,
    /// How the noise of the loss `probe` is drawn; if unset for each transition: shared, the curvature of the
    /// prediction itself does not average out.
    pub noise: Option<Noise>,
    /// Lanczos steps, each of them a product with the Hessian.
    pub steps: u32,
    /// Random vectors to begin with; the density is their mean.
    pub draws: u32,
    /// Variance of the spreading distributions, of the square of the largest eigenvalue in size.
    pub sigma_squared: f64,
    /// Points of the figure; at least `2 / sqrt(sigma_squared) + 20`, so that none of the peaks lies between two.
    pub grid: u32,
}

impl Default for HessianConfig {
    fn default() -> Self {
        Self {
            batch_size: 512,
            losses: vec![LossKind::Probe, LossKind::Primary],
            noise: None,
            steps: 80,
            draws: 1,
            sigma_squared: 1e-5,
            grid: 2000,
        }
    }
}

impl HasSchedule for HessianConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Standard deviations that the figure shows beyond the outermost eigenvalues.
const MARGIN: f64 = 10.0;

const MOST_POINTS: u32 = 1_000_000;

/// Peaks of this need 632,476 points.
const LEAST_VARIANCE: f64 = 1e-11;

/// Looks at the Hessian.
#[derive(Debug)]
pub struct Hessian(Scheduled<HessianConfig>);

impl Hessian {
    /// Checks the settings.
    pub fn build(config: Scheduled<HessianConfig>) -> Result<Box<dyn Probe>, String> {
        let HessianConfig { batch_size, losses, noise, steps, draws, sigma_squared, grid } =
            &config.config;
        check_batch(*batch_size)?;
        for (key, value) in [("steps", steps), ("draws", draws)] {
            if !(1..=1000).contains(value) {
                return Err(format!("`{key}` is {value}, expected 1 to 1000"));
            }
        }
        check_grid(*grid, *sigma_squared)?;
        let names: Vec<&str> = losses.iter().map(|loss| loss.name()).collect();
        check_list("losses", &names, "probe, primary or both")?;
        Noise::check(*noise, losses)?;
        Ok(Box::new(Self(config)))
    }
}

/// An error unless the figure has a point for every peak.
fn check_grid(grid: u32, sigma_squared: f64) -> Result<(), String> {
    positive("sigma_squared", sigma_squared)?;
    let holds = sigma_squared >= LEAST_VARIANCE;
    require(holds, "sigma_squared", sigma_squared, "at least 1e-11: no `grid` is fine enough")?;
    let least = points_needed(sigma_squared);
    if (least..=f64::from(MOST_POINTS)).contains(&f64::from(grid)) {
        return Ok(());
    }
    Err(format!(
        "`grid` is {grid}, expected {least} to {MOST_POINTS}: with fewer, peaks of `sigma_squared` \
         {sigma_squared} lie between its points"
    ))
}

impl Probe for Hessian {
    fn every(&self) -> Every {
        self.0.schedule.every()
    }

    fn needs(&self) -> u64 {
        self.0.config.batch_size.into()
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let config = &self.0.config;
        let batch = subject.draw(config.batch_size, stream);
        let total = u64::from(config.steps) * u64::from(config.draws) * config.losses.len() as u64;
        let mut done = 0;
        for kind in &config.losses {
            let noise = (config.noise.unwrap_or(Noise::Each), &mut *stream);
            let losses = kind.losses(subject, subject.learner, &batch, noise, None);
            let matrix = Matrix::of(&losses.mean(Kind::Float), &subject.learner.online)?;
            let mut spectra = Vec::new();
            for _ in 0..config.draws {
                let start = stream.normal(&[matrix.size()], 1.0).to_device(losses.device());
                let times = |vector: &_| matrix.times(vector);
                spectra.push(lanczos(times, &start, config.steps as usize, |step| {
                    subject.watch.tell("hessian", done + step as u64, total)
                })?);
                done += u64::from(config.steps);
            }
            report(&spectra, matrix.size(), kind.name(), config, metrics);
        }
        Ok(())
    }
}

pliant_core::stateless!(Hessian);

fn report(
    spectra: &[Spectrum],
    parameters: i64,
    loss: &str,
    config: &HessianConfig,
    metrics: &mut Metrics,
) {
    let density = Density::of(spectra, config.sigma_squared);
    let mean =
        |of: &dyn Fn(&Spectrum) -> f64| spectra.iter().map(of).sum::<f64>() / spectra.len() as f64;
    let mut scalar = |name: &str, value| metrics.scalar(format!("hessian/{loss}/{name}"), value);
    scalar("largest", density.largest);
    scalar("smallest", density.smallest);
    let traces: Vec<f64> =
        spectra.iter().map(|spectrum| parameters as f64 * spectrum.moment(1)).collect();
    let (trace, spread) = mean_and_std(&traces);
    scalar("trace", trace);
    if traces.len() > 1 {
        scalar("trace_std", spread);
    }
    scalar("negative_mass", mean(&|spectrum| mass_below(spectrum, -density.sigma)));
    let line = Line { points: density.points(config.grid as usize), ..Line::default() };
    let (x, y) = (Axis::linear("eigenvalue"), Axis::log("density"));
    let figure = Curves { x, y, lines: vec![line] };
    metrics.add(format!("hessian/{loss}/density"), Value::Curves(figure));
}

/// Points of a grid whose steps are not wider than the peaks: over twice the largest eigenvalue in size at most,
/// and the margins.
fn points_needed(sigma_squared: f64) -> f64 {
    (2.0 / sigma_squared.sqrt() + 2.0 * MARGIN).ceil()
}

fn mass_below(spectrum: &Spectrum, bound: f64) -> f64 {
    let pairs = spectrum.values.iter().zip(&spectrum.weights);
    pairs.filter(|(value, _)| **value < bound).map(|(_, weight)| weight).sum()
}

/// The mean of the quadratures, spread.
struct Density<'a> {
    spectra: &'a [Spectrum],
    sigma: f64,
    largest: f64,
    smallest: f64,
}

impl<'a> Density<'a> {
    fn of(spectra: &'a [Spectrum], sigma_squared: f64) -> Self {
        let largest = spectra.iter().map(Spectrum::largest).fold(f64::NEG_INFINITY, f64::max);
        let smallest = spectra.iter().map(Spectrum::smallest).fold(f64::INFINITY, f64::min);
        let density = Self { spectra, sigma: 0.0, largest, smallest };
        // Where all are 0 there is no scale.
        let scale = if density.size() > 0.0 { density.size() } else { 1.0 };
        Self { sigma: sigma_squared.sqrt() * scale, ..density }
    }

    /// The largest eigenvalue in size.
    fn size(&self) -> f64 {
        self.largest.abs().max(self.smallest.abs())
    }

    fn at(&self, eigenvalue: f64) -> f64 {
        let normal = |center: f64| {
            let z = (eigenvalue - center) / self.sigma;
            (-0.5 * z * z).exp() / (self.sigma * (2.0 * PI).sqrt())
        };
        let of = |spectrum: &Spectrum| -> f64 {
            spectrum.values.iter().zip(&spectrum.weights).map(|(v, w)| w * normal(*v)).sum()
        };
        self.spectra.iter().map(of).sum::<f64>() / self.spectra.len() as f64
    }

    /// From a little below the smallest eigenvalue to a little above the largest. Below 1e-10 a log axis shows
    /// nothing of interest.
    fn points(&self, count: usize) -> Vec<(f64, f64)> {
        let margin = MARGIN * self.sigma;
        let (from, to) = (self.smallest - margin, self.largest + margin);
        let step = (to - from) / count as f64;
        let point = |index: usize| {
            let x = from + (index as f64 + 0.5) * step;
            (x, self.at(x).max(1e-10))
        };
        (0..count).map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::{seeds::Seeds, tch::Tensor};

    use super::*;

    /// A quadratic form with eigenvalues -1 (10 %), 0.5 (60 %) and 3 (30 %).
    fn spectra(draws: usize) -> Vec<Spectrum> {
        let of = |i: i32| {
            if i < 100 {
                -1.0f32
            } else if i < 700 {
                0.5
            } else {
                3.0
            }
        };
        let values = Tensor::from_slice(&(0..1000).map(of).collect::<Vec<_>>());
        let mut stream = Seeds::new(0).stream("test");
        let mut one = || {
            let start = stream.normal(&[1000], 1.0);
            lanczos(|vector| Ok(vector * &values), &start, 20, |_| Ok(())).expect("finite")
        };
        (0..draws).map(|_| one()).collect()
    }

    #[test]
    fn the_density_finds_the_peaks_of_a_known_spectrum() {
        let spectra = spectra(20);
        let density = Density::of(&spectra, 1e-5);
        assert!((density.largest - 3.0).abs() < 1e-5 && (density.smallest + 1.0).abs() < 1e-5);
        // sigma^2 is 1e-5 * 3^2. A peak of share s has the height s / (sigma sqrt(2 pi)). A draw's share of 10 %
        // has a standard deviation of sqrt(2 * .1 * .9 / 1000) = .013, the mean of 20 of .003.
        let height = 1.0 / (9e-5 * 2.0 * PI).sqrt();
        for (eigenvalue, share) in [(-1.0, 0.1), (0.5, 0.6), (3.0, 0.3)] {
            let found = density.at(eigenvalue) / height;
            assert!((found - share).abs() < 0.02, "{eigenvalue}: {found}, expected {share}");
        }
        assert!(density.at(0.0) < 1e-10 && density.at(1.5) < 1e-10);
        let points = density.points(4000);
        let step = points[1].0 - points[0].0;
        let integral: f64 = points.iter().map(|(_, y)| y * step).sum();
        assert!((integral - 1.0).abs() < 1e-3, "{integral}");
    }

    #[test]
    fn trace_and_negative_mass_of_a_known_spectrum() {
        let mut metrics = Metrics::default();
        report(&spectra(50), 1000, "probe", &HessianConfig::default(), &mut metrics);
        let number =
            |name: &str| metrics.get_scalar(&format!("hessian/probe/{name}")).expect("there");
        // -100 + 300 + 900; the standard deviation of v^T H v * 1000 is about sqrt(2 * 2950) / sqrt(50) = 11.
        assert!((number("trace") - 1100.0).abs() < 45.0, "{}", number("trace"));
        assert!((number("negative_mass") - 0.1).abs() < 0.01, "{}", number("negative_mass"));
    }

    /// One Ritz value each with these shares.
    fn spectrum(values: &[f64], weights: &[f64]) -> Vec<Spectrum> {
        vec![Spectrum { values: values.to_vec(), weights: weights.to_vec() }]
    }

    #[test]
    fn the_spread_of_the_trace_is_that_of_the_draws() {
        let two = [spectrum(&[1.0], &[1.0]), spectrum(&[3.0], &[1.0])].into_iter().flatten();
        let metrics = reported(&two.collect::<Vec<_>>());
        assert_eq!(metrics.get_scalar("hessian/probe/trace"), Some(2000.0));
        assert_eq!(metrics.get_scalar("hessian/probe/trace_std"), Some(2.0f64.sqrt() * 1000.0));
        let one = reported(&spectrum(&[1.0], &[1.0]));
        assert_eq!(one.get_scalar("hessian/probe/trace_std"), None);
    }

    fn reported(spectra: &[Spectrum]) -> Metrics {
        let mut metrics = Metrics::default();
        report(spectra, 1000, "probe", &HessianConfig::default(), &mut metrics);
        metrics
    }

    fn density(metrics: &Metrics) -> Vec<(f64, f64)> {
        let curves = metrics.iter().find_map(|(_, value)| match value {
            Value::Curves(curves) => Some(curves.lines[0].points.clone()),
            _ => None,
        });
        curves.expect("a figure")
    }

    #[test]
    fn a_loss_times_a_number_has_the_same_negative_mass_and_peaks() {
        for scale in [1e-6, 1e-3, 1.0, 1e3, 1e6] {
            // The third is 0 but for rounding.
            let values = [-0.5, -0.01, -1e-6, 1.0].map(|value| value * scale);
            let metrics = reported(&spectrum(&values, &[0.1, 0.2, 0.4, 0.3]));
            let negative = metrics.get_scalar("hessian/probe/negative_mass").expect("there");
            assert!((negative - 0.3).abs() < 1e-12, "{scale}: {negative}");
            let points = density(&metrics);
            let step = points[1].0 - points[0].0;
            let mass = |from: f64, to: f64| -> f64 {
                let within = points.iter().filter(|(x, _)| *x > from * scale && *x < to * scale);
                within.map(|(_, y)| y * step).sum()
            };
            for (from, to, share) in [(-1.0, -0.3, 0.1), (-0.3, 0.5, 0.6), (0.5, 2.0, 0.3)] {
                let found = mass(from, to);
                assert!((found - share).abs() < 1e-3, "{scale}: {found}, expected {share}");
            }
        }
    }

    #[test]
    fn eigenvalues_that_are_all_zero_have_one_peak_of_finite_height() {
        let points = density(&reported(&spectrum(&[0.0], &[1.0])));
        let step = points[1].0 - points[0].0;
        let integral: f64 = points.iter().map(|(_, y)| y * step).sum();
        assert!((integral - 1.0).abs() < 1e-3, "{integral}");
    }

    #[test]
    fn a_grid_coarser_than_the_peaks_is_refused() {
        let build = |sigma_squared, grid| {
            let config = HessianConfig { sigma_squared, grid, ..HessianConfig::default() };
            Hessian::build(config.into())
        };
        // 2 / .01 + 20.
        assert!(build(1e-4, 220).is_ok());
        let message = build(1e-4, 219).err().expect("refused");
        assert!(message.contains("`grid`") && message.contains("220"), "{message}");
    }

    /// Shares 1/4 and 3/4 of -3 and 1: the width is of 3, a hundredth of it.
    #[test]
    fn the_figure_reaches_ten_widths_beyond_the_outermost_eigenvalues() {
        let spectra = spectrum(&[-3.0, 1.0], &[0.25, 0.75]);
        let density = Density::of(&spectra, 1e-4);
        assert!((density.sigma - 0.03).abs() < 1e-12, "{}", density.sigma);
        // From -3.3 to 1.3 in 460 steps of a hundredth, in their middles.
        let points = density.points(460);
        assert!((points[0].0 + 3.295).abs() < 1e-9 && (points[459].0 - 1.295).abs() < 1e-9);
        // Halfway between there is nothing, which a log axis cannot show.
        assert_eq!(points[230].1, 1e-10);
    }

    #[test]
    fn extremes_are_those_of_all_draws() {
        let spectra = [[-1.0, 2.0], [-3.0, 1.0]].map(|values| spectrum(&values, &[0.5, 0.5]));
        let metrics = reported(&spectra.into_iter().flatten().collect::<Vec<_>>());
        let number = |name: &str| metrics.get_scalar(&format!("hessian/probe/{name}"));
        assert_eq!((number("largest"), number("smallest")), (Some(2.0), Some(-3.0)));
    }
}
