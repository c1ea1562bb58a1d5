//! Evaluation passes over more observations than should be in memory with all their activations.

use pliant_core::{
    network::{Model, Taps},
    tch::{Tensor, no_grad},
};

/// Observations of one pass.
const ROWS: i64 = 256;

/// What a network makes of observations, row by row, without a graph.
pub(crate) struct Passes {
    /// What the output layer reads, `[n, d]`, where the network says.
    pub features: Option<Tensor>,
    /// Q-values `[n, actions]`.
    pub q_values: Tensor,
}

impl Passes {
    /// Over all `observations`, `[n, ..]`.
    pub(crate) fn over(online: &Model, observations: &Tensor) -> Self {
        let (mut features, mut q_values) = (Vec::new(), Vec::new());
        for rows in observations.split(ROWS, 0) {
            let mut taps = Taps::default();
            let outputs = no_grad(|| online.forward(&rows, Some(&mut taps)));
            features.extend(taps.features().map(Tensor::shallow_clone));
            q_values.push(online.head().q_values(&outputs));
        }
        let features = (features.len() == q_values.len()).then(|| Tensor::cat(&features, 0));
        Self { features, q_values: Tensor::cat(&q_values, 0) }
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::{
        conformance::TrialNetwork,
        network::{NetworkPlan, NetworkSpec},
        seeds::Seeds,
        tch::{Device, Kind},
    };

    use super::*;

    #[test]
    fn several_passes_give_the_rows_of_one_in_order() {
        let TrialNetwork { architecture, observation, .. } = TrialNetwork::perceptron();
        let spec = NetworkSpec { observation, actions: 3, plan: NetworkPlan::default() };
        let mut stream = Seeds::new(0).stream("network");
        let built = Model::new(architecture, spec, &mut stream, Device::Cpu);
        let online = built.expect("any size fits");
        let count = 2 * ROWS + 17;
        let pictures = stream.uniform(&[count, 1, 3, 3], 128.0) + 128.0;
        let pictures = pictures.to_kind(Kind::Uint8);
        let mut taps = Taps::default();
        let q_values =
            no_grad(|| online.head().q_values(&online.forward(&pictures, Some(&mut taps))));
        let passes = Passes::over(&online, &pictures);
        let is_close =
            |a: &Tensor, b: &Tensor| a.size() == b.size() && a.allclose(b, 1e-6, 1e-6, false);
        assert!(is_close(&passes.q_values, &q_values));
        let features = passes.features.expect("the trials' network says what they are");
        assert!(is_close(&features, taps.features().expect("likewise")));
    }
}
