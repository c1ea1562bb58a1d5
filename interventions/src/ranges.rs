//! Ranges of settings.

/// An error unless a number is finite and above 0.
pub(crate) fn positive(key: &str, value: f64) -> Result<(), String> {
    require(value.is_finite() && value > 0.0, key, value, "a number above 0")
}

/// An error unless a number is finite and at least 0.
pub(crate) fn not_negative(key: &str, value: f64) -> Result<(), String> {
    require(value.is_finite() && value >= 0.0, key, value, "a number of at least 0")
}

/// An error unless a number lies in 0..=1.
pub(crate) fn share(key: &str, value: f64) -> Result<(), String> {
    require((0.0..=1.0).contains(&value), key, value, "a number from 0 to 1")
}

/// An error unless a number lies in 0..1.
pub(crate) fn decay(key: &str, value: f64) -> Result<(), String> {
    require((0.0..1.0).contains(&value), key, value, "at least 0 and below 1")
}

fn require(holds: bool, key: &str, value: f64, expected: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("`{key}` is {value}, expected {expected}")) }
}
