//! Ranks of features and of weights.

use pliant_core::{
    clock::Every,
    error::Result,
    metrics::Metrics,
    probe::{Probe, Subject},
    ranges::positive,
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{batch::check_batch, passes::Passes};

/// How many directions features and weights use, by four definitions that are never the same number. Of the
/// features phi [n, d] of a batch (what the output layer reads), as `rank/NAME`:
/// `feature`: singular values of phi / sqrt(n) above `threshold` (Lyle et al., 2022);
/// `srank`: the least k whose largest k singular values make up 0.99 of their sum (Kumar et al., 2021);
/// `effective`: the exponential of the entropy of the singular values' shares (Roy & Vetterli, 2007);
/// `stable`: the sum of squared singular values over the largest one's square.
/// Of every weight as a matrix [units, inputs * area], as `rank/weight_NAME/LAYER`: `numerical`
/// (NumPy's `matrix_rank`), `srank`, `effective`, `stable`; and of all together `rank/weight_effective_share`, the mean
/// over weights of the effective rank over the largest that one of its shape can have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RankConfig {
    /// Singular values of phi / sqrt(n) up to this do not count for the feature rank.
    pub threshold: f64,
    /// Observations to measure on; no rank of features can be larger.
    pub batch_size: u32,
    /// Weights too.
    pub weights: bool,
}

impl Default for RankConfig {
    fn default() -> Self {
        Self { threshold: 0.01, batch_size: 2048, weights: true }
    }
}

impl HasSchedule for RankConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Measures ranks of the online network.
#[derive(Debug)]
pub struct Rank(Scheduled<RankConfig>);

impl Rank {
    /// Checks the settings.
    pub fn build(config: Scheduled<RankConfig>) -> Result<Box<dyn Probe>, String> {
        positive("threshold", config.config.threshold)?;
        check_batch(config.config.batch_size)?;
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Rank {
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
        let batch = subject.draw(self.0.config.batch_size, stream);
        let online = &subject.learner.online;
        if let Some(features) = Passes::over(online, &batch.s_tm1).features {
            let spectrum = Spectrum::of(&features)?;
            let scaled = 1.0 / (features.size()[0] as f64).sqrt();
            let above = |value: &&f64| **value * scaled > self.0.config.threshold;
            metrics.scalar("rank/feature", spectrum.0.iter().filter(above).count() as f64);
            spectrum.report("rank/", "", metrics);
        }
        if self.0.config.weights {
            let mut shares = Vec::new();
            for (name, weight) in online.variables().weights() {
                let matrix = weight.detach().flatten(1, -1);
                let place = format!("/{}", name.trim_end_matches("/weight"));
                let spectrum = Spectrum::of(&matrix)?;
                let rank = spectrum.numerical(&matrix.size());
                metrics.scalar(format!("rank/weight_numerical{place}"), rank as f64);
                spectrum.report("rank/weight_", &place, metrics);
                shares.push(spectrum.effective() / spectrum.0.len().max(1) as f64);
            }
            let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
            metrics.scalar("rank/weight_effective_share", mean);
        }
        Ok(())
    }
}

pliant_core::stateless!(Rank);

/// The exponential of the entropy of the shares that values of at least 0 have in their sum (Roy & Vetterli,
/// 2007); 0 of nothing.
pub(crate) fn effective_rank(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    if sum == 0.0 {
        return 0.0;
    }
    let shares = values.iter().map(|value| value / sum).filter(|share| *share > 0.0);
    shares.map(|share| -share * share.ln()).sum::<f64>().exp()
}

/// Singular values, the largest first.
#[derive(Debug)]
struct Spectrum(Vec<f64>);

impl Spectrum {
    /// Of a matrix, in the precision of f64.
    fn of(matrix: &Tensor) -> Result<Self> {
        let (_, values, _) = matrix.to_kind(Kind::Double).f_svd(true, false)?;
        Ok(Self(Vec::try_from(&values)?))
    }

