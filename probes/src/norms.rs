//! Sizes of weights, gradients, steps, features and Q-values.

use std::collections::BTreeMap;

use pliant_core::{
    clock::Every,
    error::Result,
    metrics::Metrics,
    probe::{Probe, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{batch::check_batch, passes::Passes, step::after_one_step};

/// L2 norms, by layer (weight, bias and scales together) as `norms/WHAT/LAYER` and of all parameters as
/// `norms/WHAT`:
/// `weight`; `gradient` of the agent's loss on a batch; `update`: the optimiser's next step on it, made on a
/// copy without interventions; `effective_learning_rate`: that step's norm over the weight's.
/// `norms/feature` is the mean norm of what the output layer reads; `norms/q_mean_abs`, `norms/q_max` and
/// `norms/q_std` are of the Q-values of all actions on the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NormsConfig {
    /// Transitions to measure on.
    pub batch_size: u32,
}

impl Default for NormsConfig {
    fn default() -> Self {
        Self { batch_size: 512 }
    }
}

impl HasSchedule for NormsConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Measures norms of the online network.
#[derive(Debug)]
pub struct Norms(Scheduled<NormsConfig>);

impl Norms {
    /// Checks the settings.
    pub fn build(config: Scheduled<NormsConfig>) -> Result<Box<dyn Probe>, String> {
        check_batch(config.config.batch_size)?;
        Ok(Box::new(Self(config)))
    }
}

impl Probe for Norms {
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
        let stepped = after_one_step(subject.learner, subject.data, &batch);
        let mut squares = Squares::default();
        for (name, parameter) in online.variables().parameters() {
            let new = stepped.online.variables().get(name).expect("a copy has the same parameters");
            let gradient = new.grad();
            squares.add(name, 0, &parameter.detach());
            if gradient.defined() {
                squares.add(name, 1, &gradient);
            }
            squares.add(name, 2, &(new.detach() - parameter.detach()));
        }
        squares.report(metrics);
        let passes = Passes::over(online, &batch.s_tm1);
        if let Some(features) = passes.features {
            let each = features.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
            metrics.scalar("norms/feature", each.sqrt().mean(Kind::Double).double_value(&[]));
        }
        report_q(&passes.q_values, metrics);
        Ok(())
    }
}

pliant_core::stateless!(Norms);

fn report_q(q: &Tensor, metrics: &mut Metrics) {
    let q = q.to_kind(Kind::Double);
    metrics.scalar("norms/q_mean_abs", q.abs().mean(Kind::Double).double_value(&[]));
    metrics.scalar("norms/q_max", q.max().double_value(&[]));
    metrics.scalar("norms/q_std", q.std(false).double_value(&[]));
}

/// Squared norms of weight, gradient and step, by layer and whole.
#[derive(Debug, Default)]
struct Squares {
    by_layer: BTreeMap<String, [f64; 3]>,
    whole: [f64; 3],
}

impl Squares {
    fn add(&mut self, variable: &str, what: usize, tensor: &Tensor) {
        let square = tensor.square().sum(Kind::Double).double_value(&[]);
        let layer = variable.rsplit_once('/').map_or(variable, |(layer, _)| layer);
        self.by_layer.entry(layer.to_owned()).or_default()[what] += square;
        self.whole[what] += square;
    }

    fn report(&self, metrics: &mut Metrics) {
        let layers = self.by_layer.iter().map(|(layer, squares)| (format!("/{layer}"), squares));
        for (place, squares) in layers.chain([(String::new(), &self.whole)]) {
            let [weight, gradient, update] = squares.map(f64::sqrt);
            metrics.scalar(format!("norms/weight{place}"), weight);
            metrics.scalar(format!("norms/gradient{place}"), gradient);
            metrics.scalar(format!("norms/update{place}"), update);
            // Of a layer that is 0 no rate can be said.
            if weight > 0.0 {
                metrics.scalar(format!("norms/effective_learning_rate{place}"), update / weight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_what_stands_before_the_last_name_and_one_of_zeros_has_no_rate() {
        let mut squares = Squares::default();
        squares.add("block/first/weight", 0, &Tensor::from_slice(&[3.0f32, 0.0]));
        squares.add("block/first/bias", 0, &Tensor::from_slice(&[4.0f32]));
        squares.add("block/second/weight", 0, &Tensor::from_slice(&[0.0f32]));
        squares.add("block/second/weight", 2, &Tensor::from_slice(&[1.0f32]));
        let mut metrics = Metrics::default();
        squares.report(&mut metrics);
        let number = |name: &str| metrics.get_scalar(&format!("norms/{name}"));
        assert_eq!(number("weight/block/first"), Some(5.0));
        assert_eq!(number("effective_learning_rate/block/first"), Some(0.0));
        assert_eq!(number("update/block/second"), Some(1.0));
        assert_eq!(number("effective_learning_rate/block/second"), None);
        assert_eq!(number("effective_learning_rate"), Some(0.2));
    }
}
