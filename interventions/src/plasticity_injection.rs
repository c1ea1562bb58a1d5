//! Plasticity injection.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::{Model, NetworkPlan},
    schedule::{HasSchedule, Scheduled, UpdateSchedule},
    seeds::Stream,
};
use serde::{Deserialize, Serialize};

use crate::schedule::{Event, OnSchedule};

/// Plasticity injection (Nikishin et al., 2023), once: what comes after the encoder (the
/// convolutions, or where there are none the hidden layers) is frozen, and a new copy of it, minus that
/// copy as it began, is added. The outputs of online and target network do not change at that moment,
/// and the number of parameters that learn stays the same; the optimiser starts anew for the new ones.
/// At the first due update; later ones do nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlasticityInjectionConfig {}

impl HasSchedule for PlasticityInjectionConfig {
    type Schedule = UpdateSchedule;

    /// 50 million frames at an update every 4 agent steps of 4 frames.
    fn default_schedule() -> UpdateSchedule {
        UpdateSchedule { at_updates: vec![3_125_000], ..UpdateSchedule::default() }
    }
}

/// Injects plasticity.
#[derive(Debug)]
pub struct PlasticityInjection;

impl PlasticityInjection {
    /// Takes the settings.
    pub fn build(
        config: Scheduled<PlasticityInjectionConfig>,
    ) -> Result<Box<dyn Intervention>, String> {
        Ok(OnSchedule::boxed(Self, config.schedule))
    }
}

const LEARNED: &str = "injected/";
const START: &str = "injected_start/";

/// Copies `from`'s new variables over those of `to`: both where they learn and where they began.
fn align(from: &Model, to: &Model) {
    for (name, values) in from.variables().iter() {
        let Some(rest) = name.strip_prefix(LEARNED) else { continue };
        for place in [LEARNED, START] {
            let variable = to.variables().get(&format!("{place}{rest}"));
            variable.expect("both are injected").shallow_clone().copy_(values);
        }
    }
}

impl Event for PlasticityInjection {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        if let Some(head) = plan.auxiliary.first() {
            return Err(format!(
                "it renews what reads the features, and `{}` has heads of its own there",
                head.name
            ));
        }
        if plan.expects_injection {
            return Err("plasticity is injected once, and another one is planned".to_owned());
        }
        plan.expects_injection = true;
        Ok(())
    }

    fn after_build(&mut self, learner: &mut Learner, stream: &mut Stream) -> Result<(), String> {
        let present = &learner.online.spec().plan;
        let plan = NetworkPlan { is_injected: true, ..present.clone() };
        let injected = learner.online.replan(plan, &mut stream.clone());
        let injected = injected.map_err(|error| error.to_string())?;
        if !injected.variables().parameters().any(|(name, _)| name.starts_with(LEARNED)) {
            return Err("the network makes no layers to inject".to_owned());
        }
        let mut divided = present.spectral.iter().flat_map(|norm| &norm.layers);
        let is_renewed = |layer: &&String| {
            let weight = injected.variables().get(&format!("{layer}/weight"));
            weight.is_some_and(|weight| !weight.requires_grad())
        };
        match divided.find(is_renewed) {
            None => Ok(()),
            Some(layer) => Err(format!(
                "it renews layer `{layer}`, whose weight is divided by its spectral norm"
            )),
        }
    }

    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let present = &learner.online.spec().plan;
        if present.is_injected {
            return Ok(());
        }
        let plan = NetworkPlan { is_injected: true, ..present.clone() };
        learner.online = learner.online.replan(plan.clone(), hook.stream)?;
        learner.target = learner.target.replan(plan, hook.stream)?;
        align(&learner.online, &learner.online);
        align(&learner.online, &learner.target);
        let is_frozen = |name: &str| {
            learner.online.variables().get(name).is_some_and(|variable| !variable.requires_grad())
        };
        let names: Vec<String> =
            learner.online.variables().iter().map(|(name, _)| name.to_owned()).collect();
        let frozen: Vec<String> = names.into_iter().filter(|name| is_frozen(name)).collect();
        for name in frozen {
            learner.optimizer.moments_mut().reset_variable(&name);
        }
        Ok(())
    }
}

pliant_core::stateless!(PlasticityInjection);

#[cfg(test)]
mod tests {
    use pliant_core::{seeds::Seeds, tch::Tensor};

    use super::*;
    use crate::{
        ResetFull, ResetFullConfig, Trac, TracConfig, Upgd, UpgdConfig,
        testing::{Setting, numbers},
    };

