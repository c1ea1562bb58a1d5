//! Experience replay: uniform over the latest transitions, each frame stored once.

mod frames;
mod ring;
mod staging;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use frames::Frames;
pub use frames::ReplayMemory;
use pliant_core::{
    envs::env::{EnvSpec, FrameShape, StackPadding, Step},
    error::{Error, Result},
    probe::Transitions,
    seeds::Stream,
};
use rand::Rng;
use ring::Ring;
pub use staging::{Drawn, Staging};
use tch::{Device, Tensor};

/// The latest transitions of several environments.
///
/// Every environment has a ring of frames of its own; stacks are put together when a batch is drawn. Time
/// in a ring, where an episode of three steps was followed by a reset (`T` marks frames at which a
/// transition begins):
///
/// ```text
/// slot      0     1     2     3     4     5
/// frame     o0    o1    o2    o3    p0    p1      o3: the episode's final observation
/// begins    T     T     T     -     T     -       p1: what the environment shows now
/// age       0     1     2     3     0     1       frames of the same episode before it
/// ```
///
/// A transition that begins at slot i ends at slot i + 1, so none mixes two episodes. A cut-off
/// (truncated) episode's last transition keeps its discount: the final observation has a value.
pub struct Replay {
    shape: StackShape,
    discount: f64,
    actions: usize,
    rings: Vec<Ring>,
    frames: Frames,
    added: u64,
}

/// How observations are put together from frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StackShape {
    frame: FrameShape,
    stack: usize,
    padding: StackPadding,
}

impl StackShape {
    fn of(spec: &EnvSpec) -> Self {
        Self { frame: spec.frame, stack: spec.frame_stack, padding: spec.stack_padding }
    }
}

impl Replay {
    /// An empty replay for `num_envs` environments that holds at most `capacity` transitions, shared
    /// evenly. `discount` is multiplied into every step's own.
    ///
    /// `device` is where the network computes. Main memory is taken as it is filled, a device's at once.
    ///
    /// # Errors
    /// Too few transitions, a stack that cannot be, or more than there is room for.
    pub fn new(
        spec: &EnvSpec,
        num_envs: usize,
        capacity: usize,
        discount: f64,
        (memory, device): (ReplayMemory, Device),
    ) -> Result<Self> {
        if num_envs == 0 || capacity < num_envs {
            return Err(Error::Invalid(format!(
                "a replay of {capacity} transitions cannot serve {num_envs} environments, expected \
                 at least one transition for each"
            )));
        }
        if spec.frame_stack == 0 || spec.frame_stack > usize::from(u8::MAX) {
            let stack = spec.frame_stack;
            return Err(Error::Invalid(format!("a stack of {stack} frames, expected 1 to 255")));
        }
        let shape = StackShape::of(spec);
        let slots = Ring::slots_for(shape, capacity / num_envs);
        let rows = slots.saturating_mul(num_envs);
        let in_main_memory = || Frames::in_main_memory(shape.frame, rows);
        let on_device = || Frames::on_device(shape.frame, rows, slots, device);
        let frames = match memory {
            ReplayMemory::Main => in_main_memory(),
            ReplayMemory::Device => on_device(),
            ReplayMemory::Auto if device == Device::Cpu => in_main_memory(),
            ReplayMemory::Auto => on_device().or_else(|_| in_main_memory()),
        }?;
        let ring = |env| Ring::new(shape, slots, env * slots);
        let rings = (0..num_envs).map(ring).collect::<Result<_>>()?;
        Ok(Self { shape, discount, actions: spec.actions.len(), rings, frames, added: 0 })
    }

    /// Where its frames lie, and batches are put together.
    pub fn device(&self) -> Device {
        self.frames.device()
    }

    /// Bytes a full replay of `capacity` transitions takes, with its frames.
    pub fn bytes(spec: &EnvSpec, capacity: usize) -> u64 {
        let slot = spec.frame.len() + ring::COLUMN_BYTES;
        (capacity as u64).saturating_mul(slot as u64)
    }

