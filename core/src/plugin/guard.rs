//! Catches panics on the plug-in's side of the boundary and turns them into errors.

use std::{
    fmt,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use pliant_envs::env::KnownStates;
use tch::Tensor;

use crate::{
    clock::Every,
    error::{Error, Result},
    intervention::{Hook, Intervention},
    learner::Learner,
    metrics::Metrics,
    network::{ActivationFunction, NetworkPlan},
    probe::{Probe, ProbeData, Subject},
    seeds::Stream,
    state::{Checkpoint, StateDict},
};

/// The result of a call, or the text that it panicked with.
pub fn panic_text<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        text.unwrap_or("without a message").to_owned()
    })
}

/// The result of a call, or an error that says with what it panicked.
pub fn caught<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic_text(call).unwrap_or_else(|text| Err(format!("panicked: {text}")))
}

fn attempt<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    panic_text(call).unwrap_or_else(|text| Err(Error::Invalid(format!("panicked: {text}"))))
}

/// A part whose panics do not leave it.
struct Guarded<T: ?Sized> {
    part: ManuallyDrop<Box<T>>,
    pending: Pending,
}

/// What a call that cannot return an error panicked with; the next one that can returns it.
type Pending = Arc<Mutex<Option<String>>>;

fn put(pending: &Pending, text: String) {
    *pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

fn take(pending: &Pending) -> Option<String> {
    pending.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<T: ?Sized> Guarded<T> {
    fn tell(&self) -> Result<()> {
        let pending = take(&self.pending);
        pending.map_or(Ok(()), |text| Err(Error::Invalid(format!("panicked: {text}"))))
    }

    fn new(part: Box<T>) -> Self {
        Self { part: ManuallyDrop::new(part), pending: Pending::default() }
    }
}

impl<T: ?Sized> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: here alone, and `part` is not touched afterwards.
        let dropped = panic_text(|| unsafe { ManuallyDrop::drop(&mut self.part) });
        let _ = dropped; // nobody is left to tell, and the panic has been printed
    }
}

/// An intervention whose panics become errors.
pub fn intervention(part: Box<dyn Intervention>) -> Box<dyn Intervention> {
    Box::new(Guarded::new(part))
}

/// A probe whose panics become errors.
pub fn probe(part: Box<dyn Probe>) -> Box<dyn Probe> {
    Box::new(Guarded::new(part))
}

impl<T: Checkpoint + ?Sized> Checkpoint for Guarded<T> {
    fn save(&self, state: &mut StateDict) {
        if let Err(text) = panic_text(|| self.part.save(state)) {
            state.refuse(format!("saving panicked: {text}"));
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        attempt(|| self.part.load(state))
    }
}

impl Intervention for Guarded<dyn Intervention> {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        let is_planned = plan.activation.is_some();
        caught(|| self.part.plan(plan))?;
        if let Some(planned) = plan.activation.as_mut().filter(|_| !is_planned) {
            let (function, pending) = (Arc::clone(&planned.function), Arc::clone(&self.pending));
            planned.function = Arc::new(GuardedActivation { function, pending });
        }
        Ok(())
    }

    fn after_build(&mut self, learner: &mut Learner, stream: &mut Stream) -> Result<(), String> {
        caught(|| self.part.after_build(learner, stream))
    }

    fn first_update(&self, target_period_updates: u64) -> Option<u64> {
        panic_text(|| self.part.first_update(target_period_updates)).unwrap_or_else(|text| {
            put(&self.pending, text);
            Some(1)
        })
    }

    fn is_risky(&self, update: u64, ends_in_target_update: bool) -> bool {
        let asked = panic_text(|| self.part.is_risky(update, ends_in_target_update));
        asked.unwrap_or_else(|text| {
            put(&self.pending, text);
            true
        })
    }

    fn leaves_gradients(&self) -> bool {
        panic_text(|| self.part.leaves_gradients()).unwrap_or_else(|text| {
            put(&self.pending, text);
            false
        })
    }

    fn extra_loss(&mut self, learner: &Learner, hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        self.tell()?; // of the forward pass that this loss is of
        attempt(|| self.part.extra_loss(learner, hook))
    }

    fn after_backward(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        attempt(|| self.part.after_backward(learner, hook))
    }

    fn before_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.tell()?; // of a forward pass that was recorded
        attempt(|| self.part.before_step(learner, hook))
    }

    fn after_step(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        attempt(|| self.part.after_step(learner, hook))
    }

    fn after_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        attempt(|| self.part.after_update(learner, hook))
    }

    fn on_target_update(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        attempt(|| self.part.on_target_update(learner, hook))
    }
}

