//! Spectral normalisation of chosen layers.

use pliant_core::{
    intervention::Intervention,
    network::{NetworkPlan, SpectralNorm as Planned},
    ranges::positive,
};
use serde::{Deserialize, Serialize};

/// Spectral normalisation (Miyato et al., 2018, equation 8): the weights of chosen layers are divided
/// by their largest singular value, found by power iteration; a convolution's weight is seen as the
/// matrix [units, inputs * area]. In the network for good, so it has no schedule. The gradient flows
/// through the division; the optimiser sees the undivided weights; the estimate moves on after each
/// update and is copied to the target network with the parameters. A weight of exactly 0 is not divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpectralNormConfig {
    /// Names of layers, or `first_dense` (the first linear layer, as in Lyle et al., 2023), `first` (of a
    /// network with convolutions the first of them), `last_hidden` (the layer before the output, as in
    /// Gogianu et al., 2021), `all` (all but output and auxiliary heads).
    pub layers: Vec<String>,
    /// The spectral norm that the weights get.
    pub norm: f64,
    /// Power iterations after each update.
    pub iterations: u32,
}

impl Default for SpectralNormConfig {
    fn default() -> Self {
        Self { layers: vec!["first_dense".to_owned()], norm: 1.0, iterations: 1 }
    }
}

/// Plans the normalisation.
#[derive(Debug)]
pub struct SpectralNorm(SpectralNormConfig);

impl SpectralNorm {
    /// Checks the settings.
    pub fn build(config: SpectralNormConfig) -> Result<Box<dyn Intervention>, String> {
        positive("norm", config.norm)?;
        if config.layers.is_empty() {
            return Err(
                "`layers` is empty, expected names of layers, such as `first_dense`".to_owned()
            );
        }
        let is_twice = |(index, name): &(usize, &String)| config.layers[..*index].contains(name);
        if let Some((_, name)) = config.layers.iter().enumerate().find(is_twice) {
            return Err(format!("`layers` has `{name}` twice, expected each layer once"));
        }
        if !(1..=1000).contains(&config.iterations) {
            return Err(format!("`iterations` is {}, expected 1 to 1000", config.iterations));
        }
        Ok(Box::new(Self(config)))
    }
}

impl Intervention for SpectralNorm {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let SpectralNormConfig { layers, norm, iterations } = self.0.clone();
        plan.spectral.push(Planned { layers, norm, iterations });
        Ok(())
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }
}

pliant_core::stateless!(SpectralNorm);
