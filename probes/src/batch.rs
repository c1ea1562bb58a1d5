//! Sizes of batches.

/// Larger batches are taken for a mistake.
const MAX_BATCH: u32 = 1 << 16;

/// An error unless a batch has a size that makes sense.
pub(crate) fn check_batch(batch_size: u32) -> Result<(), String> {
    if (1..=MAX_BATCH).contains(&batch_size) {
        return Ok(());
    }
    Err(format!("`batch_size` is {batch_size}, expected 1 to {MAX_BATCH}"))
}
