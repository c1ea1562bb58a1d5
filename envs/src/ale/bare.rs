//! The emulator alone, stepped as an agent would: what any environment around it can reach at most.

use std::{
    thread,
    time::{Duration, Instant},
};

use ale_sys::Emulator;
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::AtariFactory;
use crate::env::EnvError;

/// Emulators of one configuration, dealt out to threads that know nothing of each other.
pub struct BareEmulators {
    shares: Vec<Vec<Bare>>,
}

/// One emulator with random actions: no observation, no reward, no preprocessing.
struct Bare {
    emulator: Emulator,
    actions: Vec<u32>,
    frame_skip: u32,
    draws: ChaCha8Rng,
}

impl BareEmulators {
    /// `envs` emulators of the factory's game for `threads` threads.
    pub fn new(factory: &AtariFactory, envs: usize, threads: usize) -> Result<Self, EnvError> {
        let share = |thread| envs * thread / threads..envs * (thread + 1) / threads;
        let shares =
            (0..threads).map(|thread| share(thread).map(|env| factory.bare(env)).collect());
        Ok(Self { shares: shares.collect::<Result<_, EnvError>>()? })
    }

    /// Takes `steps` decisions in every emulator, and answers how long all of it took.
    pub fn run(&mut self, steps: usize) -> Result<Duration, EnvError> {
        let started = Instant::now();
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .shares
                .iter_mut()
                .map(|share| scope.spawn(move || run_share(share, steps)))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                let gone = |_| EnvError::Failed("a thread of bare emulators panicked".to_owned());
                thread.join().map_err(gone)?
            })
        })?;
        Ok(started.elapsed())
    }
}

impl AtariFactory {
    fn bare(&self, seed: usize) -> Result<Bare, EnvError> {
        let mut emulator = Emulator::load(self.settings.clone(), seed as i32)?;
        emulator.reset()?;
        let draws = ChaCha8Rng::seed_from_u64(seed as u64);
        let (actions, frame_skip) = (self.actions.clone(), self.config.frame_skip);
        Ok(Bare { emulator, actions, frame_skip, draws })
    }
}

fn run_share(share: &mut [Bare], steps: usize) -> Result<(), EnvError> {
    (0..steps).try_for_each(|_| share.iter_mut().try_for_each(Bare::step))
}

impl Bare {
    fn step(&mut self) -> Result<(), EnvError> {
        let action = self.actions[self.draws.random_range(0..self.actions.len())];
        for _ in 0..self.frame_skip {
            self.emulator.act(action)?;
        }
        let status = self.emulator.status()?;
        if status.terminal || status.truncated {
            self.emulator.reset()?;
        }
        Ok(())
    }
}