/// An activation whose panic the intervention's next hook tells. Until then it gives zeros.
struct GuardedActivation {
    function: Arc<dyn ActivationFunction>,
    pending: Pending,
}

impl fmt::Debug for GuardedActivation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic_text(|| self.function.fmt(formatter)).unwrap_or(Err(fmt::Error))
    }
}

impl ActivationFunction for GuardedActivation {
    fn apply(&self, input: &Tensor) -> Tensor {
        panic_text(|| self.function.apply(input)).unwrap_or_else(|text| {
            put(&self.pending, text);
            let copies: Vec<Tensor> = (0..self.copies()).map(|_| input.zeros_like()).collect();
            Tensor::cat(&copies, 1)
        })
    }

    fn bound(&self) -> Option<f64> {
        panic_text(|| self.function.bound()).unwrap_or_else(|text| {
            put(&self.pending, text);
            None
        })
    }

    fn is_rectifier(&self) -> bool {
        panic_text(|| self.function.is_rectifier()).unwrap_or_else(|text| {
            put(&self.pending, text);
            false
        })
    }

    fn copies(&self) -> i64 {
        panic_text(|| self.function.copies()).unwrap_or_else(|text| {
            put(&self.pending, text);
            1
        })
    }
}

impl Probe for Guarded<dyn Probe> {
    fn fits(
        &self,
        learner: &Learner,
        data: &dyn ProbeData,
        states: Option<&dyn KnownStates>,
    ) -> Result<(), String> {
        caught(|| self.part.fits(learner, data, states))
    }

    fn every(&self) -> Every {
        panic_text(|| self.part.every()).unwrap_or_else(|text| {
            put(&self.pending, text);
            Every::Frames(1) // is due at once, and `measure` tells
        })
    }

    fn needs(&self) -> u64 {
        panic_text(|| self.part.needs()).unwrap_or_else(|text| {
            put(&self.pending, text);
            0
        })
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        self.tell()?;
        attempt(|| self.part.measure(subject, stream, metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{intervention::Interventions, seeds::Seeds};

    /// Panics wherever it is asked anything.
    struct Faulty;

    impl Intervention for Faulty {
        fn plan(&self, _plan: &mut NetworkPlan) -> Result<(), String> {
            panic!("no {}", "plan")
        }
    }

    impl Probe for Faulty {
        fn every(&self) -> Every {
            panic!("no period")
        }

        fn measure(
            &mut self,
            _subject: &Subject<'_>,
            _stream: &mut Stream,
            _metrics: &mut Metrics,
        ) -> Result<()> {
            Ok(())
        }
    }

    impl Checkpoint for Faulty {
        fn save(&self, state: &mut StateDict) {
            state.put("half", &1);
            panic!("no state")
        }

        fn load(&mut self, _state: &StateDict) -> Result<()> {
            panic!("no state to load")
        }
    }

    impl Drop for Faulty {
        fn drop(&mut self) {
            panic!("no end")
        }
    }

    /// Says of itself what is not the default.
    struct Outspoken;

    impl Intervention for Outspoken {
        fn first_update(&self, _target_period_updates: u64) -> Option<u64> {
            None
        }

        fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
            false
        }

        fn leaves_gradients(&self) -> bool {
            true
        }
    }

    crate::stateless!(Outspoken);

    #[test]
    fn what_an_intervention_says_of_itself_is_heard() {
        let guarded = intervention(Box::new(Outspoken));
        assert_eq!(guarded.first_update(1), None);
        assert!(!guarded.is_risky(1, true) && guarded.leaves_gradients());
    }

    #[test]
    fn a_panic_is_an_error_with_its_text_even_at_the_end() {
        let mut guarded = intervention(Box::new(Faulty));
        let planned = guarded.plan(&mut NetworkPlan::default());
        assert_eq!(planned, Err("panicked: no plan".to_owned()));
        let loaded = guarded.load(&StateDict::default()).expect_err("caught").to_string();
        assert_eq!(loaded, "panicked: no state to load");
        drop(guarded);
    }

    #[test]
    fn a_state_that_panicked_half_way_is_refused_with_its_place() {
        let parts = vec![("faulty".to_owned(), intervention(Box::new(Faulty)))];
        let interventions = Interventions::new(parts, &Seeds::new(0));
        let mut state = StateDict::default();
        state.put_part("interventions", &interventions);
        let reason = state.check().expect_err("incomplete").to_string();
        assert_eq!(reason, "saved state: interventions: 0_faulty: saving panicked: no state");
    }

    #[test]
    fn a_period_that_panics_is_due_at_once() {
        assert_eq!(probe(Box::new(Faulty)).every(), Every::Frames(1));
    }
}
