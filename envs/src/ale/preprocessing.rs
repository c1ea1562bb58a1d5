//! From the emulator's screen to an observation, as Gymnasium's `AtariPreprocessing` does it.
//!
//! ```text
//! frame        0    1    2    3  |  0    1    2    3      (frame_skip 4)
//! action      a_0  a_0  a_0  a_0 | a_1  a_1  a_1  a_1
//! kept                  p    l   |           p    l       p: previous, l: latest
//! observation        resize(max(p, l))
//! ```
//!
//! At a reset, latest is the screen and previous is black. An episode that ends within the skip
//! keeps what the buffers held: latest then is the maximum of the last observation.

use ale_sys::{AleError, Emulator};

use super::AreaResize;

/// The last two screens of a decision.
#[derive(Debug)]
pub(super) struct Preprocessing {
    frame_skip: u32,
    latest: Vec<u8>,
    previous: Vec<u8>,
    resize: AreaResize,
}

impl Preprocessing {
    pub(super) fn new(emulator: &Emulator, frame_skip: u32, screen_size: usize) -> Self {
        let (height, width) = (emulator.height(), emulator.width());
        Self {
            frame_skip,
            latest: vec![0; height * width],
            previous: vec![0; height * width],
            resize: AreaResize::new((height, width), (screen_size, screen_size)),
        }
    }

    /// Takes the screen that follows a reset.
    pub(super) fn begin(&mut self, emulator: &Emulator) -> Result<(), AleError> {
        self.previous.fill(0);
        emulator.screen_gray(&mut self.latest)
    }

    /// Takes the screen after frame `t` (from 0) of a decision, if it is one of the last two.
    pub(super) fn take(&mut self, t: u32, emulator: &Emulator) -> Result<(), AleError> {
        if t + 2 == self.frame_skip {
            emulator.screen_gray(&mut self.previous)
        } else if t + 1 == self.frame_skip {
            emulator.screen_gray(&mut self.latest)
        } else {
            Ok(())
        }
    }

    /// Writes the observation, `u8 [screen_size, screen_size]`.
    pub(super) fn observe(&mut self, frame: &mut [u8]) {
        if self.frame_skip > 1 {
            for (latest, &previous) in self.latest.iter_mut().zip(&self.previous) {
                *latest = previous.max(*latest);
            }
        }
        self.resize.resize(&self.latest, frame);
    }

    /// Both screens: they are part of the state, since an early end shows them again.
    pub(super) fn buffers(&self) -> [&[u8]; 2] {
        [&self.latest, &self.previous]
    }

    pub(super) fn restore(&mut self, latest: &[u8], previous: &[u8]) {
        self.latest.copy_from_slice(latest);
        self.previous.copy_from_slice(previous);
    }
}
