//! Continual backpropagation.

use std::collections::BTreeMap;

use pliant_core::{
    error::{Error, Result},
    intervention::{Hook, Intervention},
    learner::Learner,
    network::HiddenLayer,
    ranges::{decay, share},
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::Tensor,
};
use serde::{Deserialize, Serialize};

use crate::{
    memory::Memory,
    units::{check_units, outgoing_magnitude, recyclable, redraw_incoming, silence_outgoing},
};

/// Continual backpropagation (Dohare et al., 2024, algorithm 1): every unit's utility is a running mean
/// of its activity times its outgoing weights' magnitude, corrected for its beginning at 0; at every update
/// `replacement_rate` of the units older than `maturity_updates` earn a replacement, and the least useful
/// are recycled in the online network: incoming parameters drawn as when the network was made, outgoing
/// weights 0, moments and step counters forgotten. Utilities, ages and what is earned are remembered and
/// saved; the target network stays as it is. Units that a skip connection carries on are left alone.
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
    rosters: BTreeMap<String, Roster>,
}

/// The units of a layer, and what they have earned.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Roster {
    /// Updates since each unit was made or replaced.
    ages: Vec<u64>,
    /// Replacements earned and not yet made.
    earned: f64,
}

impl Roster {
    fn new(units: i64) -> Self {
        Self { ages: vec![0; units as usize], earned: 0.0 }
    }

    /// An error if it is not of this layer.
    fn check(&self, layer: &HiddenLayer) -> Result<()> {
        let (count, units, name) = (self.ages.len(), layer.units, &layer.name);
        if count as i64 == units && self.earned.is_finite() {
            return Ok(());
        }
        Err(Error::State(format!("`{name}` has {count} units, expected {units}")))
    }

    /// One more update; how many units are to be replaced, all of them older than `maturity`.
    fn grow_older(&mut self, maturity: u64, replacement_rate: f64) -> i64 {
        for age in &mut self.ages {
            *age = age.saturating_add(1);
        }
        let mature = self.ages.iter().filter(|age| **age > maturity).count();
        self.earned += mature as f64 * replacement_rate;
        let count = self.earned.floor().min(mature as f64);
        self.earned -= count;
        count as i64
    }

    /// What a running mean is divided by, because it began at 0 when a unit did: f32 `[units]`.
    fn corrections(&self, decay: f64) -> Tensor {
        let correction = |age: &u64| (1.0 - decay.powf(*age as f64)) as f32;
        Tensor::from_slice(&self.ages.iter().map(correction).collect::<Vec<_>>())
    }

    /// bool `[units]`.
    fn are_young(&self, maturity: u64) -> Tensor {
        Tensor::from_slice(&self.ages.iter().map(|age| *age <= maturity).collect::<Vec<_>>())
    }
}

impl ContinualBackprop {
    /// Checks the settings.
    pub fn build(
        config: Scheduled<ContinualBackpropConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        let Scheduled { config, schedule: window } = config;
        share("replacement_rate", config.replacement_rate)?;
        decay("decay", config.decay)?;
        let utilities = Memory::default();
        Ok(Box::new(Self { config, window, utilities, rosters: BTreeMap::new() }))
    }

