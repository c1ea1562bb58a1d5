//! From the emulator's screen to an observation, as Gymnasium's `AtariPreprocessing` does it.
//!
//! ```text
//! frame        0    1    2    3  |  0    1    2    3      (frame_skip 4)
//! action      a_0  a_0  a_0  a_0 | a_1  a_1  a_1  a_1
//! kept                  p    l   |           p    l       p: previous, l: latest
//! observation        resize(max(p, l))
//! ```
//!
//! At a reset the observation is the screen. An episode that ends within the skip keeps what the
//! buffers held: latest then is the last observation before resizing, and previous is the third
//! frame if there was one.
//!
//! Most rows of a game's picture stay as they are from one decision to the next. Screens are kept as
//! palette indices, and only rows that changed are turned to grey and resized again.

use ale_sys::{AleError, Emulator};

use super::AreaResize;

/// The last two screens of a decision, and what was observed last.
#[derive(Debug)]
pub(super) struct Preprocessing {
    frame_skip: u32,
    width: usize,
    greys: [u8; 256],
    /// Palette indices, u8 `[height, width]`.
    latest: Vec<u8>,
    /// Palette indices, u8 `[height, width]`.
    previous: Vec<u8>,
    /// Greys, u8 `[height, width]`: the maximum of both, before resizing.
    observed: Vec<u8>,
    /// The rows of `latest` or `previous` that changed since `observed` was made.
    changed: Vec<bool>,
    taken: Taken,
    resize: AreaResize,
}

/// How far a decision has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Nothing,
    Previous,
    Both,
}

impl Preprocessing {
    pub(super) fn new(
        emulator: &Emulator,
        frame_skip: u32,
        screen_size: usize,
    ) -> Result<Self, AleError> {
        let (height, width) = (emulator.height(), emulator.width());
        Ok(Self {
            frame_skip,
            width,
            greys: emulator.greys()?,
            latest: vec![0; height * width],
            previous: vec![0; height * width],
            observed: vec![0; height * width],
            changed: vec![true; height],
            taken: Taken::Nothing,
            resize: AreaResize::new((height, width), (screen_size, screen_size)),
        })
    }

    /// Takes the screen that follows a reset.
    pub(super) fn begin(&mut self, emulator: &Emulator) {
        self.keep_previous(emulator.screen());
        self.keep_latest(emulator.screen());
        self.taken = Taken::Both;
    }

    /// Takes the screen after frame `t` (from 0) of a decision, if it is one of the last two.
    pub(super) fn take(&mut self, t: u32, emulator: &Emulator) {
        if t + 2 == self.frame_skip {
            self.keep_previous(emulator.screen());
            self.taken = Taken::Previous;
        } else if t + 1 == self.frame_skip {
            self.keep_latest(emulator.screen());
            self.taken = Taken::Both;
        }
    }

    fn keep_previous(&mut self, screen: &[u8]) {
        copy_changes(screen, &mut self.previous, self.width, &mut self.changed);
    }

    fn keep_latest(&mut self, screen: &[u8]) {
        copy_changes(screen, &mut self.latest, self.width, &mut self.changed);
    }

    /// Writes the observation, `u8 [screen_size, screen_size]`.
    pub(super) fn observe(&mut self, frame: &mut [u8]) {
        let taken = std::mem::replace(&mut self.taken, Taken::Nothing);
        match taken {
            Taken::Both => self.observe_both(),
            Taken::Previous => self.observe_early_end(),
            Taken::Nothing => {} // ended before: what was observed last is observed again
        }
        self.resize.resize_changed(&self.observed, &self.changed, frame);
        if taken == Taken::Both {
            self.changed.fill(false);
        }
    }

    fn observe_both(&mut self) {
        let rows = |plane| <[u8]>::chunks_exact(plane, self.width);
        let observed = self.observed.chunks_exact_mut(self.width);
        let screens = rows(&self.previous).zip(rows(&self.latest));
        for ((observed, (previous, latest)), _) in
            observed.zip(screens).zip(&self.changed).filter(|(_, changed)| **changed)
        {
            turn_grey(observed, latest, &self.greys);
            if self.frame_skip > 1 && previous != latest {
                fold_in(observed, previous, &self.greys);
            }
        }
    }

    /// The third frame over the last observation. It is not made of two screens, so all of it is to
    /// be made anew next time.
    fn observe_early_end(&mut self) {
        fold_in(&mut self.observed, &self.previous, &self.greys);
        self.changed.fill(true);
    }

    /// The last observation before resizing. It is part of the state, since an early end shows it
    /// again.
    pub(super) fn observed(&self) -> &[u8] {
        &self.observed
    }

    /// Takes up what [`Self::observed`] answered.
    pub(super) fn restore(&mut self, observed: &[u8]) {
        self.observed.copy_from_slice(observed);
        self.changed.fill(true);
        self.taken = Taken::Nothing;
    }
}

/// Copies a screen and marks the rows that were different.
fn copy_changes(screen: &[u8], kept: &mut [u8], width: usize, changed: &mut [bool]) {
    let rows = screen.chunks_exact(width).zip(kept.chunks_exact_mut(width));
    for ((row, kept), changed) in rows.zip(changed) {
        if row != kept {
            kept.copy_from_slice(row);
            *changed = true;
        }
    }
}

fn turn_grey(greys_out: &mut [u8], indices: &[u8], greys: &[u8; 256]) {
    for (out, &index) in greys_out.iter_mut().zip(indices) {
        *out = greys[usize::from(index)];
    }
}

/// Takes the maximum with the greys of some palette indices.
fn fold_in(greys_out: &mut [u8], indices: &[u8], greys: &[u8; 256]) {
    for (out, &index) in greys_out.iter_mut().zip(indices) {
        *out = greys[usize::from(index)].max(*out);
    }
}
