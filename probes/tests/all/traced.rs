//! Gradients of single transitions in a network that reads one weight twice and another for nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pliant_core::{
    error::Result,
    metrics::Value,
    network::{Architecture, HiddenLayer, Network, NetworkSpec, Pass, Traced},
    tch::Tensor,
    variables::{Init, VariableSource},
};

use crate::linear::{Given, learner_of, measure};

/// `W x + W y` with y the inputs in reverse, doubled; notes whether it was traced.
#[derive(Debug, Default)]
struct Twice(Arc<AtomicBool>);

struct TwiceNetwork {
    weight: Tensor,
    idle: Tensor,
    was_traced: Arc<AtomicBool>,
}

impl Architecture for Twice {
    fn build(
        &self,
        _spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        Ok(Box::new(TwiceNetwork {
            weight: variables.variable("output/weight", &[2, 2], Init::Ones),
            idle: variables.variable("idle/weight", &[3, 2], Init::Ones),
            was_traced: Arc::clone(&self.0),
        }))
    }
}

impl Network for TwiceNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        self.was_traced.store(pass.is_traced(), Ordering::Relaxed);
        let inputs = observations.flatten(1, -1);
        let reversed = inputs.flip([1]) * 2.0;
        let mut read = |name: &str, weight: &Tensor, input: &Tensor| {
            let output = input.linear(weight, None::<Tensor>);
            let (input, weight) = (input.shallow_clone(), name.to_owned());
            pass.trace(Traced::Dense { weight, input, output: output.shallow_clone() });
            output
        };
        let _ = read("idle/weight", &self.idle, &inputs);
        read("output/weight", &self.weight, &inputs)
            + read("output/weight", &self.weight, &reversed)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }
}

/// The gradients of action 0's weights are along (1, 0) + (0, 2) and (0, 1) + (2, 0): their cosine is 4/5. Of each
/// place by itself it would be 0.
#[test]
fn a_weight_that_is_read_twice_has_one_gradient_and_one_that_is_not_used_none() {
    let data = Given(vec![([1, 0], 0, -9.0), ([0, 1], 0, -9.0)]);
    for separate in [false, true] {
        let was_traced = Arc::new(AtomicBool::default());
        let learner = learner_of(Arc::new(Twice(Arc::clone(&was_traced))), [1.0; 4]);
        let settings = "batch_size = 2\nloss = \"primary\"\norder = \"none\"";
        let settings = format!("{settings}\nseparate = {separate}");
        let metrics = measure("gradient_covariance", &settings, &learner, &data);
        assert_eq!(was_traced.load(Ordering::Relaxed), !separate, "what `separate` asks for");
        let matrix = metrics.iter().find_map(|(_, value)| match value {
            Value::Matrix(matrix) => Some(matrix.values.clone()),
            _ => None,
        });
        for (actual, expected) in matrix.expect("a matrix").iter().zip([1.0, 0.8, 0.8, 1.0]) {
            assert!((actual - expected).abs() < 1e-6, "{separate}: {actual}, expected {expected}");
        }
    }
}
