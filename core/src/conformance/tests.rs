//! Kinds that break each rule.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    network::{Activation, Norm, NormKind, NormPosition, PlannedActivation},
    prelude::*,
};

/// Takes anything.
#[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
struct Lenient {
    /// Documented.
    size: u32,
}

/// Has a setting without a word about it.
#[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Silent {
    size: u32,
}

#[test]
#[should_panic(expected = "test kind `lenient` takes a setting that it does not have")]
fn a_kind_that_ignores_unknown_settings_is_found() {
    let mut registry = Registry::new("test kind");
    registry.register("lenient", |config: Lenient| Ok(config.size));
    check_settings(&registry);
}

#[test]
#[should_panic(expected = "test kind `silent`: `size` has no documentation")]
fn a_setting_without_documentation_is_found() {
    let mut registry = Registry::new("test kind");
    registry.register("silent", |config: Silent| Ok(config.size));
    check_settings(&registry);
}

#[test]
#[should_panic(expected = "test kind `failing` does not build by default: no reason")]
fn a_kind_that_does_not_build_by_default_is_found() {
    let mut registry = Registry::<u32>::new("test kind");
    registry.register("failing", |_: Silent| Err("no reason".to_owned()));
    check_settings(&registry);
}

/// The rule that [`Nudge`] breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    DoesNothing,
    ForgetsItsState,
    BeginsEarly,
    DoesNotEnd,
    Diverges,
    NeedsANorm,
    RefusesMutely,
}

/// Adds to the last bias, more each time.
struct Nudge {
    fault: Fault,
    window: Window,
    times: u64,
}

/// When it acts.
#[derive(Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Window {
    /// The first update.
    start_updates: u64,
    /// The last; 0 sets no end.
    end_updates: u64,
}

impl Intervention for Nudge {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let (kind, position) = (NormKind::Layer, NormPosition::BeforeActivation);
        match self.fault {
            Fault::NeedsANorm => plan.set_norm(Norm { kind, position, affine: true, eps: 1e-5 }),
            Fault::RefusesMutely if plan.activation.is_some() => Err("no".to_owned()),
            Fault::RefusesMutely => {
                let function = Arc::new(Activation::Relu);
                plan.set_activation(PlannedActivation { function, keeps_outputs: true })
            }
            _ => Ok(()),
        }
    }

    fn after_update(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        let Window { start_updates, end_updates } = self.window;
        let is_early = learner.updates < start_updates && self.fault != Fault::BeginsEarly;
        let is_over = end_updates > 0 && learner.updates > end_updates;
        let is_over = is_over && self.fault != Fault::DoesNotEnd;
        if is_early || is_over || self.fault == Fault::DoesNothing {
            return Ok(());
        }
        self.times += 1;
        let nudge = if self.fault == Fault::Diverges { f64::INFINITY } else { 1e-3 };
        let bias = learner.online.variables().get("output/bias").expect("a bias");
        let _ = bias.shallow_clone().g_add_scalar_(nudge * self.times as f64);
        Ok(())
    }
}

impl Checkpoint for Nudge {
    fn save(&self, state: &mut StateDict) {
        state.put("times", &self.times);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        if self.fault != Fault::ForgetsItsState {
            self.times = state.get("times")?;
        }
        Ok(())
    }
}

fn check(fault: Fault) {
    let trials = InterventionTrials::of(|plugins| {
        plugins.interventions.register("nudge", move |window: Window| {
            Ok(Box::new(Nudge { fault, window, times: 0 }))
        });
    });
    trials.check();
}

#[test]
fn an_intervention_without_fault_passes_all_checks() {
    check(Fault::None);
}

#[test]
#[should_panic(expected = "intervention `nudge` changed nothing in 60 updates")]
fn an_intervention_without_effect_is_found() {
    check(Fault::DoesNothing);
}

#[test]
#[should_panic(expected = "intervention `nudge`, saved after 4 updates, goes on differently")]
fn forgotten_state_is_found() {
    check(Fault::ForgetsItsState);
}

#[test]
#[should_panic(expected = "intervention `nudge` changes something before its `start_updates`")]
fn an_intervention_that_begins_early_is_found() {
    check(Fault::BeginsEarly);
}

#[test]
#[should_panic(expected = "intervention `nudge` goes on beyond its `end_updates`")]
fn an_intervention_that_does_not_end_is_found() {
    check(Fault::DoesNotEnd);
}

#[test]
#[should_panic(expected = "update 1 would leave parameters that are not finite")]
fn a_loss_that_is_not_finite_is_found() {
    check(Fault::Diverges);
}

#[test]
#[should_panic(expected = "none of the networks has a place for a normalisation")]
fn what_no_network_has_a_place_for_is_said() {
    check(Fault::NeedsANorm);
}

#[test]
#[should_panic(
    expected = "are refused without a reason: interventions[1]: intervention `nudge`: no"
)]
fn a_refusal_without_a_reason_is_found() {
    check(Fault::RefusesMutely);
}

#[test]
#[should_panic(expected = "no intervention `nugde` to make lively")]
fn settings_for_an_unknown_kind_are_found() {
    InterventionTrials::of(|_| {}).lively("nugde", "").check();
}
