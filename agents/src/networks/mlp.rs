//! The multilayer perceptron.

use std::sync::Arc;

use pliant_core::{
    error::{Error, Result},
    network::{Activation, Architecture, Network, NetworkPlan, NetworkSpec},
    variables::VariableSource,
};
use serde::{Deserialize, Serialize};

use super::{Initialization, sequential::Recipes};

/// A multilayer perceptron on the flattened observation; by default that of Lyle et al. (2023).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Units of every hidden layer.
    pub width: u32,
    /// Hidden layers.
    pub depth: u32,
    /// Between linear maps.
    pub activation: Activation,
    /// How parameters are first drawn.
    pub initialization: Initialization,
    /// One bias for all actions rather than one for each.
    pub shared_output_bias: bool,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            width: 512,
            depth: 2,
            activation: Activation::Relu,
            initialization: Initialization::UniformFanIn,
            shared_output_bias: false,
        }
    }
}

/// A multilayer perceptron with its settings.
#[derive(Debug)]
pub struct Mlp(Recipes);

impl Mlp {
    /// Checks the settings.
    pub fn build(config: MlpConfig) -> Result<Arc<dyn Architecture>> {
        let MlpConfig { width, depth, activation, initialization, shared_output_bias } = config;
        for (key, value, most) in [("width", width, 65_536), ("depth", depth, 256)] {
            if value == 0 || value > most {
                return Err(Error::Invalid(format!("`{key}` is {value}, expected 1 to {most}")));
            }
        }
        let none = Recipes::new(initialization, activation, shared_output_bias);
        let dense =
            |recipes: Recipes, layer| recipes.dense_encoder(&format!("dense{layer}"), width.into());
        Ok(Arc::new(Self((1..=depth).fold(none, dense))))
    }
}

impl Architecture for Mlp {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        self.0.build(spec, variables)
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        self.0.check_plan(plan)
    }
}
