//! One forward pass: whether it is for training, and what is written down on its way.

use tch::{Kind, Tensor};

use super::Traced;
use crate::{recording::Made, seeds::Stream};

/// Collects the activations of a forward pass, one per hidden layer, in order.
#[derive(Debug, Default)]
pub struct Taps {
    activations: Vec<Tensor>,
    features: Option<Tensor>,
    trace: Option<Vec<Traced>>,
}

impl Made for Taps {
    fn share(&self) -> Self {
        Self { activations: self.activations.share(), features: self.features.share(), trace: None }
    }
}

impl Taps {
    /// Taps that also collect how parameters enter (see [`Traced`]).
    pub fn tracing() -> Self {
        Self { trace: Some(Vec::new()), ..Self::default() }
    }

    /// Where parameters entered, as far as the network said; empty unless asked for.
    pub fn trace(&self) -> &[Traced] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// The recorded activations, in the order of [`Network::hidden`](super::Network::hidden):
    /// f32 `[batch, copies * units, ..]`.
    pub fn activations(&self) -> &[Tensor] {
        &self.activations
    }

    /// What the output layer read, f32 `[batch, features]`; `None` if the network did not say.
    pub fn features(&self) -> Option<&Tensor> {
        self.features.as_ref()
    }
}

/// What a network is told about a forward pass, and where it leaves its activations.
#[derive(Debug, Default)]
pub struct Pass<'a> {
    taps: Option<&'a mut Taps>,
    mode: Mode<'a>,
}

#[derive(Debug, Default)]
enum Mode<'a> {
    #[default]
    Evaluation,
    BesideTraining,
    Training(&'a mut Stream),
}

impl<'a> Pass<'a> {
    /// A pass that changes nothing and draws nothing.
    pub fn evaluation(taps: Option<&'a mut Taps>) -> Self {
        Self { taps, mode: Mode::Evaluation }
    }

    /// A pass that reads the batch as a training pass does, but changes nothing and draws nothing.
    pub fn beside_training(taps: Option<&'a mut Taps>) -> Self {
        Self { taps, mode: Mode::BesideTraining }
    }

    /// A pass whose loss is learned from: dropout draws from `stream`, running statistics move.
    pub fn training(stream: &'a mut Stream, taps: Option<&'a mut Taps>) -> Self {
        Self { taps, mode: Mode::Training(stream) }
    }

    /// True if the loss of this pass is learned from.
    pub fn is_training(&self) -> bool {
        matches!(self.mode, Mode::Training(_))
    }

    /// True if a normalisation over the batch takes the statistics of this batch, not the running ones
    /// (which move only if it [is for training](Self::is_training)).
    pub fn uses_batch_statistics(&self) -> bool {
        !matches!(self.mode, Mode::Evaluation)
    }

    /// Called by networks with each hidden layer's output `[batch, copies * units, ..]`; kept as f32.
    pub fn record(&mut self, activation: &Tensor) {
        if let Some(taps) = &mut self.taps {
            taps.activations.push(activation.to_kind(Kind::Float));
        }
    }

    /// Called by networks with what their output layer reads, `[batch, features]`; kept as f32.
    pub fn record_features(&mut self, features: &Tensor) {
        if let Some(taps) = &mut self.taps {
            taps.features = Some(features.to_kind(Kind::Float));
        }
    }

    /// True if somebody wants to know how parameters enter.
    pub fn is_traced(&self) -> bool {
        self.taps.as_ref().is_some_and(|taps| taps.trace.is_some())
    }

    /// Called by networks, if the pass [is traced](Self::is_traced), for each parameter.
    pub fn trace(&mut self, traced: Traced) {
        if let Some(trace) = self.taps.as_mut().and_then(|taps| taps.trace.as_mut()) {
            trace.push(traced);
        }
    }

    /// Dropout (Srivastava et al., 2014): in training each value is kept with probability `1 - rate`
    /// and divided by it, otherwise all pass unchanged.
    pub fn dropout(&mut self, input: &Tensor, rate: f64) -> Tensor {
        match &mut self.mode {
            Mode::Training(stream) if rate > 0.0 => {
                let mask = stream.mask(&input.size(), 1.0 - rate).to_device(input.device());
                input * mask / (1.0 - rate)
            }
            _ => input.shallow_clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::seeds::Seeds;

    #[test]
    fn dropout_keeps_the_mean_in_training_and_everything_in_evaluation() {
        let input = Tensor::ones([100, 100], (Kind::Float, Device::Cpu));
        assert!(Pass::evaluation(None).dropout(&input, 0.5).equal(&input));
        let mut stream = Seeds::new(0).stream("dropout");
        let dropped = Pass::training(&mut stream, None).dropout(&input, 0.1);
        let zeros = dropped.eq(0.0).sum(Kind::Int64).int64_value(&[]);
        // Seed 0: 1000 of 10,000 expected, standard deviation 30.
        assert!((850..=1150).contains(&zeros), "{zeros} dropped");
        let kept = dropped.max().double_value(&[]);
        assert!((kept - 1.0 / 0.9).abs() < 1e-6, "{kept}");
    }
}
