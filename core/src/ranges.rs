//! Ranges of settings, and what is said of those that lie outside.

/// An error unless a number is finite and above 0.
pub fn positive(key: &str, value: f64) -> Result<(), String> {
    require(value.is_finite() && value > 0.0, key, value, "a number above 0")
}

/// An error unless a number is finite and at least 0.
pub fn not_negative(key: &str, value: f64) -> Result<(), String> {
    require(value.is_finite() && value >= 0.0, key, value, "a number of at least 0")
}

/// An error unless a number lies in 0..=1.
pub fn share(key: &str, value: f64) -> Result<(), String> {
    require((0.0..=1.0).contains(&value), key, value, "a number from 0 to 1")
}

/// An error unless a number lies in 0..1.
pub fn decay(key: &str, value: f64) -> Result<(), String> {
    require((0.0..1.0).contains(&value), key, value, "at least 0 and below 1")
}

/// An error unless a setting holds what it should; `expected` says what that is.
pub fn require(holds: bool, key: &str, value: f64, expected: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("`{key}` is {value}, expected {expected}")) }
}
