//! Noise on the gradients and the size of the weights: an intervention and a probe in one file.

use pliant_core::prelude::*;
use serde::{Deserialize, Serialize};

/// Gaussian noise on all gradients, of variance `eta / (1 + updates)^0.55` (Neelakantan et al., 2015).
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GradientNoise {
    /// The variance at the first update, in the gradients' unit squared; 0.01 if unset.
    pub eta: Option<f64>,
}

impl Intervention for GradientNoise {
    fn after_backward(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let variance = self.eta.unwrap_or(0.01) / (1.0 + learner.updates as f64).powf(0.55);
        let parameters = learner.online.variables().parameters();
        for mut gradient in parameters.map(|(_, tensor)| tensor.grad()).filter(Tensor::defined) {
            let noise = hook.stream.normal(&gradient.size(), variance.sqrt());
            gradient += noise.to_device(gradient.device());
        }
        Ok(())
    }
}

/// The L2 norm of each layer's weights.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightNorm {
    /// Updates between measurements; 1000 if unset.
    pub every_updates: Option<u64>,
}

impl Probe for WeightNorm {
    fn every(&self) -> Every {
        Every::Updates(self.every_updates.unwrap_or(1000))
    }

    fn measure(&mut self, of: &Subject, _: &mut Stream, metrics: &mut Metrics) -> Result<()> {
        for (name, weight) in of.learner.online.variables().weights() {
            let layer = name.trim_end_matches("/weight");
            metrics.scalar(format!("weight_norm/l2/{layer}"), weight.norm().double_value(&[]));
        }
        Ok(())
    }
}

/// Adds both.
pub fn register(plugins: &mut Plugins) {
    plugins.interventions.register("gradient_noise", |part: GradientNoise| match part.eta {
        Some(eta) if !(0.0..1e6).contains(&eta) => Err(format!("`eta` is {eta}, not 0 to 1e6")),
        _ => Ok(Box::new(part)),
    });
    plugins.probes.register("weight_norm", |part: WeightNorm| Ok(Box::new(part)));
}

pliant_core::stateless!(GradientNoise, WeightNorm);
pliant_core::export_plugin!(register);
