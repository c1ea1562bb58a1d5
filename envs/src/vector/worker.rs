//! One thread and the environments it steps.

use std::{
    any::Any,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, JoinHandle},
};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Batch;
use crate::env::{Env, EnvError, EnvFactory, Picture, Role, Step};

/// What a worker is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Reset(Vec<u64>),
    Step,
    Save,
    Load(Vec<Vec<u8>>),
    Render(usize),
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    States(Vec<Vec<u8>>),
    Picture(Picture),
}

/// What travels to the worker with an order and back with the answer, so that nothing is allocated
/// per step.
#[derive(Debug)]
struct Buffers {
    actions: Vec<usize>,
    batch: Batch,
}

/// The caller's end of a worker.
#[derive(Debug)]
pub(super) struct Worker {
    envs: Range<usize>,
    buffers: Option<Box<Buffers>>,
    orders: Option<Sender<(Order, Box<Buffers>)>>,
    answers: Receiver<(Result<Answer, EnvError>, Box<Buffers>)>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Makes the environments `envs` and starts the thread that steps them.
    pub(super) fn spawn(
        factory: &dyn EnvFactory,
        role: Role,
        envs: Range<usize>,
        num_envs: usize,
    ) -> Result<Self, EnvError> {
        let made =
            envs.clone().map(|_| factory.make(role, num_envs)).collect::<Result<Vec<_>, _>>()?;
        let frame_len = factory.spec().frame.len();
        let (orders, inbox) = bounded(1);
        let (outbox, answers) = bounded(1);
        let first = envs.start;
        let thread = thread::Builder::new()
            .name(format!("envs {}-{}", envs.start, envs.end - 1))
            .spawn(move || work(Bench { envs: made, first, frame_len }, &inbox, &outbox))
            .map_err(|error| {
                EnvError::Failed(format!("no thread for the environments: {error}"))
            })?;
        let buffers =
            Buffers { actions: vec![0; envs.len()], batch: Batch::new(envs.len(), frame_len) };
        Ok(Self {
            envs,
            buffers: Some(Box::new(buffers)),
            orders: Some(orders),
            answers,
            thread: Some(thread),
        })
    }

    /// The environments it steps, by their place among all.
    pub(super) fn envs(&self) -> Range<usize> {
        self.envs.clone()
    }

    pub(super) fn order(&mut self, order: Order) -> Result<(), EnvError> {
        let buffers = self.buffers.take().ok_or_else(|| self.gone())?;
        let orders = self.orders.as_ref().ok_or_else(|| self.gone())?;
        orders.send((order, buffers)).map_err(|_| self.gone())
    }

    /// Orders a step; `actions` are those of all environments.
    pub(super) fn order_steps(&mut self, actions: &[usize]) -> Result<(), EnvError> {
        let envs = self.envs();
        if let Some(buffers) = &mut self.buffers {
            buffers.actions.copy_from_slice(&actions[envs]);
        }
        self.order(Order::Step)
    }

    /// Waits for the answer to the order that is under way.
    pub(super) fn answer(&mut self) -> Result<Answer, EnvError> {
        let (answer, buffers) = self.answers.recv().map_err(|_| self.gone())?;
        self.buffers = Some(buffers);
        answer
    }

    /// Lays its part of the results into the whole.
    pub(super) fn copy_into(&self, batch: &mut Batch, frame_len: usize) {
        let Some(buffers) = &self.buffers else { return };
        let bytes = self.envs.start * frame_len..self.envs.end * frame_len;
        batch.frames[bytes.clone()].copy_from_slice(&buffers.batch.frames);
        batch.final_frames[bytes].copy_from_slice(&buffers.batch.final_frames);
        batch.steps[self.envs()].copy_from_slice(&buffers.batch.steps);
    }

    fn gone(&self) -> EnvError {
        EnvError::Failed(format!(
            "the thread of environments {} to {} is gone",
            self.envs.start,
            self.envs.end - 1
        ))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None; // ends the thread's loop
        while self.answers.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // its panics were caught and reported
        }
    }
}

/// The worker's end: its environments.
struct Bench {
    envs: Vec<Box<dyn Env>>,
    first: usize,
    frame_len: usize,
}

type Orders = Receiver<(Order, Box<Buffers>)>;
type Answers = Sender<(Result<Answer, EnvError>, Box<Buffers>)>;

