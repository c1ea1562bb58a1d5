//! Initial feature regularisation.

use pliant_core::{
    error::{Error, Result},
    intervention::{Hook, Intervention},
    learner::Learner,
    network::{AuxiliaryHead, Model, NetworkPlan, Taps},
    ranges::{not_negative, positive},
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor, no_grad},
};
use serde::{Deserialize, Serialize};

use crate::schedule::{InWindow, Penalty};

/// InFeR (Lyle et al., 2022): linear heads on the features have to go on predicting what they
/// predicted when the network was made, times `scale`; `weight` times the squared error, summed over heads
/// and averaged over the batch, is added to the loss. The heads are parameters of the network like any
/// other, also for resets; the initial network is remembered and saved, and sees the batch as the learning
/// one does (with batch statistics, without dropout). Costs one more forward pass per update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Heads.
    pub heads: u32,
    /// What the initial predictions are multiplied by.
    pub scale: f64,
    /// Strength.
    pub weight: f64,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self { heads: 10, scale: 100.0, weight: 0.1 }
    }
}

impl HasSchedule for InferConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Name of the heads in the network.
const NAME: &str = "infer";

/// Holds features to what they could predict.
pub struct Infer {
    config: InferConfig,
    /// The network as it was made.
    initial: Option<Model>,
}

impl Infer {
    /// Checks the settings.
    pub fn build(config: Scheduled<InferConfig>) -> Result<Box<dyn Intervention>, String> {
        let Scheduled { config, schedule } = config;
        if !(1..=4096).contains(&config.heads) {
            return Err(format!("`heads` is {}, expected 1 to 4096", config.heads));
        }
        positive("scale", config.scale)?;
        not_negative("weight", config.weight)?;
        Ok(InWindow::boxed(Self { config, initial: None }, schedule))
    }
}

/// What the heads predict from a pass's features, f32 `[batch, heads]`.
fn predictions(model: &Model, taps: &Taps) -> Option<Tensor> {
    let weight = model.variables().get(&format!("{NAME}/weight"))?;
    let bias = model.variables().get(&format!("{NAME}/bias"));
    Some(taps.features()?.linear(weight, bias))
}

impl Penalty for Infer {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        if plan.auxiliary.iter().any(|head| head.name == NAME) {
            return Err("the network already has its heads".to_owned());
        }
        if plan.expects_injection {
            return Err(
                "its heads read features whose readers plasticity injection renews".to_owned()
            );
        }
        let outputs = i64::from(self.config.heads);
        plan.auxiliary.push(AuxiliaryHead { name: NAME.to_owned(), outputs });
        Ok(())
    }

    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        self.initial = Some(learner.online.fork());
        Ok(())
    }

    fn term(&mut self, learner: &Learner, hook: &mut Hook<'_>) -> Result<Tensor> {
        let initial = self.initial.as_ref().expect("kept since the network was made");
        let before = no_grad(|| {
            let mut taps = Taps::default();
            let _ = initial.forward_beside_training(hook.batch.observations, Some(&mut taps));
            predictions(initial, &taps)
        });
        let now = predictions(&learner.online, hook.batch.taps);
        let (Some(before), Some(now)) = (before, now) else {
            return Err(Error::Invalid("the network does not show its features".to_owned()));
        };
        let error = (now - before * self.config.scale).square();
        let by_observation = error.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        Ok(by_observation.mean(Kind::Float) * self.config.weight)
    }
}

impl Checkpoint for Infer {
    fn save(&self, state: &mut StateDict) {
        if let Some(initial) = &self.initial {
            state.put_part("initial", initial);
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        match &mut self.initial {
            Some(initial) => state.load_part("initial", initial),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn the_loss_is_the_distance_from_the_scaled_first_predictions() {
        let config = InferConfig { heads: 2, scale: 3.0, weight: 0.5 };
        let mut setting = Setting::with_sgd(Infer::build(config.into()), 1, 1e-9);
        let weights = setting.numbers("infer/weight");
        let biases = setting.numbers("infer/bias");
        let first = |setting: &Setting, layer: &str, input: f32| {
            let [weight, bias] =
                ["weight", "bias"].map(|part| setting.numbers(&format!("{layer}/{part}"))[0]);
            (weight * input + bias).max(0.0)
        };
        let features = first(&setting, "dense2", first(&setting, "dense1", 1.0));
        let before = [0, 1].map(|head| weights[head] * features + biases[head]);
        // The features become 4, and the output 0.
        setting.set("dense1/weight", &[1.0]);
        setting.set("dense1/bias", &[0.0]);
        setting.set("dense2/weight", &[4.0]);
        setting.set("dense2/bias", &[0.0]);
        setting.set("output/weight", &[0.0]);
        setting.set("output/bias", &[0.0]);
        let now = [0, 1].map(|head| weights[head] * 4.0 + biases[head]);
        let square = |head: usize| f64::from(now[head] - 3.0 * before[head]).powi(2);
        let expected = 0.5 * (square(0) + square(1));
        let loss = setting.update(1);
        assert!((loss - expected).abs() < 1e-5, "{loss}, expected {expected}");
    }
}
