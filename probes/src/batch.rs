//! Sizes of batches.

/// Larger batches are taken for a mistake.
const MAX_BATCH: u32 = 1 << 16;

/// An error unless a batch has a size that makes sense.
pub(crate) fn check_batch(batch_size: u32) -> Result<(), String> {
    check_count("batch_size", batch_size)
}

/// The same of a setting of another name.
pub(crate) fn check_count(setting: &str, count: u32) -> Result<(), String> {
    if (1..=MAX_BATCH).contains(&count) {
        return Ok(());
    }
    Err(format!("`{setting}` is {count}, expected 1 to {MAX_BATCH}"))
}

/// An error if a step is to have more observations than there are to learn from.
pub(crate) fn check_steps_batch(batch_size: u32, observations: u32) -> Result<(), String> {
    check_batch(batch_size)?;
    if batch_size <= observations {
        return Ok(());
    }
    Err(format!(
        "`batch_size` is {batch_size}, expected at most the {observations} `observations` that are learned from"
    ))
}
