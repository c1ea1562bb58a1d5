//! The convolutional network of DQN.

use std::sync::Arc;

use pliant_core::{
    error::Result,
    network::{Activation, Architecture, Network, NetworkPlan, NetworkSpec},
    variables::VariableSource,
};
use serde::{Deserialize, Serialize};

use super::{
    Initialization,
    sequential::Recipes,
    settings::{check_side, check_width, scaled},
};

/// The convolutional network of Mnih et al. (2015): 32 8x8/4, 64 4x4/2 and 64 3x3/1 convolutions
/// and a dense layer of 512.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NatureConfig {
    /// Multiplies the units of every hidden layer.
    pub width: f64,
    /// Between linear maps.
    pub activation: Activation,
    /// How parameters are first drawn.
    pub initialization: Initialization,
    /// One bias for all actions rather than one for each, as in DQN Zoo's `double_q`.
    pub shared_output_bias: bool,
}

impl Default for NatureConfig {
    /// DQN Zoo's `double_q`.
    fn default() -> Self {
        Self {
            width: 1.0,
            activation: Activation::Relu,
            initialization: Initialization::UniformFanIn,
            shared_output_bias: true,
        }
    }
}

/// The network of DQN with its settings.
#[derive(Debug)]
pub struct Nature(Recipes);

impl Nature {
    /// Checks the settings.
    pub fn build(config: NatureConfig) -> Result<Arc<dyn Architecture>> {
        let NatureConfig { width, activation, initialization, shared_output_bias } = config;
        check_width(width)?;
        let recipes = Recipes::new(initialization, activation, shared_output_bias)
            .convolution("conv1", scaled(32, width), 8, 4)
            .convolution("conv2", scaled(64, width), 4, 2)
            .convolution("conv3", scaled(64, width), 3, 1)
            .dense("dense", scaled(512, width));
        Ok(Arc::new(Self(recipes)))
    }
}

/// The smallest side whose convolutions leave one pixel: `((36 - 8) / 4 + 1 - 4) / 2 + 1 = 3`.
const SMALLEST_SIDE: i64 = 36;

impl Architecture for Nature {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        check_side("nature", spec.observation, SMALLEST_SIDE)?;
        self.0.build(spec, variables)
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        self.0.check_plan(plan)
    }
}
