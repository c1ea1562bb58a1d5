//! Root-mean-square normalisation of every hidden layer.

use pliant_core::{
    intervention::Intervention,
    network::{NetworkPlan, Norm, NormKind, NormPosition},
    ranges::positive,
};
use serde::{Deserialize, Serialize};

/// RMSNorm (Zhang & Sennrich, 2019, equation 4) of every hidden layer: all units of an observation are
/// divided by their root mean square. In the network for good, so it has no schedule; target network
/// and optimiser treat the scales like any parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmsNormConfig {
    /// Before or after the activation.
    pub position: NormPosition,
    /// A learned scale for each unit (of a convolution: for each channel).
    pub affine: bool,
    /// Added to the mean square.
    pub eps: f64,
}

impl Default for RmsNormConfig {
    fn default() -> Self {
        Self { position: NormPosition::BeforeActivation, affine: true, eps: 1e-5 }
    }
}

/// Plans a normalisation; has nothing to do while the network learns.
#[derive(Debug)]
pub struct RmsNorm(RmsNormConfig);

impl RmsNorm {
    /// Checks the settings.
    pub fn build(config: RmsNormConfig) -> Result<Box<dyn Intervention>, String> {
        positive("eps", config.eps)?;
        Ok(Box::new(Self(config)))
    }
}

impl Intervention for RmsNorm {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let RmsNormConfig { position, affine, eps } = self.0;
        plan.set_norm(Norm { kind: NormKind::RootMeanSquare, position, affine, eps })
    }
}

pliant_core::stateless!(RmsNorm);
