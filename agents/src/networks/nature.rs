//! The convolutional network of DQN.

use std::rc::Rc;

use pliant_core::{
    error::{Error, Result},
    network::{Architecture, Network, NetworkSpec},
    variables::VariableSource,
};
use serde::{Deserialize, Serialize};

use super::SequentialBuilder;

/// The convolutional network of Mnih et al. (2015): 32 8x8/4, 64 4x4/2 and 64 3x3/1 convolutions
/// and a dense layer of 512.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NatureConfig {
    /// Multiplies the units of every hidden layer.
    pub width: f64,
    /// One bias for all outputs rather than one for each, as in DQN Zoo's `double_q`.
    pub shared_output_bias: bool,
}

impl Default for NatureConfig {
    /// DQN Zoo's `double_q`.
    fn default() -> Self {
        Self { width: 1.0, shared_output_bias: true }
    }
}

/// The network of DQN with its settings.
#[derive(Debug)]
pub struct Nature(NatureConfig);

impl Nature {
    /// Checks the settings.
    pub fn build(config: NatureConfig) -> Result<Rc<dyn Architecture>> {
        if !(config.width > 0.0 && config.width <= 64.0) {
            return Err(Error::Invalid(format!(
                "`width` is {}, expected a number above 0 and at most 64",
                config.width
            )));
        }
        Ok(Rc::new(Self(config)))
    }

    fn units(&self, base: i64) -> i64 {
        ((base as f64 * self.0.width).round() as i64).max(1)
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
        let [_, height, width] = spec.observation;
        if height.min(width) < SMALLEST_SIDE {
            return Err(Error::Invalid(format!(
                "network `nature` needs observations of at least {SMALLEST_SIDE}x{SMALLEST_SIDE} \
                 pixels, these have {height}x{width}"
            )));
        }
        let network = SequentialBuilder::new(spec, variables)
            .convolution("conv1", self.units(32), 8, 4)?
            .convolution("conv2", self.units(64), 4, 2)?
            .convolution("conv3", self.units(64), 3, 1)?
            .dense("dense", self.units(512))
            .finish(spec.outputs(), self.0.shared_output_bias);
        Ok(Box::new(network))
    }
}