fn work(mut bench: Bench, orders: &Orders, answers: &Answers) {
    while let Ok((order, mut buffers)) = orders.recv() {
        let done = catch_unwind(AssertUnwindSafe(|| bench.carry_out(order, &mut buffers)));
        let answer = done.unwrap_or_else(|panic| Err(bench.panicked(panic.as_ref())));
        if answers.send((answer, buffers)).is_err() {
            return;
        }
    }
}

impl Bench {
    fn carry_out(&mut self, order: Order, buffers: &mut Buffers) -> Result<Answer, EnvError> {
        match order {
            Order::Reset(seeds) => self.reset(&seeds, &mut buffers.batch)?,
            Order::Step => self.step(buffers)?,
            Order::Save => return Ok(Answer::States(self.save(&buffers.batch)?)),
            Order::Load(states) => self.load(&states, &mut buffers.batch)?,
            Order::Render(index) => return Ok(Answer::Picture(self.envs[index].render())),
        }
        Ok(Answer::Done)
    }

    fn reset(&mut self, seeds: &[u64], batch: &mut Batch) -> Result<(), EnvError> {
        batch.steps.fill(Step::default());
        let frames = batch.frames.chunks_exact_mut(self.frame_len);
        for (index, ((env, &seed), frame)) in
            self.envs.iter_mut().zip(seeds).zip(frames).enumerate()
        {
            env.reset(Some(seed), frame).map_err(|error| of_env(self.first + index, error))?;
        }
        Ok(())
    }

    fn step(&mut self, buffers: &mut Buffers) -> Result<(), EnvError> {
        let Batch { frames, final_frames, steps } = &mut buffers.batch;
        let frames = frames.chunks_exact_mut(self.frame_len);
        let finals = final_frames.chunks_exact_mut(self.frame_len);
        for (index, (env, (frame, last))) in
            self.envs.iter_mut().zip(frames.zip(finals)).enumerate()
        {
            let step = step_and_reset(env.as_mut(), buffers.actions[index], frame, last);
            steps[index] = step.map_err(|error| of_env(self.first + index, error))?;
        }
        Ok(())
    }

    /// Each environment's frame, then its own state.
    fn save(&self, batch: &Batch) -> Result<Vec<Vec<u8>>, EnvError> {
        let frames = batch.frames.chunks_exact(self.frame_len);
        let mut states = Vec::with_capacity(self.envs.len());
        for (index, (env, frame)) in self.envs.iter().zip(frames).enumerate() {
            let state = env.save_state().map_err(|error| of_env(self.first + index, error))?;
            states.push([frame, &state].concat());
        }
        Ok(states)
    }

    fn load(&mut self, states: &[Vec<u8>], batch: &mut Batch) -> Result<(), EnvError> {
        batch.steps.fill(Step::default());
        let frames = batch.frames.chunks_exact_mut(self.frame_len);
        for (index, ((env, state), frame)) in
            self.envs.iter_mut().zip(states).zip(frames).enumerate()
        {
            load_one(env.as_mut(), state, frame)
                .map_err(|error| of_env(self.first + index, error))?;
        }
        Ok(())
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> EnvError {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let last = self.first + self.envs.len() - 1;
        let text = text.unwrap_or("no message");
        EnvError::Failed(format!("an environment of {} to {last} panicked: {text}", self.first))
    }
}

/// A step, and the next episode's first frame where one ended.
fn step_and_reset(
    env: &mut dyn Env,
    action: usize,
    frame: &mut [u8],
    last: &mut [u8],
) -> Result<Step, EnvError> {
    let step = env.step(action, frame)?;
    if step.is_last() {
        last.copy_from_slice(frame);
        env.reset(None, frame)?;
    }
    Ok(step)
}

fn load_one(env: &mut dyn Env, state: &[u8], frame: &mut [u8]) -> Result<(), EnvError> {
    let too_short = || EnvError::State("it is shorter than a frame".to_owned());
    let (shown, state) = state.split_at_checked(frame.len()).ok_or_else(too_short)?;
    env.load_state(state)?;
    frame.copy_from_slice(shown);
    Ok(())
}

fn of_env(index: usize, error: EnvError) -> EnvError {
    let text = format!("environment {index}: {error}");
    match error {
        EnvError::Invalid(_) => EnvError::Invalid(text),
        EnvError::State(inner) => EnvError::State(format!("environment {index}: {inner}")),
        EnvError::Action { .. } | EnvError::NeedsReset | EnvError::Failed(_) => {
            EnvError::Failed(text)
        }
    }
}
