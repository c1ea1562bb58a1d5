//! A counting environment shows what the vector does with many.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::*;
use crate::env::{Env, FrameShape, StackPadding};

/// Its frame shows seed, step and last action; episodes last `seed % 5 + 2` steps.
#[derive(Debug)]
struct Counting {
    spec: EnvSpec,
    seed: u64,
    at: u64,
    met: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Factory(EnvSpec, Arc<AtomicUsize>);

/// Waits until two environments have taken this action; panics if the other does not come.
const MEET: usize = 6;
/// Takes long.
const SLOW: usize = 7;
/// Actions that misbehave.
const FAIL: usize = 8;
const PANIC: usize = 9;

impl Env for Counting {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        self.seed = seed.unwrap_or(self.seed + 1);
        self.at = 0;
        frame.copy_from_slice(&[self.seed as u8, 0, 0, 0]);
        Ok(())
    }

    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        assert_ne!(action, PANIC, "told to panic");
        if action == MEET {
            self.met.fetch_add(1, Ordering::SeqCst);
            let started = Instant::now();
            while self.met.load(Ordering::SeqCst) < 2 {
                assert!(started.elapsed() < Duration::from_secs(20), "nobody else came");
                std::thread::yield_now();
            }
        }
        if action == SLOW {
            (0..100_000).for_each(|turn| {
                std::hint::black_box(turn);
            });
        }
        if action == FAIL {
            return Err(EnvError::Failed("told to fail".to_owned()));
        }
        self.at += 1;
        frame.copy_from_slice(&[self.seed as u8, self.at as u8, action as u8, 0]);
        let terminated = self.at == self.seed % 5 + 2;
        Ok(Step { reward: action as f32, terminated, frames: 1, ..Step::default() })
    }

    fn render(&mut self) -> Picture {
        Picture { height: 1, width: 1, rgb: vec![self.seed as u8, self.at as u8, 0] }
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        Ok([self.seed.to_le_bytes(), self.at.to_le_bytes()].concat())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let word = |at| {
            state.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
        };
        match (word(0), word(8)) {
            (Some(seed), Some(at)) => (self.seed, self.at) = (seed, at),
            _ => return Err(EnvError::State("too short".to_owned())),
        }
        Ok(())
    }
}

impl EnvFactory for Factory {
    fn spec(&self) -> &EnvSpec {
        &self.0
    }

