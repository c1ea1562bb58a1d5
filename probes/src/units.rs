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

use crate::{batch::check_batch, lists::check_list};

/// Which units do not take part. Shares of units, by layer and whole (weighted by units), as
/// `units/WHAT/LAYER` and `units/WHAT`:
/// `dead`: zero on the whole batch;
/// `dormant_0.025`, `dormant_0.1`: activity at most that times the layer's mean (Sokar et al., 2023,
/// equation 1);
/// `saturated`, of activations with a bound (tanh, fourier): one of the unit's outputs is at 0.99 of the bound
/// or beyond on the whole batch;
/// `linear`, of rectifiers (relu, leaky_relu, crelu): one of the unit's outputs is positive on the whole batch
/// (Lyle et al., 2024).
/// Networks whose activation gives one of the last two no meaning do not report it; nor do layers without an
/// activation, as the tokens of a transformer.
/// `units/score/LAYER` is the histogram of the units' shares of their layer's mean activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnitsConfig {
    /// Thresholds of dormancy, at least one.
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
        check_list("taus", taus, "thresholds of dormancy")?;
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

/// What holds of how many units of a layer or of the whole network, in the order in which it is reported.
#[derive(Debug, Default, PartialEq)]
struct Counts(Vec<Held>);

#[derive(Clone, Debug, PartialEq)]
struct Held {
    what: String,
    count: usize,
    /// Units of which it can be said.
    of: usize,
}

impl Counts {
    fn of(layer: &HiddenLayer, activation: &Tensor, scores: &[f64], taus: &[f64]) -> Self {
        let batch = activation.size()[0];
        let by_unit = activation.reshape([batch, layer.copies, layer.units, -1]);
        // Bool [copies, units]: on all observations, at all places.
        let always = |holds: Tensor| holds.all_dims([0i64, 3].as_slice(), false);
        let count = |units: Tensor| units.sum(Kind::Int64).int64_value(&[]) as usize;
        let of_any_copy = |holds: Tensor| count(always(holds).any_dim(0, false));
        let mut holds = Vec::new();
        let mut hold = |what: String, count| holds.push(Held { what, count, of: scores.len() });
        hold("dead".to_owned(), count(always(by_unit.eq(0.0)).all_dim(0, false)));
        for tau in taus {
            let dormant = scores.iter().filter(|score| **score <= *tau).count();
            hold(format!("dormant_{tau}"), dormant);
        }
        if let Some(bound) = layer.bound {
            hold("saturated".to_owned(), of_any_copy(by_unit.abs().ge(SATURATION * bound)));
        }
        if layer.is_rectified {
            hold("linear".to_owned(), of_any_copy(by_unit.gt(0.0)));
        }
        Self(holds)
    }

    fn add(&mut self, other: &Self) {
        for held in &other.0 {
            match self.0.iter_mut().find(|total| total.what == held.what) {
                Some(total) => {
                    (total.count, total.of) = (total.count + held.count, total.of + held.of);
                }
                None => self.0.push(held.clone()),
            }
        }
    }