    /// Transitions that can be drawn now.
    pub fn len(&self) -> usize {
        self.rings.iter().map(Ring::transitions).sum()
    }

    /// True if there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Transitions ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Takes in the first frame of an environment's episode.
    pub fn begin(&mut self, env: usize, frame: &[u8]) {
        let row = self.rings[env].begin();
        self.frames.put(row, frame);
    }

    /// Takes in a step and the frame that followed it: the episode's final one if the step was the
    /// last, in which case [`Self::begin`] comes next.
    pub fn add(&mut self, env: usize, action: usize, step: &Step, frame: &[u8]) {
        let discount = if step.terminated { 0.0 } else { step.discount };
        let row = self.rings[env].add(action as u32, step.reward, discount);
        self.frames.put(row, frame);
        self.added += 1;
    }

    /// `batch` transitions drawn uniformly, with replacement, on [its device](Self::device); `None` while there are none.
    pub fn sample(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        if self.is_empty() {
            return None;
        }
        let begins: Vec<Begin<'_>> = (0..batch).map(|_| self.draw(stream)).collect();
        Some(self.gather(&begins))
    }

    /// `batch` different transitions, uniformly; `None` while there are fewer.
    pub fn sample_distinct(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        if batch > self.len() {
            return None;
        }
        let mut taken = HashSet::new();
        let mut begins = Vec::with_capacity(batch);
        while begins.len() < batch {
            let number = self.draw_number(stream);
            if taken.insert(number) {
                begins.push(self.place(number));
            }
        }
        Some(self.gather(&begins))
    }

    /// One transition, uniformly: any slot of any ring, until one is hit at which a transition begins.
    /// Of the slots at least one in three does.
    fn draw(&self, stream: &mut Stream) -> Begin<'_> {
        self.place(self.draw_number(stream))
    }

    /// The number of the slot, see [`Self::place`].
    fn draw_number(&self, stream: &mut Stream) -> u64 {
        let slots: u64 = self.rings.iter().map(Ring::window_len).sum();
        loop {
            let number = stream.random_range(0..slots);
            let place = self.place(number);
            if place.ring.begins_transition(place.index) {
                return number;
            }
        }
    }

    /// The slot of this number when the rings' windows are laid one after the other.
    fn place(&self, mut number: u64) -> Begin<'_> {
        for ring in &self.rings {
            if number < ring.window_len() {
                return Begin { ring, index: ring.window().start + number };
            }
            number -= ring.window_len();
        }
        unreachable!("drawn below the number of slots")
    }

    fn gather(&self, begins: &[Begin<'_>]) -> Transitions {
        let actions: Vec<i64> = begins.iter().map(|at| self.action(at)).collect();
        let rewards: Vec<f32> = begins.iter().map(|at| self.reward(at)).collect();
        let discounts: Vec<f32> = begins.iter().map(|at| self.discount(at)).collect();
        let here = |tensor: Tensor| tensor.to_device(self.device());
        Transitions {
            s_tm1: self.observations(begins, 0),
            a_tm1: here(Tensor::from_slice(&actions)),
            r_t: here(Tensor::from_slice(&rewards)),
            discount_t: here(Tensor::from_slice(&discounts)),
            s_t: self.observations(begins, 1),
        }
    }

    fn action(&self, at: &Begin<'_>) -> i64 {
        i64::from(at.ring.action(at.index))
    }

    fn reward(&self, at: &Begin<'_>) -> f32 {
        at.ring.reward(at.index)
    }

    fn discount(&self, at: &Begin<'_>) -> f32 {
        (self.discount * f64::from(at.ring.discount(at.index))) as f32
    }

    /// u8 `[batch, stack * channels, height, width]`, `later` slots after where the transitions begin.
    fn observations(&self, begins: &[Begin<'_>], later: u64) -> Tensor {
        let stacks = begins.iter().flat_map(|at| at.ring.stack(at.index + later));
        self.frames.stacks(&stacks.collect::<Vec<_>>(), self.shape.stack)
    }
}

/// Where a transition begins.
struct Begin<'a> {
    ring: &'a Ring,
    index: u64,
}
