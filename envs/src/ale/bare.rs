//! The emulator alone, stepped as an agent would: what any environment around it can reach at most.
//!
//! It plays the same frames as an environment, no-ops at the start of a game among them, but shows
//! nothing: no observation, no rewards, no lives.

use std::{
    thread,
    time::{Duration, Instant},
};

use ale_sys::Emulator;
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::AtariFactory;
use crate::env::{Env, EnvError, EnvFactory, EnvSpec, Picture, Role, Step};

/// Makes bare emulators that can stand in a vector, in place of an environment.
#[derive(Debug)]
pub struct BareFactory(AtariFactory);

/// One emulator.
#[derive(Debug)]
struct Bare {
    emulator: Emulator,
    actions: Vec<u32>,
    frame_skip: u32,
    noop_max: u32,
    draws: ChaCha8Rng,
    spec: EnvSpec,
}

impl BareFactory {
    /// Emulators as this factory's environments have them.
    pub fn new(factory: AtariFactory) -> Self {
        Self(factory)
    }

    fn bare(&self, seed: u64) -> Result<Bare, EnvError> {
        let AtariFactory { config, settings, actions, .. } = &self.0;
        let mut bare = Bare {
            emulator: Emulator::load(settings.clone(), seed as i32)?,
            actions: actions.clone(),
            frame_skip: config.frame_skip,
            noop_max: config.noop_max,
            draws: ChaCha8Rng::seed_from_u64(seed),
            spec: self.0.spec().clone(),
        };
        bare.begin()?;
        Ok(bare)
    }

    /// How long `envs` emulators take for `steps` random decisions each on threads that never wait
    /// for each other. Loading them does not count.
    pub fn run_free(
        &self,
        envs: usize,
        threads: usize,
        steps: usize,
    ) -> Result<Duration, EnvError> {
        let share = |thread| envs * thread / threads..envs * (thread + 1) / threads;
        let made = |thread| share(thread).map(|env| self.bare(env as u64)).collect();
        let mut shares: Vec<Vec<Bare>> = (0..threads).map(made).collect::<Result<_, EnvError>>()?;
        let started = Instant::now();
        thread::scope(|scope| {
            let running: Vec<_> = shares
                .iter_mut()
                .map(|share| scope.spawn(move || run_share(share, steps)))
                .collect();
            running.into_iter().try_for_each(|thread| {
                let gone = |_| EnvError::Failed("a thread of bare emulators panicked".to_owned());
                thread.join().map_err(gone)?
            })
        })?;
        Ok(started.elapsed())
    }
}

fn run_share(share: &mut [Bare], steps: usize) -> Result<(), EnvError> {
    for _ in 0..steps {
        for bare in &mut *share {
            let action = bare.draws.random_range(0..bare.actions.len());
            if bare.play(action)?.is_last() {
                bare.begin()?;
            }
        }
    }
    Ok(())
}

impl Bare {
    fn play(&mut self, action: usize) -> Result<Step, EnvError> {
        for _ in 0..self.frame_skip {
            self.emulator.act(self.actions[action])?;
        }
        let status = self.emulator.status()?;
        Ok(Step {
            terminated: status.terminal,
            truncated: status.truncated,
            frames: self.frame_skip,
            ..Step::default()
        })
    }

    fn begin(&mut self) -> Result<(), EnvError> {
        self.emulator.reset()?;
        let noops = if self.noop_max > 0 { self.draws.random_range(1..=self.noop_max) } else { 0 };
        (0..noops).try_for_each(|_| Ok(self.emulator.act(0).map(drop)?))
    }
}

impl EnvFactory for BareFactory {
    fn spec(&self) -> &EnvSpec {
        self.0.spec()
    }

    fn make(&self, _role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(self.bare(0)?))
    }

    fn provenance(&self) -> Vec<(String, String)> {
        self.0.provenance()
    }
}

impl Env for Bare {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, _frame: &mut [u8]) -> Result<(), EnvError> {
        if let Some(seed) = seed {
            self.draws = ChaCha8Rng::seed_from_u64(seed);
        }
        self.begin()
    }

    fn step(&mut self, action: usize, _frame: &mut [u8]) -> Result<Step, EnvError> {
        self.play(action)
    }

    fn render(&mut self) -> Picture {
        Picture { height: 0, width: 0, rgb: Vec::new() }
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        Ok(self.emulator.save()?)
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        Ok(self.emulator.restore(state)?)
    }
}
