//! What an agent sees while it acts: the last frames of every environment, and how it chooses.

use pliant_core::{
    envs::{
        env::{EnvSpec, FrameShape, StackPadding},
        vector::Batch,
    },
    error::{Error, Result},
    seeds::Stream,
    state::{Checkpoint, StateDict},
};
use rand::Rng;
use tch::{Device, Kind, Tensor};

/// The present observation of each environment: its last frames, newest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameStacks {
    frame: FrameShape,
    stack: usize,
    padding: StackPadding,
    /// u8 `[envs, stack, channels, height, width]`.
    bytes: Vec<u8>,
}

impl FrameStacks {
    /// Black observations of `num_envs` environments.
    pub fn new(spec: &EnvSpec, num_envs: usize) -> Self {
        Self {
            frame: spec.frame,
            stack: spec.frame_stack,
            padding: spec.stack_padding,
            bytes: vec![0; num_envs * spec.frame_stack * spec.frame.len()],
        }
    }

    /// Takes in the first frames of all environments.
    pub fn begin(&mut self, frames: &[u8]) {
        for (env, frame) in frames.chunks_exact(self.frame.len()).enumerate() {
            self.reset(env, frame);
        }
    }

    /// Takes in the frames that followed a step.
    pub fn observe(&mut self, batch: &Batch) {
        let frames = batch.frames.chunks_exact(self.frame.len());
        for (env, (frame, step)) in frames.zip(&batch.steps).enumerate() {
            if step.is_last() {
                self.reset(env, frame);
            } else {
                self.push(env, frame);
            }
        }
    }

    /// Starts an environment's episode.
    pub fn reset(&mut self, env: usize, frame: &[u8]) {
        let padding = self.padding;
        let (older, newest) = self.split(env);
        newest.copy_from_slice(frame);
        match padding {
            StackPadding::Zeros => older.fill(0),
            StackPadding::Repeat => {
                older.chunks_exact_mut(frame.len()).for_each(|place| place.copy_from_slice(frame));
            }
        }
    }

    /// Adds an environment's next frame and forgets its oldest.
    pub fn push(&mut self, env: usize, frame: &[u8]) {
        let length = frame.len();
        self.of(env).copy_within(length.., 0);
        self.split(env).1.copy_from_slice(frame);
    }

    /// u8 `[envs, stack * channels, height, width]`.
    pub fn observations(&self) -> Tensor {
        let FrameShape { channels, height, width } = self.frame;
        let planes = (self.stack * channels) as i64;
        Tensor::from_slice(&self.bytes).reshape([-1, planes, height as i64, width as i64])
    }

    /// Bytes of one frame.
    pub fn frame_len(&self) -> usize {
        self.frame.len()
    }

    fn of(&mut self, env: usize) -> &mut [u8] {
        let length = self.stack * self.frame.len();
        &mut self.bytes[env * length..][..length]
    }

    fn split(&mut self, env: usize) -> (&mut [u8], &mut [u8]) {
        let older = (self.stack - 1) * self.frame.len();
        self.of(env).split_at_mut(older)
    }
}

impl Checkpoint for FrameStacks {
    fn save(&self, state: &mut StateDict) {
        state.put_tensor("frames", &Tensor::from_slice(&self.bytes));
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        let mut stored = Tensor::zeros([self.bytes.len() as i64], (Kind::Uint8, Device::Cpu));
        state.copy_tensor("frames", &mut stored)?;
        let length = self.bytes.len();
        stored
            .f_copy_data_u8(&mut self.bytes, length)
            .map_err(|error| Error::State(format!("tensor `frames`: {error}")))
    }
}

/// Epsilon-greedy actions for `num_envs` environments. `q_values` (f32 `[envs, actions]`) is asked for only if
/// at least one of them is greedy; the random draws come first, in the order of the environments, and
/// do not depend on it. Of equal values the first action is taken.
pub fn epsilon_greedy(
    epsilon: f64,
    num_envs: usize,
    num_actions: usize,
    stream: &mut Stream,
    q_values: impl FnOnce() -> Tensor,
) -> Vec<usize> {
    let explored: Vec<Option<usize>> = (0..num_envs)
        .map(|_| {
            let explores = stream.random::<f64>() < epsilon;
            explores.then(|| stream.random_range(0..num_actions))
        })
        .collect();
    if explored.iter().all(Option::is_some) {
        return explored.into_iter().flatten().collect();
    }
    let greedy = greedy_actions(&q_values());
    explored.into_iter().zip(greedy).map(|(explored, greedy)| explored.unwrap_or(greedy)).collect()
}

/// The first of the best actions of each row of f32 `[n, actions]`.
fn greedy_actions(q_values: &Tensor) -> Vec<usize> {
    let actions = q_values.size()[1] as usize;
    let values = q_values.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().reshape([-1]);
    let values = Vec::<f32>::try_from(&values).expect("a flat f32 tensor");
    values.chunks_exact(actions).map(first_argmax).collect()
}

fn first_argmax(values: &[f32]) -> usize {
    let best = |best: usize, index: usize| if values[index] > values[best] { index } else { best };
    (1..values.len()).fold(0, best)
}