    fn largest(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Singular values above what rounding of f32 leaves of a zero: the largest times the longer side times
    /// the precision.
    fn numerical(&self, size: &[i64]) -> usize {
        let side = size.iter().copied().max().unwrap_or(0) as f64;
        let least = self.largest() * side * f64::from(f32::EPSILON);
        self.0.iter().filter(|value| **value > least).count()
    }

    fn srank(&self) -> usize {
        let goal = 0.99 * self.sum();
        if goal == 0.0 {
            return 0;
        }
        let mut sum = 0.0;
        let reaches = |value: &f64| {
            sum += value;
            sum >= goal
        };
        self.0.iter().position(reaches).map_or(self.0.len(), |index| index + 1)
    }

    fn effective(&self) -> f64 {
        effective_rank(&self.0)
    }

    fn stable(&self) -> f64 {
        if self.largest() == 0.0 {
            return 0.0;
        }
        self.0.iter().map(|value| (value / self.largest()).powi(2)).sum()
    }

    fn report(&self, prefix: &str, place: &str, metrics: &mut Metrics) {
        metrics.scalar(format!("{prefix}srank{place}"), self.srank() as f64);
        metrics.scalar(format!("{prefix}effective{place}"), self.effective());
        metrics.scalar(format!("{prefix}stable{place}"), self.stable());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_known_singular_values_by_hand() {
        let spectrum = Spectrum(vec![4.0, 3.0, 2.0, 1.0, 0.05]);
        // 10.05 * .99 = 9.9495, reached by the first four.
        assert_eq!(spectrum.srank(), 4);
        // (16 + 9 + 4 + 1 + .0025) / 16.
        assert!((spectrum.stable() - 30.0025 / 16.0).abs() < 1e-12);
        let even = Spectrum(vec![2.0; 8]);
        assert!((even.effective() - 8.0).abs() < 1e-12);
        assert_eq!((even.srank(), even.stable()), (8, 8.0));
        let nothing = Spectrum(vec![0.0; 3]);
        assert_eq!((nothing.srank(), nothing.effective(), nothing.stable()), (0, 0.0, 0.0));
        assert_eq!(nothing.numerical(&[3, 9]), 0);
    }

    /// By NumPy 2.4.6: A[i, j] = sin(i j + i) for i < 6, j < 4, in f32; `svd`, then the formulas;
    /// `matrix_rank` of A with its second column set to the first.
    #[test]
    fn ranks_are_numpys() {
        let value = |index: i64| ((index / 4 * (index % 4) + index / 4) as f32).sin();
        let values: Vec<f32> = (0..24).map(value).collect();
        let matrix = Tensor::from_slice(&values).reshape([6, 4]);
        let spectrum = Spectrum::of(&matrix).expect("finite");
        let numpy = [2.221_574_494_4, 1.767_506_669_4, 1.079_364_377_0, 0.556_319_042_1];
        for (actual, expected) in spectrum.0.iter().zip(numpy) {
            assert!((actual - expected).abs() < 1e-6, "{:?}", spectrum.0);
        }
        assert_eq!(spectrum.srank(), 4);
        assert!((spectrum.effective() - 3.583_275_724_8).abs() < 1e-6, "{}", spectrum.effective());
        assert!((spectrum.stable() - 1.931_759_222_2).abs() < 1e-6, "{}", spectrum.stable());
        assert_eq!(spectrum.numerical(&[6, 4]), 4);
        matrix.narrow(1, 1, 1).copy_(&matrix.narrow(1, 0, 1).copy());
        assert_eq!(Spectrum::of(&matrix).expect("finite").numerical(&[6, 4]), 3);
    }

    #[test]
    fn ranks_at_their_thresholds() {
        // 99 is 0.99 of the sum.
        assert_eq!(Spectrum(vec![99.0, 1.0]).srank(), 1);
        assert_eq!(Spectrum(vec![98.9, 1.1]).srank(), 2);
        // Nine rows of f32: up to 9 eps of the largest is rounding.
        let eps = f64::from(f32::EPSILON);
        assert_eq!(Spectrum(vec![1.0, 10.0 * eps, 8.0 * eps]).numerical(&[9, 3]), 2);
    }
}