    #[test]
    fn outputs_stay_and_only_new_parameters_learn_from_then_on() {
        let mut table = Scheduled::from(PlasticityInjectionConfig {});
        table.schedule.at_updates = vec![3];
        let mut setting = Setting::with_sgd(PlasticityInjection::build(table), 4, 0.1);
        let count = setting.learner.online.variables().count();
        setting.update(2);
        assert!(setting.learner.online.variables().get("injected/output/weight").is_none());
        setting.update(1);
        let observation = Tensor::from_slice(&[255u8]).reshape([1, 1, 1, 1]);
        let outputs = |model: &Model| numbers(&model.forward(&observation, None));
        let frozen = setting.numbers("output/weight");
        let feature_weights = setting.numbers("dense2/weight");
        let after = outputs(&setting.learner.online);
        let target_after = outputs(&setting.learner.target);
        assert_eq!(setting.learner.online.variables().count(), count);
        assert_eq!(
            setting.numbers("injected/output/weight"),
            setting.numbers("injected_start/output/weight")
        );
        setting.update(1);
        assert_eq!(setting.numbers("output/weight"), frozen, "frozen");
        assert_ne!(setting.numbers("dense2/weight"), feature_weights, "the encoder learns");
        assert_ne!(
            setting.numbers("injected/output/weight"),
            setting.numbers("injected_start/output/weight")
        );
        // The output's own parameters, with the encoder that made the prediction.
        let by_hand = setting.learner.target.variables().get("output/bias").expect("a bias");
        assert!(!by_hand.requires_grad());
        assert_ne!(outputs(&setting.learner.online), after);
        assert_eq!(outputs(&setting.learner.target), target_after);
    }

    #[test]
    fn an_injection_changes_no_output() {
        let mut table = Scheduled::from(PlasticityInjectionConfig {});
        table.schedule.at_updates = vec![1];
        let none = PlasticityInjectionConfig {}.into();
        let mut injected = Setting::with_sgd(PlasticityInjection::build(table), 4, 0.1);
        let mut plain = Setting::with_sgd(PlasticityInjection::build(none), 4, 0.1);
        injected.update(1);
        plain.update(1);
        let observation = Tensor::from_slice(&[200u8]).reshape([1, 1, 1, 1]);
        let outputs = |model: &Model| numbers(&model.forward(&observation, None));
        assert_eq!(outputs(&injected.learner.online), outputs(&plain.learner.online));
        assert_eq!(outputs(&injected.learner.target), outputs(&plain.learner.target));
    }

    #[test]
    fn what_wraps_the_step_leaves_frozen_layers_alone() {
        let at_three = || {
            let mut table = Scheduled::from(PlasticityInjectionConfig {});
            table.schedule.at_updates = vec![3];
            PlasticityInjection::build(table)
        };
        type Build = fn() -> Result<Box<dyn Intervention>, String>;
        let wrappers: [(&str, Build); 2] = [
            ("upgd", || {
                let silent = UpgdConfig { sigma: 0.0, ..UpgdConfig::default() };
                Upgd::build(silent.into())
            }),
            ("trac", || {
                let visible = TracConfig { first_scale: 0.1, ..TracConfig::default() };
                Trac::build(visible.into())
            }),
        ];
        let observation = Tensor::from_slice(&[200u8]).reshape([1, 1, 1, 1]);
        let outputs =
            |setting: &Setting| numbers(&setting.learner.online.forward(&observation, None));
        for (name, wrapper) in wrappers {
            let mut plain = Setting::with_several(vec![wrapper()], 4, 0.1);
            plain.update(3);
            for is_first in [true, false] {
                let parts = if is_first {
                    vec![wrapper(), at_three()]
                } else {
                    vec![at_three(), wrapper()]
                };
                let mut setting = Setting::with_several(parts, 4, 0.1);
                setting.update(3);
                assert_eq!(outputs(&setting), outputs(&plain), "{name}: injection changes nothing");
                let learned = setting.numbers("injected/output/weight");
                assert_eq!(learned, setting.numbers("injected_start/output/weight"), "{name}");
                let frozen = setting.numbers("output/weight");
                setting.update(2);
                assert_eq!(setting.numbers("output/weight"), frozen, "{name}");
                assert_ne!(setting.numbers("injected/output/weight"), learned, "{name}");
            }
        }
    }

    #[test]
    fn a_network_without_a_place_for_it_and_resets_are_refused() {
        let injection = || PlasticityInjection::build(PlasticityInjectionConfig {}.into());
        let mut plan = NetworkPlan::default();
        injection().expect("valid").plan(&mut plan).expect("the first");
        assert_eq!(plan.first_change(), Some("plasticity injection"));
        let mut learner = Setting::with_several(vec![injection()], 2, 0.1).learner;
        let mut reset = ResetFull::build(ResetFullConfig {}.into()).expect("valid");
        let mut stream = Seeds::new(0).stream("unused");
        let message = reset.after_build(&mut learner, &mut stream).expect_err("refused");
        assert!(message.contains("plasticity injection"), "{message}");
    }

    #[test]
    fn the_optimiser_forgets_the_frozen_layers() {
        let mut table = Scheduled::from(PlasticityInjectionConfig {});
        table.schedule.at_updates = vec![2];
        let mut setting = Setting::with(PlasticityInjection::build(table), 2);
        setting.update(1);
        assert!(setting.learner.optimizer.moments().get("output/weight").is_some());
        setting.update(1);
        let moments = setting.learner.optimizer.moments();
        assert!(moments.get("output/weight").is_none() && moments.get("dense2/weight").is_some());
    }
}
