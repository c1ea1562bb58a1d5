//! Every environment here as an [`Env`](gymnasium_rs::core::Env) of the crate `gymnasium-rs` (feature
//! `gymnasium`).
//!
//! Its trait has no place for errors, and nothing here panics: where a reset or a step fails,
//! `info["error"]` says why, the observation is the last good one, the reward 0, and `truncated` is
//! true, so that a loop over an episode ends. [`GymnasiumEnv::try_reset`] and
//! [`GymnasiumEnv::try_step`] return the error instead.

use std::cell::RefCell;

use gymnasium_rs::core::{Env as Gymnasium, Info, Options, Reward, Space};
use ndarray_0_15::{Array1, Array3};
use serde_json::Value;

use crate::env::{Env, EnvError, EnvSpec, Picture, StackPadding, Step};

/// What a step returns: observation, reward, terminated, truncated, info.
pub type Outcome = (Array3<u8>, Reward, bool, bool, Info);

/// An environment with its stack of frames.
///
/// An observation is u8 `[frame_stack * channels, height, width]`, the newest frame last. The reward
/// is [`Step::reward`]; `info` holds the fields of [`Step`] that have no place of their own, under
/// their names: `raw_reward`, `discount`, `frames`, `lives` and so on.
pub struct GymnasiumEnv {
    /// `None` once closed; in a cell because rendering takes `&self` there and `&mut self` here.
    env: RefCell<Option<Box<dyn Env>>>,
    spec: EnvSpec,
    /// u8 `[frame_stack, channels, height, width]`
    stack: Vec<u8>,
}

impl GymnasiumEnv {
    /// Wraps an environment; it has no episode until `reset`.
    pub fn new(env: Box<dyn Env>) -> Self {
        let spec = env.spec().clone();
        let stack = vec![0; spec.frame_stack * spec.frame.len()];
        Self { env: RefCell::new(Some(env)), spec, stack }
    }

    /// What is wrapped.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// Starts an episode; `None` goes on with the present random state.
    pub fn try_reset(&mut self, seed: Option<u64>) -> Result<Array3<u8>, EnvError> {
        let mut frame = vec![0; self.spec.frame.len()];
        open(self.env.get_mut())?.reset(seed, &mut frame)?;
        match self.spec.stack_padding {
            StackPadding::Zeros => self.stack.fill(0),
            StackPadding::Repeat => self
                .stack
                .chunks_exact_mut(frame.len())
                .for_each(|place| place.copy_from_slice(&frame)),
        }
        self.push(&frame);
        Ok(self.observation())
    }

    /// Takes an action, an index into [`EnvSpec::actions`].
    pub fn try_step(&mut self, action: usize) -> Result<(Array3<u8>, Step), EnvError> {
        let mut frame = vec![0; self.spec.frame.len()];
        let step = open(self.env.get_mut())?.step(action, &mut frame)?;
        self.push(&frame);
        Ok((self.observation(), step))
    }

    /// Adds the newest frame and forgets the oldest.
    fn push(&mut self, frame: &[u8]) {
        self.stack.copy_within(frame.len().., 0);
        let newest = self.stack.len() - frame.len();
        self.stack[newest..].copy_from_slice(frame);
    }

    fn observation(&self) -> Array3<u8> {
        let frame = self.spec.frame;
        let shape = (self.spec.frame_stack * frame.channels, frame.height, frame.width);
        // The stack has as many bytes by construction; the trait forbids errors, this module panics.
        Array3::from_shape_vec(shape, self.stack.clone()).unwrap_or_default()
    }
}

impl Gymnasium<Array3<u8>, i32> for GymnasiumEnv {
    /// Flat, as `Space::Box` has no other form: 0 to 255 for every byte of an observation.
    fn observation_space(&self) -> Space {
        let bytes = self.stack.len();
        Space::Box { low: Array1::zeros(bytes), high: Array1::from_elem(bytes, 255.0) }
    }

    fn action_space(&self) -> Space {
        Space::Discrete(self.spec.actions.len() as i32)
    }

    fn reset(&mut self, seed: Option<i32>, options: Options) -> (Array3<u8>, Info) {
        let result = known_options(&options)
            .and_then(|()| seed.map(|seed| not_negative(seed, "seed")).transpose())
            .and_then(|seed| self.try_reset(seed.map(|seed| seed as u64)));
        match result {
            Ok(observation) => (observation, Info::new()),
            Err(error) => (self.observation(), error_info(&error)),
        }
    }

    fn step(&mut self, action: i32) -> Outcome {
        match not_negative(action, "action").and_then(|action| self.try_step(action)) {
            Ok((observation, step)) => {
                (observation, step.reward, step.terminated, step.truncated, step_info(&step))
            }
            Err(error) => (self.observation(), 0.0, false, true, error_info(&error)),
        }
    }

    /// The present state as u8 `[height, width, 3]`; `None` once closed.
    fn render(&self) -> Option<Array3<u8>> {
        let Picture { height, width, rgb } =
            self.env.try_borrow_mut().ok()?.as_mut().map(|env| env.render())?;
        Array3::from_shape_vec((height, width, 3), rgb).ok()
    }

    /// Drops the environment; what is asked of it later is an error.
    fn close(&mut self) {
        self.env.get_mut().take();
    }
}

fn open(env: &mut Option<Box<dyn Env>>) -> Result<&mut Box<dyn Env>, EnvError> {
    env.as_mut().ok_or_else(|| EnvError::Failed("the environment is closed".to_owned()))
}

fn known_options(options: &Options) -> Result<(), EnvError> {
    options.keys().min().map_or(Ok(()), |name| {
        Err(EnvError::Invalid(format!("unknown reset option `{name}`: there are none")))
    })
}

fn not_negative(value: i32, what: &str) -> Result<usize, EnvError> {
    usize::try_from(value)
        .map_err(|_| EnvError::Invalid(format!("{what} {value} is negative: it begins at 0")))
}

fn error_info(error: &EnvError) -> Info {
    Info::from([("error".to_owned(), Value::from(error.to_string()))])
}

/// The fields of a step that the trait has no place for.
fn step_info(step: &Step) -> Info {
    let Ok(Value::Object(fields)) = serde_json::to_value(step) else { return Info::new() };
    let named = ["reward", "terminated", "truncated"];
    fields.into_iter().filter(|(name, _)| !named.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests;
