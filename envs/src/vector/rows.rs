//! Every environment's part of the batch, lent to the threads that step it.

use std::ptr::NonNull;

use super::Batch;
use crate::env::Step;

/// Where a batch's rows lie. One allocation serves all environments, and each writes its observation
/// into its own row: no thread hands frames on.
#[derive(Debug)]
pub(super) struct Rows {
    frames: NonNull<u8>,
    final_frames: NonNull<u8>,
    steps: NonNull<Step>,
    frame_len: usize,
    count: usize,
}

/// One environment's part.
pub(super) struct Row<'a> {
    /// The present frame.
    pub frame: &'a mut [u8],
    /// The last frame of an episode.
    pub final_frame: &'a mut [u8],
    /// What the last action led to.
    pub step: &'a mut Step,
}

// SAFETY: the pointers are used in `row` alone, whose caller makes sure that no two threads have the
// same row; bytes and steps may be written by any thread.
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

impl Rows {
    /// The rows of `batch`. They stay where they are until its vectors are dropped or grow.
    pub(super) fn of(batch: &mut Batch, frame_len: usize) -> Self {
        let start = |bytes: &mut Vec<u8>| {
            NonNull::new(bytes.as_mut_ptr()).expect("a vector's pointer is not null")
        };
        Self {
            frames: start(&mut batch.frames),
            final_frames: start(&mut batch.final_frames),
            steps: NonNull::new(batch.steps.as_mut_ptr()).expect("a vector's pointer is not null"),
            frame_len,
            count: batch.steps.len(),
        }
    }

    /// The row of environment `index`.
    ///
    /// # Safety
    /// The batch is alive and nobody reads or writes it while the row is used, and no other row of
    /// the same index is used at the same time.
    pub(super) unsafe fn row<'a>(&self, index: usize) -> Row<'a> {
        assert!(index < self.count, "row {index} of {}", self.count);
        let (at, length) = (index * self.frame_len, self.frame_len);
        // SAFETY: within the batch's vectors, which are alive and not looked at by others.
        unsafe {
            Row {
                frame: std::slice::from_raw_parts_mut(self.frames.add(at).as_ptr(), length),
                final_frame: std::slice::from_raw_parts_mut(
                    self.final_frames.add(at).as_ptr(),
                    length,
                ),
                step: self.steps.add(index).as_mut(),
            }
        }
    }
}
