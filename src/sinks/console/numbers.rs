//! Numbers and times for people.

/// Four digits, or an exponent.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Two units: `3h 05m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_whatever_their_size() {
        let shown = [0.0, 1.0, -21.0, 1234.5, 2.5e7, 1e-5, f64::NAN].map(short);
        assert_eq!(shown, ["0", "1.00", "-21.00", "1234.5", "2.50e7", "1.00e-5", "NaN"]);
        let shown = [5.4, 65.0, 3600.0, 90_000.0].map(duration);
        assert_eq!(shown, ["5s", "1m 05s", "1h 00m", "1d 01h"]);
    }
}
