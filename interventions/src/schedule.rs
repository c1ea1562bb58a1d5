//! Interventions that do one thing at given updates, or add one term to the loss for a time.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    network::NetworkPlan,
    schedule::{UpdateSchedule, UpdateWindow},
    seeds::Stream,
    state::{Checkpoint, StateDict},
    tch::{Kind, Tensor},
};

/// Something that is done to a learner at given updates.
pub(crate) trait Event: Checkpoint {
    /// See [`Intervention::plan`].
    fn plan(&self, _plan: &mut NetworkPlan) -> Result<(), String> {
        Ok(())
    }

    /// See [`Intervention::after_build`].
    fn after_build(&mut self, _learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        Ok(())
    }

    /// True if it never reaches the target network: where it is due at an update that ends in a target
    /// update, it waits until that is done.
    fn spares_target(&self) -> bool {
        false
    }

    /// See [`Intervention::is_risky`].
    fn is_risky(&self) -> bool {
        true
    }

    /// Does it.
    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()>;
}

/// An [`Event`] with the updates after which it takes place.
pub(crate) struct OnSchedule<E> {
    pub event: E,
    pub schedule: UpdateSchedule,
}

impl<E: Event + 'static> OnSchedule<E> {
    pub fn boxed(event: E, schedule: UpdateSchedule) -> Box<dyn Intervention> {
        Box::new(Self { event, schedule })
    }
}

impl<E: Event> OnSchedule<E> {
    /// Does it, and says so where it is not done all the time.
    fn act(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        if !(1..RARELY).contains(&self.schedule.every_updates) {
            hook.metrics.scalar(format!("{}/acted", hook.name), 1.0);
        }
        self.event.act(learner, hook)
    }
}

/// Updates between two times of something that is done rarely.
const RARELY: u64 = 10;

impl<E: Event> Intervention for OnSchedule<E> {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        self.event.plan(plan)
    }

    fn after_build(&mut self, learner: &mut Learner, stream: &mut Stream) -> Result<(), String> {
        self.event.after_build(learner, stream)
    }

    fn first_update(&self, target_period_updates: u64) -> Option<u64> {
        self.schedule.first(target_period_updates)
    }

    fn leaves_gradients(&self) -> bool {
        true
    }

    fn is_risky(&self, update: u64, ends_in_target_update: bool) -> bool {
        let on_target = ends_in_target_update && self.schedule.is_due_on_target_update(update);
        self.event.is_risky() && (on_target || self.schedule.is_due(update))
    }

    fn after_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let waits = hook.ends_in_target_update && self.event.spares_target();
        if self.schedule.is_due(learner.updates) && !waits {
            self.act(learner, hook)
        } else {
            Ok(())
        }
    }

    fn on_target_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        let waited = self.event.spares_target() && self.schedule.is_due(learner.updates);
        if waited || self.schedule.is_due_on_target_update(learner.updates) {
            self.act(learner, hook)
        } else {
            Ok(())
        }
    }
}

impl<E: Event> Checkpoint for OnSchedule<E> {
    fn save(&self, state: &mut StateDict) {
        self.event.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.event.load(state)
    }
}

/// A term of the loss.
pub(crate) trait Penalty: Checkpoint {
    /// See [`Intervention::plan`].
    fn plan(&self, _plan: &mut NetworkPlan) -> Result<(), String> {
        Ok(())
    }

    /// See [`Intervention::after_build`].
    fn after_build(&mut self, _learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        Ok(())
    }

    /// The term, a scalar tensor.
    fn term(&mut self, learner: &Learner, hook: &mut Hook<'_>) -> Result<Tensor>;
}

/// A [`Penalty`] with the updates in whose loss it takes part.
pub(crate) struct InWindow<P> {
    pub penalty: P,
    pub window: UpdateWindow,
}

impl<P: Penalty + 'static> InWindow<P> {
    pub fn boxed(penalty: P, window: UpdateWindow) -> Box<dyn Intervention> {
        Box::new(Self { penalty, window })
    }
}

impl<P: Penalty> Intervention for InWindow<P> {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        self.penalty.plan(plan)
    }

    fn after_build(&mut self, learner: &mut Learner, stream: &mut Stream) -> Result<(), String> {
        self.penalty.after_build(learner, stream)
    }

    fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
        Some(self.window.start_updates)
    }

    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }

    fn extra_loss(&mut self, learner: &Learner, hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        if self.window.contains(learner.updates + 1) {
            self.penalty.term(learner, hook).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<P: Penalty> Checkpoint for InWindow<P> {
    fn save(&self, state: &mut StateDict) {
        self.penalty.save(state);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.penalty.load(state)
    }
}

/// The sum of scalar tensors; zero, where the learner computes, if there are none.
pub(crate) fn sum(terms: impl Iterator<Item = Tensor>, learner: &Learner) -> Tensor {
    let zero = || {
        let options = (Kind::Float, learner.online.device());
        Tensor::zeros([0i64; 0], options)
    };
    terms.reduce(|total, term| total + term).unwrap_or_else(zero)
}

#[cfg(test)]
mod tests {
    use pliant_core::tch::no_grad;

    use super::*;
    use crate::testing::Setting;

    /// Makes a weight infinite.
    struct Breaks;

    impl Event for Breaks {
        fn act(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
            let weight = learner.online.variables().get("dense1/weight").expect("a layer");
            let _ = no_grad(|| weight.shallow_clone().fill_(f64::INFINITY));
            Ok(())
        }
    }

    pliant_core::stateless!(Breaks);

    #[test]
    #[should_panic(expected = "NotFinite { update: 2, stage: Parameters")]
    fn the_update_in_which_an_event_breaks_something_is_the_one_that_is_named() {
        let schedule = UpdateSchedule { at_updates: vec![2], ..UpdateSchedule::default() };
        Setting::with(Ok(OnSchedule::boxed(Breaks, schedule)), 2).update(3);
    }

    #[test]
    #[should_panic(expected = "NotFinite { update: 3, stage: Parameters")]
    fn so_it_is_after_a_target_update() {
        let schedule = UpdateSchedule::on_target_update();
        Setting::with(Ok(OnSchedule::boxed(Breaks, schedule)), 2).target_period(3).update(4);
    }
}
