//! Spectral normalisation of chosen layers.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::{Model, NetworkPlan, PowerIteration, SpectralNorm as Planned, spectral_buffer},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::ranges::positive;

/// Spectral normalisation (Miyato et al., 2018, equation 8): the weights of chosen layers are divided
/// by their largest singular value, found by power iteration; a convolution's weight is seen as the
/// matrix [units, inputs * area]. In the network for good, so it has no schedule. The gradient flows
/// through the division; the optimiser sees the undivided weights; the estimate moves on after each
/// update and is copied to the target network with the parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpectralNormConfig {
    /// Names of layers, or `first` (as in Lyle et al., 2023), `first_dense`, `last_hidden` (as in
    /// Gogianu et al., 2021, where it is the layer before the output), `all` (all but the output).
    pub layers: Vec<String>,
    /// The spectral norm that the weights get.
    pub norm: f64,
    /// Power iterations after each update.
    pub iterations: u32,
}

impl Default for SpectralNormConfig {
    fn default() -> Self {
        Self { layers: vec!["first".to_owned()], norm: 1.0, iterations: 1 }
    }
}

/// Power iterations when the network was just made, so that the estimate begins near the truth.
const FIRST_ITERATIONS: u32 = 100;

/// Plans the normalisation and keeps its estimate up to date.
#[derive(Debug)]
pub struct SpectralNorm(SpectralNormConfig);

impl SpectralNorm {
    /// Checks the settings.
    pub fn build(config: SpectralNormConfig) -> Result<Box<dyn Intervention>, String> {
        positive("norm", config.norm)?;
        if config.layers.is_empty() {
            return Err("`layers` is empty, expected names of layers, such as `first`".to_owned());
        }
        if !(1..=1000).contains(&config.iterations) {
            return Err(format!("`iterations` is {}, expected 1 to 1000", config.iterations));
        }
        Ok(Box::new(Self(config)))
    }
}

/// Moves the estimates of every spectrally normalised layer on.
fn iterate(model: &Model, iterations: u32) {
    let layers = model.spec().plan.spectral.iter().flat_map(|norm| &norm.layers);
    for layer in layers {
        let variables = model.variables();
        let weight = variables.get(&format!("{layer}/weight"));
        let (Some(weight), Some(u)) = (weight, variables.get(&spectral_buffer(layer))) else {
            continue;
        };
        for _ in 0..iterations {
            u.shallow_clone().copy_(&PowerIteration::step(weight, u).u);
        }
    }
}

impl Intervention for SpectralNorm {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let SpectralNormConfig { layers, norm, .. } = self.0.clone();
        plan.spectral.push(Planned { layers, norm });
        Ok(())
    }

    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        iterate(&learner.online, FIRST_ITERATIONS);
        learner.target.variables().copy_from(learner.online.variables());
        Ok(())
    }

    fn after_update(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        iterate(&learner.online, self.0.iterations);
        Ok(())
    }
}

pliant_core::stateless!(SpectralNorm);
