//! The environment: shows an image, takes an answer, tells the right one.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{examples::Examples, factory::Schedule, sequence::Tasks};
use crate::{
    classification::picture,
    env::{Env, EnvError, EnvSpec, Picture, Role, Step},
    state::{StateReader, StateWriter},
};

/// Layout of the saved state.
const STATE_KIND: &str = "pliant supervised 1";

/// One row of a minibatch.
#[derive(Debug)]
pub(super) struct Supervised {
    tasks: Arc<Tasks>,
    schedule: Schedule,
    role: Role,
    spec: Arc<EnvSpec>,
    rng: ChaCha8Rng,
    /// Since the seeded reset.
    steps: u64,
    /// What the present task shows, and which of it is shown now.
    examples: Arc<Examples>,
    example: usize,
    running: bool,
}

impl Supervised {
    pub fn new(tasks: Arc<Tasks>, schedule: Schedule, role: Role, spec: Arc<EnvSpec>) -> Self {
        let examples = tasks.examples(schedule.task(0), role);
        let rng = ChaCha8Rng::seed_from_u64(0);
        Self { tasks, schedule, role, spec, rng, steps: 0, examples, example: 0, running: false }
    }

    /// Draws the next image, of the task that the next step is in.
    fn draw(&mut self, frame: &mut [u8]) {
        self.examples = self.tasks.examples(self.schedule.task(self.steps), self.role);
        self.example = self.rng.random_range(0..self.examples.len());
        self.examples.show(self.example, frame);
    }

    /// The place in the specification's list of the task after so many steps.
    fn place(&self, steps: u64) -> usize {
        if self.schedule.only.is_some() { 0 } else { self.schedule.task(steps) }
    }
}

impl Env for Supervised {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        if let Some(seed) = seed {
            self.rng = ChaCha8Rng::seed_from_u64(seed);
            self.steps = 0;
        }
        self.running = true;
        self.draw(frame);
        Ok(())
    }

    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        let count = self.spec.actions.len();
        if action >= count {
            return Err(EnvError::Action { action, count });
        }
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        let right = self.examples.label(self.example);
        let reward = f32::from(u8::from(action == usize::from(right)));
        let step = Step {
            reward,
            raw_reward: reward,
            discount: 1.0,
            frames: 1,
            task: self.task(),
            right_action: Some(right.into()),
            ..Step::default()
        };
        self.steps += 1;
        self.draw(frame);
        Ok(step)
    }

    fn task(&self) -> u32 {
        self.place(self.steps) as u32
    }

    fn render(&mut self) -> Picture {
        let mut image = vec![0; self.spec.frame.len()];
        self.examples.show(self.example, &mut image);
        picture(self.spec.frame, &image)
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        let mut state = StateWriter::new(STATE_KIND);
        state.bytes(self.spec.tasks[self.place(self.steps)].as_bytes());
        state.rng(&self.rng);
        for number in [self.steps, self.example as u64, u64::from(self.running)] {
            state.u64(number);
        }
        Ok(state.finish())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut state = StateReader::new(STATE_KIND, state)?;
        let saved = String::from_utf8_lossy(state.bytes()?).into_owned();
        let rng = state.rng()?;
        let (steps, example, running) = (state.u64()?, state.u64()? as usize, state.u64()? != 0);
        let name = &self.spec.tasks[self.place(steps)];
        if saved != *name {
            return Err(EnvError::State(format!(
                "after {steps} steps it is in the task `{saved}`, where this sequence is in `{name}`"
            )));
        }
        let examples = self.tasks.examples(self.schedule.task(steps), self.role);
        if example >= examples.len() {
            let count = examples.len();
            return Err(EnvError::State(format!("it shows image {example} of {count}")));
        }
        (self.rng, self.steps, self.example, self.running) = (rng, steps, example, running);
        self.examples = examples;
        Ok(())
    }
}
