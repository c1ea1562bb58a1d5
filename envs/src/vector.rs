//! Many environments over worker threads.
//!
//! `send` hands the actions out and returns; the workers step while the caller does something else;
//! `recv` waits for the results, always in the environments' order, so that the numbers do not
//! depend on the number of threads. An episode that ends is reset within the same step: the frame
//! is then the first of the next episode, and the last one stands in `final_frames`.

mod worker;

use std::sync::Arc;

use crate::env::{EnvError, EnvFactory, EnvSpec, Picture, Role, Step};
use worker::{Answer, Order, Worker};

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
#[derive(Debug)]
pub struct VectorEnv {
    spec: EnvSpec,
    workers: Vec<Worker>,
    batch: Batch,
    stepping: bool,
}

impl VectorEnv {
    /// Makes `num_envs` environments on `threads` threads; 0 threads for as many as there are
    /// processors. More threads than environments are not started.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers share their factory; it may come to be kept, to replace a broken instance"
    )]
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
        let threads = usable_threads(threads).min(num_envs);
        let workers = (0..threads)
            .map(|thread| {
                Worker::spawn(
                    &*factory,
                    role,
                    num_envs * thread / threads..num_envs * (thread + 1) / threads,
                    num_envs,
                )
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { batch: Batch::new(num_envs, spec.frame.len()), spec, workers, stepping: false })
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
        self.workers.len()
    }

    /// The last results: of `reset`, `recv` or `load_state`.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Starts an episode everywhere; environment `i` is seeded with `seeds[i]`.
    pub fn reset(&mut self, seeds: &[u64]) -> Result<&Batch, EnvError> {
        self.check_count(seeds.len(), "seeds")?;
        self.check_idle("reset")?;
        for worker in &mut self.workers {
            let seeds = seeds[worker.envs()].to_vec();
            worker.order(Order::Reset(seeds))?;
        }
        self.collect()?;
        Ok(&self.batch)
    }

    /// Hands out one action for every environment and returns at once.
    pub fn send(&mut self, actions: &[usize]) -> Result<(), EnvError> {
        self.check_count(actions.len(), "actions")?;
        self.check_idle("send")?;
        for worker in &mut self.workers {
            worker.order_steps(actions)?;
        }
        self.stepping = true;
        Ok(())
    }

    /// Waits for what the actions led to.
    pub fn recv(&mut self) -> Result<&Batch, EnvError> {
        if !self.stepping {
            return Err(EnvError::Failed("recv without send: no actions are under way".to_owned()));
        }
        self.stepping = false;
        self.collect()?;
        Ok(&self.batch)
    }

    /// The state of every environment, its present frame included, in order.
    pub fn save_state(&mut self) -> Result<Vec<Vec<u8>>, EnvError> {
        self.check_idle("save_state")?;
        for worker in &mut self.workers {
            worker.order(Order::Save)?;
        }
        let mut states = Vec::with_capacity(self.num_envs());
        for answer in self.answers()? {
            if let Answer::States(of_worker) = answer {
                states.extend(of_worker);
            }
        }
        Ok(states)
    }

    /// Takes up states from `save_state`: the batch shows the frames of then. After an error some
    /// environments have theirs and some have not.
    pub fn load_state(&mut self, states: &[Vec<u8>]) -> Result<&Batch, EnvError> {
        self.check_count(states.len(), "states")?;
        self.check_idle("load_state")?;
        for worker in &mut self.workers {
            let states = states[worker.envs()].to_vec();
            worker.order(Order::Load(states))?;
        }
        self.collect()?;
        Ok(&self.batch)
    }

    /// The present state of one environment as a picture.
    pub fn render(&mut self, index: usize) -> Result<Picture, EnvError> {
        self.check_idle("render")?;
        let count = self.num_envs();
        let found = self.workers.iter_mut().find(|worker| worker.envs().contains(&index));
        let worker = found.ok_or_else(|| {
            EnvError::Invalid(format!("there is no environment {index}: there are {count}"))
        })?;
        worker.order(Order::Render(index - worker.envs().start))?;
        match worker.answer()? {
            Answer::Picture(picture) => Ok(picture),
            _ => {
                Err(EnvError::Failed("a worker answered something else than a picture".to_owned()))
            }
        }
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

    /// Every worker's answer, or the error of the first environment that has one. All are waited
    /// for, so that a failed step leaves nothing under way.
    fn answers(&mut self) -> Result<Vec<Answer>, EnvError> {
        let answers: Vec<_> = self.workers.iter_mut().map(Worker::answer).collect();
        answers.into_iter().collect()
    }

    /// Waits for frames and steps and lays them into the batch.
    fn collect(&mut self) -> Result<(), EnvError> {
        let frame_len = self.spec.frame.len();
        let mut failed = None;
        for worker in &mut self.workers {
            match worker.answer() {
                Ok(_) => worker.copy_into(&mut self.batch, frame_len),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn usable_threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

#[cfg(test)]
mod tests;