    fn make(&self, _role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(Counting { spec: self.0.clone(), seed: 0, at: 0, met: Arc::clone(&self.1) }))
    }

    fn provenance(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

fn vector(num_envs: usize, threads: usize) -> VectorEnv {
    let spec = EnvSpec {
        frame: FrameShape { channels: 1, height: 2, width: 2 },
        frame_stack: 1,
        stack_padding: StackPadding::Repeat,
        actions: (0..10).map(|action| action.to_string()).collect(),
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    };
    VectorEnv::new(Arc::new(Factory(spec, Arc::default())), Role::Training, num_envs, threads)
        .expect("a vector")
}

fn stepped(vector: &mut VectorEnv, actions: &[usize]) -> Batch {
    vector.send(actions).expect("sent");
    vector.recv().expect("received").clone()
}

#[test]
fn results_are_the_same_with_any_number_of_threads() {
    let run = |threads| {
        let mut vector = vector(7, threads);
        let first = vector.reset(&[3, 1, 4, 1, 5, 9, 2]).expect("reset").clone();
        let steps =
            (0..20).map(|t| stepped(&mut vector, &[0, 1, 2, 3, 4, 5, t % 6])).collect::<Vec<_>>();
        (first, steps)
    };
    let alone = run(1);
    for threads in [2, 3, 4, 7, 12] {
        assert!(run(threads) == alone, "{threads} threads");
    }
}

#[test]
fn an_episode_that_ends_shows_its_last_frame_and_the_next_ones_first() {
    let mut vector = vector(2, 2);
    vector.reset(&[0, 1]).expect("reset");
    stepped(&mut vector, &[1, 1]);
    let batch = stepped(&mut vector, &[2, 2]);
    assert_eq!((batch.steps[0].terminated, batch.steps[1].terminated), (true, false));
    assert_eq!(batch.final_frames[..4], [0, 2, 2, 0], "the last frame");
    assert_eq!(batch.frames, [1, 0, 0, 0, 1, 2, 2, 0], "a first frame, and one that goes on");
}

#[test]
fn actions_under_way_are_neither_forgotten_nor_doubled() {
    let mut vector = vector(1, 1);
    assert!(vector.recv().is_err(), "nothing was sent");
    vector.reset(&[3]).expect("reset");
    vector.send(&[1]).expect("sent");
    assert!(
        vector.send(&[1]).is_err() && vector.save_state().is_err() && vector.render(0).is_err()
    );
    assert_eq!(vector.recv().expect("received").frames, [3, 1, 1, 0]);
    let error = vector.send(&[1, 2]).expect_err("one action too many").to_string();
    assert_eq!(error, "2 actions for 1 environments");
}

#[test]
fn an_error_names_the_environment_and_the_rest_goes_on() {
    let mut vector = vector(4, 2);
    vector.reset(&[3, 3, 3, 3]).expect("reset");
    vector.send(&[0, 0, FAIL, FAIL]).expect("sent");
    assert_eq!(
        vector.recv().expect_err("it fails").to_string(),
        "environment 2 (test): told to fail"
    );
    vector.reset(&[3, 3, 3, 3]).expect("reset");
    assert_eq!(stepped(&mut vector, &[1; 4]).frames[..4], [3, 1, 1, 0]);
}

#[test]
fn a_panic_in_a_worker_is_an_error_and_no_hang() {
    let mut vector = vector(4, 2);
    vector.reset(&[3, 3, 3, 3]).expect("reset");
    vector.send(&[0, 0, 0, PANIC]).expect("sent");
    let error = vector.recv().expect_err("it panics").to_string();
    assert!(
        error.starts_with("environment 3 (test): panicked: ") && error.contains("told to panic"),
        "{error}"
    );
}

#[test]
fn saved_states_continue_in_another_vector_with_other_threads() {
    let mut first = vector(5, 2);
    first.reset(&[1, 2, 3, 4, 5]).expect("reset");
    stepped(&mut first, &[1; 5]);
    let states = first.save_state().expect("saved");
    let mut second = vector(5, 3);
    let shown = second.load_state(&states).expect("loaded");
    assert_eq!(shown.frames, first.batch.frames);
    assert_eq!(second.render(4).expect("a picture"), first.render(4).expect("a picture"));
    assert_eq!(stepped(&mut second, &[7; 5]).frames, stepped(&mut first, &[7; 5]).frames);
    let error = second
        .load_state(&[vec![], states[1].clone(), vec![], vec![], vec![]])
        .expect_err("too short");
    assert_eq!(
        error.to_string(),
        "saved environment state: environment 0 (test): it is shorter than a frame"
    );
}

#[test]
fn a_slow_worker_changes_no_number() {
    let steps = |threads| {
        let mut vector = vector(6, threads);
        vector.reset(&[9; 6]).expect("reset");
        (0..30).map(|t| stepped(&mut vector, &[SLOW, 0, t % 5, 1, SLOW, 2])).collect::<Vec<_>>()
    };
    let alone = steps(1);
    for threads in [2, 3, 6] {
        assert!(steps(threads) == alone, "{threads} threads");
    }
}

/// Environments 0 and 1 belong to the first of two threads, and each ends its step only when the
/// other has begun its own.
#[test]
fn a_thread_that_is_done_takes_over_from_one_that_is_held_up() {
    let mut vector = vector(4, 2);
    vector.reset(&[9; 4]).expect("reset");
    stepped(&mut vector, &[MEET, MEET, 0, 0]);
}

/// More jobs than any wake-up that got lost, or any job done twice, would let through.
#[test]
fn a_hundred_thousand_jobs_are_each_done_once() {
    for (num_envs, threads) in [(2, 2), (5, 2), (8, 3), (7, 7)] {
        let mut vector = vector(num_envs, threads);
        vector.reset(&vec![3; num_envs]).expect("reset");
        let mut steps = vec![0_u64; num_envs];
        for _ in 0..25_000 {
            vector.send(&vec![0; num_envs]).expect("sent");
            let batch = vector.recv().expect("received");
            let ended = batch.steps.iter().map(|step| u64::from(step.frames));
            steps.iter_mut().zip(ended).for_each(|(sum, frames)| *sum += frames);
        }
        assert_eq!(steps, vec![25_000; num_envs], "{num_envs} environments, {threads} threads");
        let states = vector.save_state().expect("saved");
        assert!(states.iter().all(|state| *state == states[0]), "all have come as far");
    }
}

#[test]
fn a_vector_dropped_while_stepping_ends_its_threads() {
    let mut vector = vector(3, 3);
    vector.reset(&[1, 2, 3]).expect("reset");
    vector.send(&[0; 3]).expect("sent");
    drop(vector);
}

#[test]
fn nothing_is_made_of_zero_environments() {
    let spec = vector(1, 1).spec().clone();
    let error = VectorEnv::new(Arc::new(Factory(spec, Arc::default())), Role::Training, 0, 1)
        .expect_err("none")
        .to_string();
    assert!(error.contains("at least 1"), "{error}");
}
