//! One environment of many, and what it is asked to do.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::rows::Row;
use crate::env::{Env, EnvError, Step};

/// What an environment is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Begin an episode with this seed.
    Reset(u64),
    /// Take this action; where that ends the episode, begin the next one.
    Step(usize),
}

/// An environment and its next order.
pub(super) struct Slot {
    /// The environment.
    pub env: Box<dyn Env>,
    /// What it is to do next.
    pub job: Job,
    /// Why the last job failed.
    pub error: Option<EnvError>,
    index: usize,
}

impl Slot {
    pub(super) fn new(index: usize, env: Box<dyn Env>) -> Self {
        Self { env, job: Job::Reset(0), error: None, index }
    }

    /// Does the job; a panic becomes an error.
    pub(super) fn work(&mut self, row: Row<'_>) {
        let done = catch_unwind(AssertUnwindSafe(|| match self.job {
            Job::Reset(seed) => self.reset(seed, row),
            Job::Step(action) => self.step(action, row),
        }));
        let result = done.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        self.error = result.err().map(|error| self.named(error));
    }

    fn reset(&mut self, seed: u64, Row { frame, step, .. }: Row<'_>) -> Result<(), EnvError> {
        *step = Step::default();
        self.env.reset(Some(seed), frame)
    }

    fn step(&mut self, action: usize, row: Row<'_>) -> Result<(), EnvError> {
        let Row { frame, final_frame, step } = row;
        *step = self.env.step(action, frame)?;
        if step.is_last() {
            final_frame.copy_from_slice(frame);
            self.env.reset(None, frame)?;
        }
        Ok(())
    }

    /// The present frame and the environment's own state.
    pub(super) fn save(&self, frame: &[u8]) -> Result<Vec<u8>, EnvError> {
        let state = self.env.save_state().map_err(|error| self.named(error))?;
        Ok([frame, &state].concat())
    }

    /// Takes up what `save` answered, and writes the frame of then.
    pub(super) fn load(&mut self, state: &[u8], frame: &mut [u8]) -> Result<(), EnvError> {
        let too_short = || EnvError::State("it is shorter than a frame".to_owned());
        let split = state.split_at_checked(frame.len()).ok_or_else(too_short);
        let (shown, state) = split.map_err(|error| self.named(error))?;
        self.env.load_state(state).map_err(|error| self.named(error))?;
        frame.copy_from_slice(shown);
        Ok(())
    }

    /// The error with the environment's place and what it plays.
    fn named(&self, error: EnvError) -> EnvError {
        let name = format!("environment {}{}", self.index, playing(self.env.as_ref()));
        match error {
            EnvError::Invalid(text) => EnvError::Invalid(format!("{name}: {text}")),
            EnvError::State(text) => EnvError::State(format!("{name}: {text}")),
            error => EnvError::Failed(format!("{name}: {error}")),
        }
    }
}

/// ` (pong)`
fn playing(env: &dyn Env) -> String {
    let name = env.spec().tasks.get(env.task() as usize);
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}

fn panicked(panic: &(dyn Any + Send)) -> EnvError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    EnvError::Failed(format!("panicked: {}", text.unwrap_or("no message")))
}
