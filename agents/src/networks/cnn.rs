//! The small convolutional network of the paper's classification tasks.

use std::sync::Arc;

use pliant_core::{
    error::{Error, Result},
    network::{Activation, Architecture, Network, NetworkPlan, NetworkSpec},
    variables::VariableSource,
};
use serde::{Deserialize, Serialize};

use super::{
    Initialization,
    sequential::Recipes,
    settings::{check_side, check_width, scaled},
};

/// The convolutional network of Lyle et al. (2023): 64 5x5 and 64 3x3 convolutions and two dense
/// layers of 256.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CnnConfig {
    /// Multiplies the units of every hidden layer.
    pub width: f64,
    /// Strides of the two convolutions. The paper does not state them; with 2 and 2 the first dense
    /// layer reads 1600 values on MNIST and 2304 on CIFAR-10, with 1 and 1 it reads 30,976 and 43,264.
    pub strides: [u32; 2],
    /// Between linear maps.
    pub activation: Activation,
    /// How parameters are first drawn.
    pub initialization: Initialization,
    /// One bias for all actions rather than one for each.
    pub shared_output_bias: bool,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Self {
            width: 1.0,
            strides: [2, 2],
            activation: Activation::Relu,
            initialization: Initialization::UniformFanIn,
            shared_output_bias: false,
        }
    }
}

/// The convolutional network of the classification tasks with its settings.
#[derive(Debug)]
pub struct Cnn {
    recipes: Recipes,
    smallest_side: i64,
}

impl Cnn {
    /// Checks the settings.
    pub fn build(config: CnnConfig) -> Result<Arc<dyn Architecture>> {
        let CnnConfig { width, strides, activation, initialization, shared_output_bias } = config;
        check_width(width)?;
        if strides.iter().any(|stride| !(1..=8).contains(stride)) {
            return Err(Error::Invalid(format!(
                "`strides` are {strides:?}, expected two numbers from 1 to 8"
            )));
        }
        let [first, second] = strides.map(i64::from);
        let recipes = Recipes::new(initialization, activation, shared_output_bias)
            .convolution("conv1", scaled(64, width), 5, first)
            .convolution("conv2", scaled(64, width), 3, second)
            .dense("dense1", scaled(256, width))
            .dense("dense2", scaled(256, width));
        // The second convolution needs three pixels.
        Ok(Arc::new(Self { recipes, smallest_side: 5 + 2 * first }))
    }
}

impl Architecture for Cnn {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        check_side("cnn", spec.observation, self.smallest_side)?;
        self.recipes.build(spec, variables)
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        self.recipes.check_plan(plan)
    }
}
