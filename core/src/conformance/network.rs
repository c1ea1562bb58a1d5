//! Networks small enough to try things on.

use std::sync::Arc;

use tch::Tensor;

use crate::{
    error::Result,
    network::{
        Activation, ActivationFunction, Architecture, HiddenLayer, Network, NetworkPlan,
        NetworkSpec, Pass,
    },
    variables::{Init, VariableSource},
};

/// A network and the pictures it is tried on.
#[derive(Clone, Debug)]
pub struct TrialNetwork {
    /// For messages.
    pub name: String,
    /// What builds it.
    pub architecture: Arc<dyn Architecture>,
    /// Channels, height, width.
    pub observation: [i64; 3],
}

impl TrialNetwork {
    /// Two hidden layers of eight units on nine pixels. It takes every head and every activation, and
    /// has no place for what else can be planned: the networks of `pliant-agents` have.
    pub fn perceptron() -> Self {
        let architecture: Arc<dyn Architecture> = Arc::new(Perceptron);
        Self { name: "perceptron".to_owned(), architecture, observation: [1, 3, 3] }
    }
}

const UNITS: i64 = 8;

#[derive(Debug)]
struct Perceptron;

impl Architecture for Perceptron {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let planned = spec.plan.activation.clone();
        let divisor = planned
            .as_ref()
            .map_or(1, |planned| if planned.keeps_outputs { planned.function.copies() } else { 1 });
        let activation = planned
            .map_or_else(|| Arc::new(Activation::Relu) as Arc<_>, |planned| planned.function);
        let (units, copies) = (UNITS / divisor, activation.copies());
        let (bound, is_rectified) = (activation.bound(), activation.is_rectifier());
        let pixels = spec.observation.iter().product();
        let dense1 = Linear::new("dense1", pixels, units, variables);
        let dense2 = Linear::new("dense2", units * copies, units, variables);
        let output = Linear::new("output", units * copies, spec.outputs(), variables);
        let hidden = [("dense1", "dense2"), ("dense2", "output")].map(|(name, reader)| {
            let incoming = ["weight", "bias"].map(|part| format!("{name}/{part}")).to_vec();
            let outgoing = vec![format!("{reader}/weight")];
            let name = name.to_owned();
            let is_residual = false;
            HiddenLayer {
                name,
                units,
                copies,
                bound,
                is_rectified,
                is_residual,
                incoming,
                outgoing,
            }
        });
        Ok(Box::new(PerceptronNetwork { dense: [dense1, dense2], output, activation, hidden }))
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        let rest = NetworkPlan { activation: None, ..plan.clone() };
        rest.first_change()
            .map_or(Ok(()), |change| Err(format!("this network has no place for {change}")))
    }
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(name: &str, inputs: i64, units: i64, variables: &mut VariableSource<'_>) -> Self {
        let init = Init::fan_in(inputs);
        Self {
            weight: variables.variable(&format!("{name}/weight"), &[units, inputs], init),
            bias: variables.variable(&format!("{name}/bias"), &[units], init),
        }
    }

    fn apply(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&self.bias))
    }
}

struct PerceptronNetwork {
    dense: [Linear; 2],
    output: Linear,
    activation: Arc<dyn ActivationFunction>,
    hidden: [HiddenLayer; 2],
}

impl Network for PerceptronNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut features = observations.flatten(1, -1);
        for layer in &self.dense {
            features = self.activation.apply(&layer.apply(&features));
            pass.record(&features);
        }
        pass.record_features(&features);
        self.output.apply(&features)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &self.hidden
    }
}
