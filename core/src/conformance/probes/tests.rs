//! Probes that break each rule.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use tch::no_grad;

use super::*;
use crate::prelude::*;

/// The rule that [`Count`] breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    MeasuresNothing,
    OtherArea,
    ChangesAParameter,
    LeavesAGradient,
    DrawsFromLibtorch,
    OtherNumbers,
    ForgetsItsState,
    RefusesInAWord,
}

/// No settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Nothing {}

/// Counts how often it measured.
struct Count {
    fault: Fault,
    measured: u64,
}

static CALLS: AtomicU64 = AtomicU64::new(0);

impl Probe for Count {
    fn fits(
        &self,
        _: &Learner,
        _: &dyn ProbeData,
        _: Option<&dyn pliant_envs::env::KnownStates>,
    ) -> Result<(), String> {
        if self.fault == Fault::RefusesInAWord { Err("no".to_owned()) } else { Ok(()) }
    }

    fn every(&self) -> Every {
        Every::Updates(1)
    }

    fn measure(&mut self, of: &Subject, stream: &mut Stream, metrics: &mut Metrics) -> Result<()> {
        self.measured += 1;
        let drawn = stream.normal(&[1], 1.0).double_value(&[0]);
        let (_, weight) = of.learner.online.variables().weights().next().expect("there is one");
        let area = if self.fault == Fault::OtherArea { "counts" } else { "count" };
        match self.fault {
            Fault::MeasuresNothing => return Ok(()),
            Fault::ChangesAParameter => drop(no_grad(|| weight.shallow_clone().fill_(1.0))),
            Fault::LeavesAGradient => weight.square().sum(Kind::Float).backward(),
            Fault::DrawsFromLibtorch => drop(Tensor::rand([1], (Kind::Float, Device::Cpu))),
            Fault::OtherNumbers => {
                metrics.scalar("count/calls", CALLS.fetch_add(1, Ordering::Relaxed) as f64);
            }
            _ => {}
        }
        metrics.scalar(format!("{area}/drawn"), drawn);
        metrics.scalar(format!("{area}/measured"), self.measured as f64);
        Ok(())
    }
}

impl Checkpoint for Count {
    fn save(&self, state: &mut StateDict) {
        state.put("measured", &self.measured);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        if self.fault != Fault::ForgetsItsState {
            self.measured = state.get("measured")?;
        }
        Ok(())
    }
}

/// What the trials say of a fault; nothing if they pass.
fn found(fault: Fault) -> String {
    let register = move |plugins: &mut Plugins| {
        plugins.probes.register("count", move |_: Nothing| {
            Ok(Box::new(Count { fault, measured: 0 }) as Box<dyn Probe>)
        });
    };
    let ran = std::panic::catch_unwind(|| ProbeTrials::of(register).check());
    let text = |payload: Box<dyn std::any::Any + Send>| *payload.downcast().expect("a text");
    ran.map_or_else(text, |()| String::new())
}

#[test]
fn each_broken_rule_is_found_and_named() {
    let cases = [
        (Fault::None, ""),
        (Fault::MeasuresNothing, "measures nothing"),
        (Fault::OtherArea, "a tag of another area"),
        (Fault::ChangesAParameter, "it changed what is learned"),
        (Fault::LeavesAGradient, "it left gradients"),
        (Fault::DrawsFromLibtorch, "it draws from libtorch's generator"),
        (Fault::OtherNumbers, "the same stream, other numbers"),
        (Fault::ForgetsItsState, "loaded, it measures something else"),
        (Fault::RefusesInAWord, "refuses without a reason: `no`"),
    ];
    for (fault, said) in cases {
        let found = found(fault);
        assert!(found.contains(said), "{fault:?}: {found}");
        assert_eq!(found.is_empty(), said.is_empty(), "{fault:?}: {found}");
    }
}
