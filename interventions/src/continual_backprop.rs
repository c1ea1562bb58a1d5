//! Continual backpropagation.

use std::collections::BTreeMap;

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::HiddenLayer,
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    memory::Memory,
    ranges::{decay, share},
    units::{outgoing_magnitude, redraw_incoming, silence_outgoing},
};

/// Continual backpropagation (Dohare et al., 2024, algorithm 1): every unit's utility is a running mean
/// of its activity times its outgoing weights' magnitude; at every update `replacement_rate` of the units
/// older than `maturity_updates` earn a replacement, and the least useful are recycled in the online
/// network: incoming parameters drawn as when the network was made, outgoing weights 0, moments and step
/// counters forgotten. Utilities, ages and what is earned are remembered and saved; the target network
/// stays as it is. Units that a skip connection carries on are left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContinualBackpropConfig {
    /// Share of the mature units that is replaced per update.
    pub replacement_rate: f64,
    /// Decay of the utility's running mean, per update.
    pub decay: f64,
    /// Updates that a unit is safe after its replacement.
    pub maturity_updates: u64,
}

impl Default for ContinualBackpropConfig {
    fn default() -> Self {
        Self { replacement_rate: 1e-4, decay: 0.99, maturity_updates: 100 }
    }
}

impl HasSchedule for ContinualBackpropConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Replaces the least useful units.
#[derive(Debug)]
pub struct ContinualBackprop {
    config: ContinualBackpropConfig,
    window: UpdateWindow,
    /// By layer, f32 `[units]`.
    utilities: Memory,
    /// By layer, f32 `[units]`: updates since a unit was made or replaced.
    ages: Memory,
    /// By layer: replacements earned and not yet made.
    earned: BTreeMap<String, f64>,
}

impl ContinualBackprop {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<ContinualBackpropConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        let Scheduled { config, schedule: window } = config;
        share("replacement_rate", config.replacement_rate)?;
        decay("decay", config.decay)?;
        let (utilities, ages) = (Memory::default(), Memory::default());
        Ok(Box::new(Self { config, window, utilities, ages, earned: BTreeMap::new() }))
    }

    /// Brings a layer's utilities up to date and picks the units to replace: i64 `[k]`.
    fn choose(&mut self, learner: &Learner, layer: &HiddenLayer, activation: &Tensor) -> Tensor {
        let device = activation.device();
        let zeros = || Tensor::zeros([layer.units], (Kind::Float, device));
        let ContinualBackpropConfig { replacement_rate, decay, maturity_updates } = self.config;
        let contribution = layer.mean_activity(activation) * outgoing_magnitude(learner, layer);
        let utilities = self.utilities.get_or(&layer.name, device, zeros);
        let _ = utilities.g_mul_scalar_(decay).g_add_(&(contribution * (1.0 - decay)));
        let ages = self.ages.get_or(&layer.name, device, zeros);
        let _ = ages.g_add_scalar_(1.0);
        let mature = ages.gt(maturity_updates as f64);
        let eligible = mature.sum(Kind::Int64).int64_value(&[]);
        let earned = self.earned.entry(layer.name.clone()).or_default();
        *earned += eligible as f64 * replacement_rate;
        let count = (earned.floor() as i64).min(eligible);
        *earned -= count as f64;
        if count == 0 {
            return Tensor::zeros([0], (Kind::Int64, device));
        }
        let worst = utilities.masked_fill(&mature.logical_not(), f64::INFINITY);
        let (_, units) = worst.topk(count, 0, false, true);
        let _ = utilities.index_fill_(0, &units, 0.0);
        let _ = ages.index_fill_(0, &units, 0.0);
        units
    }
}

impl Intervention for ContinualBackprop {
    fn after_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        if !self.window.contains(learner.updates) {
            return Ok(());
        }
        let layers: Vec<HiddenLayer> = learner.online.hidden().to_vec();
        let mut chosen = Vec::new();
        for (layer, activation) in layers.into_iter().zip(hook.batch.taps.activations()) {
            if !layer.is_residual {
                let units = self.choose(learner, &layer, activation);
                chosen.push((layer, units));
            }
        }
        chosen.retain(|(_, units)| units.size()[0] > 0);
        for (layer, units) in &chosen {
            redraw_incoming(learner, layer, units, hook.stream);
        }
        for (layer, units) in &chosen {
            silence_outgoing(learner, layer, units);
        }
        Ok(())
    }
}

impl Checkpoint for ContinualBackprop {
    fn save(&self, state: &mut StateDict) {
        state.put_part("utilities", &self.utilities);
        state.put_part("ages", &self.ages);
        state.put("earned", &self.earned);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        state.load_part("utilities", &mut self.utilities)?;
        state.load_part("ages", &mut self.ages)?;
        self.earned = state.get("earned")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Setting;

    #[test]
    fn the_least_useful_mature_unit_is_replaced_when_one_is_earned() {
        let config =
            ContinualBackpropConfig { replacement_rate: 0.25, decay: 0.5, maturity_updates: 3 };
        let mut setting = Setting::with(ContinualBackprop::build(config.into()), 2);
        setting.set("dense1/weight", &[1.0, 1.0]);
        setting.set("dense1/bias", &[0.0, 0.0]);
        // Both units of dense1 give 1; the second is read with less weight. In dense2 both give 1.1, and
        // the first is read with less.
        setting.set("dense2/weight", &[1.0, 0.1, 1.0, 0.1]);
        setting.set("dense2/bias", &[0.0, 0.0]);
        setting.set("output/weight", &[0.1, 1.0]);
        // Mature from update 4 on, two units earn .5 per update: the fifth update replaces one each.
        setting.update(4);
        assert!((setting.numbers("dense2/weight")[1] - 0.1).abs() < 1e-4);
        setting.update(1);
        let weight = setting.numbers("dense2/weight");
        assert_eq!((weight[1], weight[3]), (0.0, 0.0), "dense1's second unit is silenced");
        assert!((weight[2] - 1.0).abs() < 1e-4 && (weight[0] - 1.0).abs() > 1e-3, "{weight:?}");
        assert_eq!(setting.numbers("output/weight")[0], 0.0, "dense2's first unit is silenced");
        assert!((setting.numbers("dense1/weight")[0] - 1.0).abs() < 1e-4);
        assert!((setting.numbers("dense1/weight")[1] - 1.0).abs() > 1e-3);
    }
}
