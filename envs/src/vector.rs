//! Many environments over worker threads.
//!
//! `send` hands the actions out and returns; the workers step while the caller does something else;
//! `recv` waits for the results, always in the environments' order, so that the numbers do not
//! depend on the number of threads. An episode that ends is reset within the same step: the frame
//! is then the first of the next episode, and the last one stands in `final_frames`.

mod pool;
mod rows;
mod slot;

use std::sync::Arc;

use crate::env::{EnvError, EnvFactory, EnvSpec, Picture, Role, Step};
use pool::Pool;
use rows::Rows;
use slot::{Job, Slot};

/// One result for every environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The present frames, u8 `[envs, channels, height, width]`.
    pub frames: Vec<u8>,
    /// The last frames of episodes, u8 like `frames`; row `i` counts only if `steps[i].is_last()`.
    pub final_frames: Vec<u8>,
    /// What the last actions led to; all default after a reset.
    pub steps: Vec<Step>,
}

impl Batch {
    fn new(num_envs: usize, frame_len: usize) -> Self {
        Self {
            frames: vec![0; num_envs * frame_len],
            final_frames: vec![0; num_envs * frame_len],
            steps: vec![Step::default(); num_envs],
        }
    }
}

/// Environments of one factory, stepped together.
pub struct VectorEnv {
    spec: EnvSpec,
    pool: Pool, // dropped, and its threads ended, before the batch they write to
    batch: Batch,
    stepping: bool,
}

impl VectorEnv {
    /// Makes `num_envs` environments on `threads` threads; 0 threads for as many as there are
    /// processors. More threads than environments are not started.
    #[expect(clippy::needless_pass_by_value, reason = "callers hold their factory in an Arc")]
    pub fn new(
        factory: Arc<dyn EnvFactory>,
        role: Role,
        num_envs: usize,
        threads: usize,
    ) -> Result<Self, EnvError> {
        if num_envs == 0 {
            return Err(EnvError::Invalid(
                "the number of environments is 0: at least 1 is needed".to_owned(),
            ));
        }
        let spec = factory.spec().clone();
        let make = |index| Ok(Slot::new(index, factory.make(role, num_envs)?));
        let slots = (0..num_envs).map(make).collect::<Result<_, EnvError>>()?;
        let mut batch = Batch::new(num_envs, spec.frame.len());
        let rows = Rows::of(&mut batch, spec.frame.len());
        let pool = Pool::start(slots, rows, usable_threads(threads).min(num_envs))?;
        Ok(Self { spec, pool, batch, stepping: false })
    }

    /// What all environments share.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// How many environments there are.
    pub fn num_envs(&self) -> usize {
        self.batch.steps.len()
    }

    /// How many threads step them.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Starts an episode everywhere; environment `i` is seeded with `seeds[i]`.
    pub fn reset(&mut self, seeds: &[u64]) -> Result<&Batch, EnvError> {
        self.check_count(seeds.len(), "seeds")?;
        self.check_idle("reset")?;
        self.stepping = true;
        self.pool.send(|index| Job::Reset(seeds[index]))?;
        self.recv()
    }

    /// Hands out one action for every environment and returns at once.
    pub fn send(&mut self, actions: &[usize]) -> Result<(), EnvError> {
        self.check_count(actions.len(), "actions")?;
        self.check_idle("send")?;
        self.stepping = true;
        self.pool.send(|index| Job::Step(actions[index]))
    }

    /// Waits for what the actions led to. After an error the batch is of no use.
    pub fn recv(&mut self) -> Result<&Batch, EnvError> {
        if !self.stepping {
            return Err(EnvError::Failed("recv without send: no actions are under way".to_owned()));
        }
        self.stepping = false;
        self.pool.wait()?;
        Ok(&self.batch)
    }

    /// The state of every environment, its present frame included, in order.
    pub fn save_state(&mut self) -> Result<Vec<Vec<u8>>, EnvError> {
        self.check_idle("save_state")?;
        let frames = self.batch.frames.chunks_exact(self.spec.frame.len());
        frames.enumerate().map(|(index, frame)| self.pool.slot(index).save(frame)).collect()
    }

    /// Takes up states from `save_state`: the batch shows the frames of then. After an error some
    /// environments have theirs and some have not.
    pub fn load_state(&mut self, states: &[Vec<u8>]) -> Result<&Batch, EnvError> {
        self.check_count(states.len(), "states")?;
        self.check_idle("load_state")?;
        let frames = self.batch.frames.chunks_exact_mut(self.spec.frame.len());
        for (index, (state, frame)) in states.iter().zip(frames).enumerate() {
            self.pool.slot(index).load(state, frame)?;
            self.batch.steps[index] = Step::default();
        }
        Ok(&self.batch)
    }

    /// The present state of one environment as a picture.
    pub fn render(&mut self, index: usize) -> Result<Picture, EnvError> {
        self.check_idle("render")?;
        let count = self.num_envs();
        if index >= count {
            return Err(EnvError::Invalid(format!(
                "there is no environment {index}: there are {count}"
            )));
        }
        Ok(self.pool.slot(index).env.render())
    }

    fn check_count(&self, given: usize, what: &str) -> Result<(), EnvError> {
        let count = self.num_envs();
        if given == count {
            return Ok(());
        }
        Err(EnvError::Invalid(format!("{given} {what} for {count} environments")))
    }

    fn check_idle(&self, what: &str) -> Result<(), EnvError> {
        if !self.stepping {
            return Ok(());
        }
        Err(EnvError::Failed(format!("{what} while actions are under way: call recv first")))
    }
}

impl std::fmt::Debug for VectorEnv {
    /// Without the batch, which the threads may be writing.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}, {}", self.pool, if self.stepping { "stepping" } else { "idle" })
    }
}

fn usable_threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

#[cfg(test)]
mod tests;
