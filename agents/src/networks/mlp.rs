//! The multilayer perceptron.

use std::rc::Rc;

use pliant_core::{
    error::{Error, Result},
    network::{Architecture, Network, NetworkSpec},
    variables::VariableSource,
};
use serde::{Deserialize, Serialize};

use super::SequentialBuilder;

/// A multilayer perceptron on the flattened observation; by default that of Lyle et al. (2023).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Units of every hidden layer.
    pub width: u32,
    /// Hidden layers.
    pub depth: u32,
    /// One bias for all outputs rather than one for each.
    pub shared_output_bias: bool,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { width: 512, depth: 2, shared_output_bias: false }
    }
}

/// A multilayer perceptron with its settings.
#[derive(Debug)]
pub struct Mlp(MlpConfig);

impl Mlp {
    /// Checks the settings.
    pub fn build(config: MlpConfig) -> Result<Rc<dyn Architecture>> {
        let ranges = [("width", config.width, 65_536), ("depth", config.depth, 256)];
        for (key, value, most) in ranges {
            if value == 0 || value > most {
                return Err(Error::Invalid(format!("`{key}` is {value}, expected 1 to {most}")));
            }
        }
        Ok(Rc::new(Self(config)))
    }
}

impl Architecture for Mlp {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let builder = SequentialBuilder::new(spec, variables);
        let builder = (1..=self.0.depth).fold(builder, |builder, layer| {
            builder.dense(&format!("dense{layer}"), i64::from(self.0.width))
        });
        Ok(Box::new(builder.finish(spec.outputs(), self.0.shared_output_bias)))
    }
}
