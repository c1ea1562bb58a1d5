//! Dead, dormant, saturated and linear units.

use pliant_core::{
    clock::Every,
    error::Result,
    metrics::Metrics,
    network::{HiddenLayer, Taps},
    probe::{Probe, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::batch::check_batch;

/// Which units do not take part. Shares of units, by layer and whole (weighted by units), as
/// `units/WHAT/LAYER` and `units/WHAT`:
/// `dead`: zero on the whole batch;
/// `dormant_0.025`, `dormant_0.1`: activity at most that times the layer's mean (Sokar et al., 2023,
/// equation 1);
/// `saturated`: at 0.99 of the activation's bound or beyond on the whole batch (tanh, fourier);
/// `linear`: positive on the whole batch, where a relu is linear (Lyle et al., 2024).
/// `units/score/LAYER` is the histogram of the units' shares of their layer's mean activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnitsConfig {
    /// Thresholds of dormancy.
    pub taus: Vec<f64>,
    /// Observations to measure on.
    pub batch_size: u32,
}

impl Default for UnitsConfig {
    fn default() -> Self {
        Self { taus: vec![0.025, 0.1], batch_size: 512 }
    }
}

impl HasSchedule for UnitsConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Counts units of the online network.
#[derive(Debug)]
pub struct Units(Scheduled<UnitsConfig>);

/// A unit is saturated from this share of its activation's bound on.
const SATURATION: f64 = 0.99;

impl Units {
    /// Checks the settings.
    pub fn build(config: Scheduled<UnitsConfig>) -> Result<Box<dyn Probe>, String> {
        let UnitsConfig { taus, batch_size } = &config.config;
        if let Some(tau) = taus.iter().find(|tau| !(tau.is_finite() && **tau >= 0.0)) {
            return Err(format!("`taus` has {tau}, expected numbers of at least 0"));
        }
        check_batch(*batch_size)?;
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Units {
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
        let mut taps = Taps::default();
        let _ = no_grad(|| online.forward(&batch.s_tm1, Some(&mut taps)));
        let mut whole = Counts::default();
        for (layer, activation) in online.hidden().iter().zip(taps.activations()) {
            let scores = scores(layer, activation);
            let counts = Counts::of(layer, activation, &scores, &self.0.config.taus);
            counts.report(&format!("/{}", layer.name), metrics);
            metrics.histogram(format!("units/score/{}", layer.name), scores);
            whole.add(&counts);
        }
        whole.report("", metrics);
        Ok(())
    }
}

pliant_core::stateless!(Units);

/// `s_i = E|h_i| / mean_k E|h_k|` (Sokar et al., 2023, equation 1); all 0 in a layer without any
/// activity.
fn scores(layer: &HiddenLayer, activation: &Tensor) -> Vec<f64> {
    let activity = layer.mean_activity(activation).to_kind(Kind::Double);
    let activity = Vec::<f64>::try_from(&activity).expect("one number per unit");
    let mean = activity.iter().sum::<f64>() / activity.len() as f64;
    activity.iter().map(|unit| if mean == 0.0 { 0.0 } else { unit / mean }).collect()
}

/// Units of a layer or of the whole network, and those of which something holds.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    units: usize,
    /// In the order in which they are reported.
    holds: Vec<(String, usize)>,
}

impl Counts {
    fn of(layer: &HiddenLayer, activation: &Tensor, scores: &[f64], taus: &[f64]) -> Self {
        let batch = activation.size()[0];
        let by_unit = activation.reshape([batch, layer.copies, layer.units, -1]);
        // All copies, observations and places.
        let count = |holds: Tensor| {
            let units = holds.all_dims([0i64, 1, 3].as_slice(), false);
            units.sum(Kind::Int64).int64_value(&[]) as usize
        };
        let dormant = |tau: &f64| {
            (format!("dormant_{tau}"), scores.iter().filter(|score| **score <= *tau).count())
        };
        let saturated = layer.bound.map_or(0, |bound| count(by_unit.abs().ge(SATURATION * bound)));
        let mut holds = vec![("dead".to_owned(), count(by_unit.eq(0.0)))];
        holds.extend(taus.iter().map(dormant));
        holds.push(("saturated".to_owned(), saturated));
        holds.push(("linear".to_owned(), count(by_unit.gt(0.0))));
        Self { units: scores.len(), holds }
    }

    fn add(&mut self, other: &Self) {
        self.units += other.units;
        if self.holds.is_empty() {
            self.holds.clone_from(&other.holds);
        } else {
            for ((_, total), (_, count)) in self.holds.iter_mut().zip(&other.holds) {
                *total += count;
            }
        }
    }

    fn report(&self, place: &str, metrics: &mut Metrics) {
        for (what, count) in &self.holds {
            metrics.scalar(format!("units/{what}{place}"), *count as f64 / self.units as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(units: i64, copies: i64, bound: Option<f64>) -> HiddenLayer {
        HiddenLayer {
            name: "layer".to_owned(),
            units,
            copies,
            bound,
            is_residual: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// Shares in the order dead, dormant at each tau, saturated, linear.
    fn counts(layer: &HiddenLayer, activation: &[f32], shape: &[i64], taus: &[f64]) -> Vec<usize> {
        let activation = Tensor::from_slice(activation).reshape(shape);
        let scores = scores(layer, &activation);
        let counts = Counts::of(layer, &activation, &scores, taus);
        assert_eq!(counts.units, layer.units as usize);
        counts.holds.into_iter().map(|(_, count)| count).collect()
    }

    #[test]
    fn units_by_hand() {
        // Two observations of five units with mean activities 4, 0, 3, 1, 2: their mean is 2, the scores
        // 2, 0, 1.5, .5, 1.
        let activation = [8.0, 0.0, 3.0, -2.0, 2.0, 0.0, 0.0, 3.0, 0.0, 2.0];
        let counts = |taus: &[f64]| counts(&layer(5, 1, None), &activation, &[2, 5], taus);
        assert_eq!(counts(&[0.0, 0.49, 0.5, 1.0]), [1, 1, 1, 2, 3, 0, 2]);
    }

    #[test]
    fn a_channel_counts_with_all_its_pixels_and_copies() {
        // One observation, two copies of two units of two pixels. Unit 0: 1 and 2, then 0 and 0; unit 1:
        // 3 and 4, then 5 and 6. Only unit 1 is positive everywhere.
        let activation = [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 5.0, 6.0];
        assert_eq!(counts(&layer(2, 2, None), &activation, &[1, 4, 2], &[0.3]), [0, 1, 0, 1]);
    }

    #[test]
    fn a_bounded_unit_is_saturated_if_it_never_leaves_its_bounds() {
        let activation = [0.995, -1.0, 0.5, -0.999, 1.0, 0.999];
        assert_eq!(counts(&layer(3, 1, Some(1.0)), &activation, &[2, 3], &[]), [0, 2, 1]);
        assert_eq!(counts(&layer(3, 1, None), &activation, &[2, 3], &[]), [0, 0, 1]);
    }

    #[test]
    fn a_silent_layer_is_all_dead_and_dormant() {
        assert_eq!(counts(&layer(3, 1, None), &[0.0; 6], &[2, 3], &[0.0]), [3, 3, 0, 0]);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |config: UnitsConfig, name: &str| {
            let message = Units::build(config.into()).err().expect("refused");
            assert!(message.contains(name), "{message}");
        };
        refused(UnitsConfig { taus: vec![0.1, -0.1], ..UnitsConfig::default() }, "`taus`");
        refused(UnitsConfig { taus: vec![f64::NAN], ..UnitsConfig::default() }, "`taus`");
        refused(UnitsConfig { batch_size: 0, ..UnitsConfig::default() }, "`batch_size`");
    }
}
