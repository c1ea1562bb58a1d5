//! One environment's frames, and the transitions between them.

use std::ops::Range;

use pliant_core::{
    envs::env::StackPadding,
    error::{Error, Result},
};

use super::StackShape;

/// Bytes a slot takes beside its frame.
pub(super) const COLUMN_BYTES: usize = 1 + 4 + 4 + 4;

/// The latest frames of one environment. Slots are numbered from the first ever pushed; number `i`
/// lies at `i % slots`.
///
/// Transitions begin in the window, the newest `capacity + 1` slots (the newest itself has none yet).
/// Below it the ring keeps the `stack - 1` frames that the window's oldest observation needs.
#[derive(Debug)]
pub(super) struct Ring {
    shape: StackShape,
    slots: usize,
    pub(super) columns: Columns,
    pushed: u64,
    transitions: usize,
}

/// What is kept of each slot.
#[derive(Debug)]
pub(super) struct Columns {
    /// u8 `[slots, channels, height, width]`.
    pub frames: Vec<u8>,
    /// Frames of the same episode before this one, counted up to the stack size.
    pub ages: Vec<u8>,
    /// The action taken at this frame, and what came of it.
    pub actions: Vec<u32>,
    pub rewards: Vec<f32>,
    pub discounts: Vec<f32>,
}

impl Ring {
    pub fn new(shape: StackShape, capacity: usize) -> Result<Self> {
        let slots = capacity.saturating_add(shape.stack);
        let bytes = slots.saturating_mul(shape.frame.len() + COLUMN_BYTES);
        // `vec![0; n]` below takes pages as they are touched, but ends the program if it cannot.
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
            Error::Invalid(format!(
                "a replay of {capacity} transitions per environment takes {bytes} bytes, more than \
                 this machine can give: lower `replay_capacity`"
            ))
        })?;
        let columns = Columns {
            frames: vec![0; slots * shape.frame.len()],
            ages: vec![0; slots],
            actions: vec![0; slots],
            rewards: vec![0.0; slots],
            discounts: vec![0.0; slots],
        };
        Ok(Self { shape, slots, columns, pushed: 0, transitions: 0 })
    }

    /// The first frame of an episode.
    pub fn begin(&mut self, frame: &[u8]) {
        self.push(0, frame);
    }

    /// The transition from the newest frame to `frame`.
    pub fn add(&mut self, action: u32, reward: f32, discount: f32, frame: &[u8]) {
        let newest = self.slot(self.pushed - 1);
        self.columns.actions[newest] = action;
        self.columns.rewards[newest] = reward;
        self.columns.discounts[newest] = discount;
        let age = self.columns.ages[newest].saturating_add(1);
        self.push(age.min(self.oldest_age()), frame);
        self.transitions += 1;
    }

    fn push(&mut self, age: u8, frame: &[u8]) {
        let is_full = self.window_len() == self.window_slots() as u64;
        if is_full && self.begins_transition(self.window().start) {
            self.transitions -= 1;
        }
        let slot = self.slot(self.pushed);
        self.columns.ages[slot] = age;
        self.columns.frames[slot * frame.len()..][..frame.len()].copy_from_slice(frame);
        self.pushed += 1;
    }

    /// Transitions that begin in the window.
    pub fn transitions(&self) -> usize {
        self.transitions
    }

    /// The slots at which a transition may begin, and the newest.
    pub fn window(&self) -> Range<u64> {
        self.pushed.saturating_sub(self.window_slots() as u64)..self.pushed
    }

    /// Slots in the window now.
    pub fn window_len(&self) -> u64 {
        self.pushed.min(self.window_slots() as u64)
    }

    /// Slots a full window has: one per transition and the newest.
    fn window_slots(&self) -> usize {
        self.slots - (self.shape.stack - 1)
    }

    /// True if the next slot goes on with the same episode.
    pub fn begins_transition(&self, index: u64) -> bool {
        index + 1 < self.pushed && self.columns.ages[self.slot(index + 1)] > 0
    }

    pub fn action(&self, index: u64) -> u32 {
        self.columns.actions[self.slot(index)]
    }

    pub fn reward(&self, index: u64) -> f32 {
        self.columns.rewards[self.slot(index)]
    }

    pub fn discount(&self, index: u64) -> f32 {
        self.columns.discounts[self.slot(index)]
    }

    /// Writes the observation at a slot: its frame last, before it the episode's earlier frames,
    /// and padding where the episode had not begun.
    pub fn write_stack(&self, index: u64, out: &mut [u8]) {
        let age = usize::from(self.columns.ages[self.slot(index)]);
        for (place, back) in out.chunks_exact_mut(self.shape.frame.len()).rev().zip(0..) {
            match self.shape.padding {
                StackPadding::Zeros if back > age => place.fill(0),
                _ => place.copy_from_slice(self.frame(index - back.min(age) as u64)),
            }
        }
    }

    fn frame(&self, index: u64) -> &[u8] {
        let length = self.shape.frame.len();
        &self.columns.frames[self.slot(index) * length..][..length]
    }

    fn slot(&self, index: u64) -> usize {
        (index % self.slots as u64) as usize
    }

    /// Ages are told apart up to here: from it on, a whole stack lies in the episode.
    pub fn oldest_age(&self) -> u8 {
        self.shape.stack as u8
    }

    /// Bytes of a frame.
    pub fn frame_len(&self) -> usize {
        self.shape.frame.len()
    }

    /// Slots there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The slots that hold frames.
    pub fn stored(&self) -> Range<u64> {
        self.pushed.saturating_sub(self.slots as u64)..self.pushed
    }

    /// The stored slots' places in the columns, oldest first: one run, or two where the ring wraps.
    pub fn runs(&self) -> [Range<usize>; 2] {
        let stored = self.stored();
        let count = (stored.end - stored.start) as usize;
        let start = self.slot(stored.start);
        let first = count.min(self.slots - start);
        [start..start + first, 0..count - first]
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pushed = 0;
        self.transitions = 0;
    }

    /// Takes the first `count` places of the columns, which were written from outside, as the stored slots. An error if
    /// they do not describe episodes.
    pub fn adopt(&mut self, count: usize, actions: usize) -> Result<()> {
        self.clear();
        let invalid = |what: &str| Err(Error::State(format!("replay: {what}")));
        let ages = &self.columns.ages[..count];
        let grows = |pair: &[u8]| {
            pair[1] == 0 || pair[1] == pair[0].saturating_add(1).min(self.oldest_age())
        };
        if ages.iter().any(|age| *age > self.oldest_age()) || !ages.windows(2).all(grows) {
            return invalid("the frames do not form episodes");
        }
        if count < self.slots && ages.first().is_some_and(|age| *age > 0) {
            return invalid("the oldest episode has no beginning");
        }
        if self.columns.actions[..count].iter().any(|action| *action as usize >= actions) {
            return invalid("an action lies outside the action set");
        }
        let numbers = self.columns.rewards[..count].iter().chain(&self.columns.discounts[..count]);
        if !numbers.into_iter().all(|number| number.is_finite()) {
            return invalid("a reward or discount is not a number");
        }
        self.pushed = count as u64;
        self.transitions = self.window().filter(|index| self.begins_transition(*index)).count();
        Ok(())
    }
}
