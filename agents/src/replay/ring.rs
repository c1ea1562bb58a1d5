//! Where one environment's frames lie, and the transitions between them.

use std::ops::Range;

use pliant_core::{
    envs::env::StackPadding,
    error::{Error, Result},
};

use super::StackShape;

/// Bytes a slot takes beside its frame.
pub(super) const COLUMN_BYTES: usize = 1 + 4 + 4 + 4;

/// The latest frames of one environment, which lie in a row of [`Frames`](super::frames::Frames) each. Slots are numbered
/// from the first ever pushed; number `i` lies at `i % slots`.
///
/// Transitions begin in the window, the newest `capacity + 1` slots (the newest itself has none yet).
/// Below it the ring keeps the `stack - 1` frames that the window's oldest observation needs.
#[derive(Debug)]
pub(super) struct Ring {
    shape: StackShape,
    slots: usize,
    /// The row of the first place.
    first_row: usize,
    pub(super) columns: Columns,
    pushed: u64,
    transitions: usize,
}

/// What is kept of each slot.
#[derive(Debug)]
pub(super) struct Columns {
    /// Frames of the same episode before this one, counted up to the stack size.
    pub ages: Vec<u8>,
    /// The action taken at this frame, and what came of it.
    pub actions: Vec<u32>,
    pub rewards: Vec<f32>,
    pub discounts: Vec<f32>,
}

impl Ring {
    /// Places that a ring of `capacity` transitions has.
    pub fn slots_for(shape: StackShape, capacity: usize) -> usize {
        capacity.saturating_add(shape.stack)
    }

    /// An empty one whose frames lie from `first_row` on.
    pub fn new(shape: StackShape, slots: usize, first_row: usize) -> Result<Self> {
        let bytes = slots.saturating_mul(COLUMN_BYTES);
        // `vec![0; n]` below takes pages as they are touched, but ends the program if it cannot.
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
            Error::Invalid(format!(
                "{slots} transitions of an environment take {bytes} bytes beside their frames, more than this \
                 machine can give: lower `replay_capacity`"
            ))
        })?;
        let columns = Columns {
            ages: vec![0; slots],
            actions: vec![0; slots],
            rewards: vec![0.0; slots],
            discounts: vec![0.0; slots],
        };
        Ok(Self { shape, slots, first_row, columns, pushed: 0, transitions: 0 })
    }

    /// Makes room for the first frame of an episode: its row.
    pub fn begin(&mut self) -> usize {
        self.push(0)
    }

    /// Takes in the transition from the newest frame to the next: that one's row.
    pub fn add(&mut self, action: u32, reward: f32, discount: f32) -> usize {
        let newest = self.slot(self.pushed - 1);
        self.columns.actions[newest] = action;
        self.columns.rewards[newest] = reward;
        self.columns.discounts[newest] = discount;
        let age = self.columns.ages[newest].saturating_add(1);
        let row = self.push(age.min(self.oldest_age()));
        self.transitions += 1;
        row
    }

    fn push(&mut self, age: u8) -> usize {
        let is_full = self.window_len() == self.window_slots() as u64;
        if is_full && self.begins_transition(self.window().start) {
            self.transitions -= 1;
        }
        let slot = self.slot(self.pushed);
        self.columns.ages[slot] = age;
        self.pushed += 1;
        self.first_row + slot
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

    /// The rows of the observation at a slot, its own last; before it the episode's earlier ones, and padding where the
    /// episode had not begun (`None`: black).
    pub fn stack(&self, index: u64) -> impl Iterator<Item = Option<usize>> {
        let age = usize::from(self.columns.ages[self.slot(index)]);
        (0..self.shape.stack).rev().map(move |back| match self.shape.padding {
            StackPadding::Zeros if back > age => None,
            _ => Some(self.first_row + self.slot(index - back.min(age) as u64)),
        })
    }

    fn slot(&self, index: u64) -> usize {
        (index % self.slots as u64) as usize
    }

    /// Ages are told apart up to here: from it on, a whole stack lies in the episode.
    pub fn oldest_age(&self) -> u8 {
        self.shape.stack as u8
    }

    /// Slots there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The slots that hold frames.
    pub fn stored(&self) -> Range<u64> {
        self.pushed.saturating_sub(self.slots as u64)..self.pushed
    }

    /// The rows of these places.
    pub fn rows(&self, places: &Range<usize>) -> Range<usize> {
        self.first_row + places.start..self.first_row + places.end
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