    fn report(&self, place: &str, metrics: &mut Metrics) {
        for Held { what, count, of } in &self.0 {
            metrics.scalar(format!("units/{what}{place}"), *count as f64 / *of as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::network::{Activation, ActivationFunction};

    use super::*;

    fn layer(units: i64, activation: Activation) -> HiddenLayer {
        HiddenLayer {
            name: "layer".to_owned(),
            units,
            copies: activation.copies(),
            bound: activation.bound(),
            is_rectified: activation.is_rectifier(),
            is_residual: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    fn counts(layer: &HiddenLayer, activation: &[f32], shape: &[i64], taus: &[f64]) -> Counts {
        let activation = Tensor::from_slice(activation).reshape(shape);
        let scores = scores(layer, &activation);
        Counts::of(layer, &activation, &scores, taus)
    }

    fn held(counts: &Counts) -> Vec<(&str, usize)> {
        counts.0.iter().map(|held| (held.what.as_str(), held.count)).collect()
    }

    #[test]
    fn units_by_hand() {
        // Two observations of five units with mean activities 4, 0, 3, 1, 2: their mean is 2, the scores
        // 2, 0, 1.5, .5, 1.
        let activation = [8.0, 0.0, 3.0, -2.0, 2.0, 0.0, 0.0, 3.0, 0.0, 2.0];
        let counts =
            counts(&layer(5, Activation::LeakyRelu), &activation, &[2, 5], &[0.0, 0.49, 0.5, 1.0]);
        let dormant = [("dormant_0", 1), ("dormant_0.49", 1), ("dormant_0.5", 2), ("dormant_1", 3)];
        assert_eq!(held(&counts), [&[("dead", 1)], &dormant[..], &[("linear", 2)]].concat());
    }

    #[test]
    fn a_channel_counts_with_all_its_pixels_and_copies() {
        // One observation, two copies of three units of two pixels. Unit 0: 1 and 2, then 0 and 0: linear.
        // Unit 1: 3 and 0, then 0 and 6: on neither side throughout. Unit 2: dead.
        let activation = [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0];
        let counts = counts(&layer(3, Activation::Crelu), &activation, &[1, 6, 2], &[]);
        assert_eq!(held(&counts), [("dead", 1), ("linear", 1)]);
    }

    #[test]
    fn a_crelu_unit_whose_input_keeps_its_sign_is_linear() {
        // Inputs of two observations: 1 and 2, -1 and -3, 1 and -1.
        let input = Tensor::from_slice(&[1.0f32, -1.0, 1.0, 2.0, -3.0, -1.0]).reshape([2, 3]);
        let outputs = Vec::<f32>::try_from(&Activation::Crelu.apply(&input).reshape([-1]));
        let outputs = outputs.expect("f32");
        let counts = counts(&layer(3, Activation::Crelu), &outputs, &[2, 6], &[]);
        assert_eq!(held(&counts), [("dead", 0), ("linear", 2)]);
    }

    #[test]
    fn a_bounded_unit_is_saturated_if_it_never_leaves_its_bounds() {
        let activation = [0.995, -1.0, 0.5, -0.999, 1.0, 0.999];
        let tanh = counts(&layer(3, Activation::Tanh), &activation, &[2, 3], &[]);
        assert_eq!(held(&tanh), [("dead", 0), ("saturated", 2)]);
    }

    #[test]
    fn saturation_is_relative_to_the_bound() {
        let wide = HiddenLayer { bound: Some(2.0), ..layer(3, Activation::Tanh) };
        let counts = counts(&wide, &[1.99, -1.99, 1.9], &[1, 3], &[]);
        assert_eq!(held(&counts), [("dead", 0), ("saturated", 2)]);
    }

    /// Sine and cosine are never both at their bound: sin^2 + cos^2 = 1.
    #[test]
    fn a_fourier_unit_is_saturated_if_its_sine_or_its_cosine_stays_there() {
        // Sines and cosines of two observations: unit 0 stays at cosine 1, unit 1 at sine -1, unit 2 goes
        // from sine 1 to cosine 1.
        let activation = [0.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.1, -0.995, 0.0, 0.995, 0.1, 1.0];
        let fourier = counts(&layer(3, Activation::Fourier), &activation, &[2, 6], &[]);
        assert_eq!(held(&fourier), [("dead", 0), ("saturated", 2)]);
    }

    #[test]
    fn what_has_no_meaning_for_an_activation_is_left_out() {
        let held_of = |activation: Activation| {
            let shape = [1, activation.copies()];
            let outputs = vec![1.0; shape[1] as usize];
            let counts = counts(&layer(1, activation), &outputs, &shape, &[]);
            held(&counts).iter().skip(1).map(|(what, _)| (*what).to_owned()).collect::<Vec<_>>()
        };
        for rectifier in [Activation::Relu, Activation::LeakyRelu, Activation::Crelu] {
            assert_eq!(held_of(rectifier), ["linear"], "{rectifier:?}");
        }
        for bounded in [Activation::Tanh, Activation::Fourier] {
            assert_eq!(held_of(bounded), ["saturated"], "{bounded:?}");
        }
        assert!(held_of(Activation::Gelu).is_empty());
    }

    #[test]
    fn shares_of_the_whole_network_are_of_the_units_that_can_have_them() {
        let mut whole = Counts::default();
        whole.add(&counts(&layer(1, Activation::Gelu), &[1.0], &[1, 1], &[]));
        whole.add(&counts(&layer(2, Activation::Relu), &[1.0, 0.0], &[1, 2], &[]));
        whole.add(&counts(&layer(2, Activation::Relu), &[1.0, 1.0], &[1, 2], &[]));
        let mut metrics = Metrics::default();
        whole.report("", &mut metrics);
        assert_eq!(metrics.get_scalar("units/dead"), Some(0.2));
        assert_eq!(metrics.get_scalar("units/linear"), Some(0.75));
        assert_eq!(metrics.get_scalar("units/saturated"), None);
    }

    #[test]
    fn a_silent_layer_is_all_dead_and_dormant() {
        let counts = counts(&layer(3, Activation::Relu), &[0.0; 6], &[2, 3], &[0.0]);
        assert_eq!(held(&counts), [("dead", 3), ("dormant_0", 3), ("linear", 0)]);
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