    /// Brings a layer's utilities up to date and picks the units to replace: i64 `[k]`, if any are.
    fn choose(
        &mut self,
        learner: &Learner,
        layer: &HiddenLayer,
        activation: &Tensor,
    ) -> Result<Option<Tensor>> {
        let device = activation.device();
        let ContinualBackpropConfig { replacement_rate, decay, maturity_updates } = self.config;
        let contribution = layer.mean_activity(activation) * outgoing_magnitude(learner, layer);
        let utilities =
            self.utilities.of_shape_or(&layer.name, &contribution, || contribution.zeros_like())?;
        let _ = utilities.g_mul_scalar_(decay).g_add_(&(contribution * (1.0 - decay)));
        let new = || Roster::new(layer.units);
        let roster = self.rosters.entry(layer.name.clone()).or_insert_with(new);
        roster.check(layer)?;
        let count = roster.grow_older(maturity_updates, replacement_rate);
        if count == 0 {
            return Ok(None);
        }
        let corrected = &*utilities / roster.corrections(decay).to_device(device);
        let young = roster.are_young(maturity_updates).to_device(device);
        let (_, units) = corrected.masked_fill(&young, f64::INFINITY).topk(count, 0, false, true);
        let _ = utilities.index_fill_(0, &units, 0.0);
        for unit in Vec::<i64>::try_from(&units).expect("i64 indices") {
            roster.ages[unit as usize] = 0;
        }
        Ok(Some(units))
    }
}

impl Intervention for ContinualBackprop {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_units(learner)
    }

    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(self.window.start_updates)
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    /// New weights are drawn or 0, whatever the utilities are.
    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }

    fn after_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        if !self.window.contains(learner.updates) {
            return Ok(());
        }
        let mut chosen = Vec::new();
        for (layer, activation) in recyclable(learner, hook.batch.taps) {
            let units = self.choose(learner, &layer, activation)?;
            chosen.extend(units.map(|units| (layer, units)));
        }
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
        state.put("rosters", &self.rosters);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        state.load_part("utilities", &mut self.utilities)?;
        self.rosters = state.get("rosters")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::tch::{Device, Kind};

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

    #[test]
    fn a_young_unit_is_not_taken_for_useless_because_its_mean_began_later() {
        let mut roster = Roster::new(2);
        roster.ages = vec![100, 2];
        // With a decay of .9: 1 - .9^100 and 1 - .81.
        let corrections = crate::testing::numbers(&roster.corrections(0.9));
        assert!((corrections[0] - 0.999_973_4).abs() < 1e-6, "{corrections:?}");
        assert!((corrections[1] - 0.19).abs() < 1e-6, "{corrections:?}");
        // Units older than 1 earn half a replacement each.
        assert_eq!(roster.grow_older(1, 0.5), 1);
        assert_eq!((roster.ages.clone(), roster.earned), (vec![101, 3], 0.0));
        assert_eq!(roster.grow_older(10, 0.5), 0, "one unit alone has earned one half");
        assert_eq!(roster.earned, 0.5);
    }

    #[test]
    fn the_corrected_utility_decides_and_begins_anew() {
        let config =
            ContinualBackpropConfig { replacement_rate: 0.5, decay: 0.9, maturity_updates: 1 };
        let setting = Setting::with_sgd(ContinualBackprop::build(config.clone().into()), 2, 0.1);
        let roster = Roster { ages: vec![100, 3], earned: 0.0 };
        let mut part = ContinualBackprop {
            config,
            window: UpdateWindow::always(),
            utilities: Memory::default(),
            rosters: [("dense2".to_owned(), roster)].into(),
        };
        part.utilities.set("dense2", Tensor::from_slice(&[1.0f32, 0.5]));
        let layer = setting.learner.online.hidden()[1].clone();
        let silence = Tensor::zeros([1, 2], (Kind::Float, Device::Cpu));
        let units = part.choose(&setting.learner, &layer, &silence).expect("its own state");
        // The means become .9 and .45; over 1 - .9^101 and 1 - .9^4 that is .9 and 1.31.
        let units = units.expect("one is earned");
        assert_eq!(Vec::<i64>::try_from(&units).expect("i64"), [0]);
        let utilities = part.utilities.get_or("dense2", &[2], silence.device(), || unreachable!());
        let utilities = crate::testing::numbers(utilities.expect("of this shape"));
        assert_eq!(utilities[0], 0.0);
        assert!((utilities[1] - 0.45).abs() < 1e-6, "{utilities:?}");
        assert_eq!(part.rosters["dense2"].ages, [0, 4]);
    }
}
