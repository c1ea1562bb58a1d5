//! An estimate with its interval and its sample size: what every table and figure shows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an interval's ends are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// Percentiles of bootstrap replicates that hold this share of them between, equally much cut off below and
    /// above.
    Bootstrap {
        /// 0.95 for a 95 % interval.
        confidence: f64,
    },
    /// The mean, plus and minus so many standard errors (standard deviation / sqrt(n)).
    StandardErrors {
        /// 1 is common in plots; it is no 95 % interval.
        count: f64,
    },
}

/// As a caption says it: `95 % bootstrap interval`.
impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // To nine digits: 0.95 as a percentage is not quite 95.
            Self::Bootstrap { confidence } => {
                write!(f, "{} % bootstrap interval", (confidence * 1e11).round() / 1e9)
            }
            Self::StandardErrors { count } if *count == 1.0 => f.write_str("± 1 standard error"),
            Self::StandardErrors { count } => write!(f, "± {count} standard errors"),
        }
    }
}

/// Two ends and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// What the ends are.
    pub band: Band,
}

impl Interval {
    /// Whether a value lies between the ends, or on one.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// From end to end.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

/// A named number, its interval and the sample size that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// What was estimated, of what.
    pub name: String,
    /// The statistic of the data as they are.
    pub estimate: f64,
    /// `None` where a single run says nothing about the spread.
    pub interval: Option<Interval>,
    /// Independent observations: seeds, pairs or points; the fewest of any task, and of two algorithms the fewer.
    pub n: usize,
}

impl Estimate {
    /// The interval's lower end.
    pub fn low(&self) -> Option<f64> {
        self.interval.map(|interval| interval.low)
    }

    /// The interval's upper end.
    pub fn high(&self) -> Option<f64> {
        self.interval.map(|interval| interval.high)
    }
}

/// As a table says it: `0.512 [0.470, 0.560], n = 5`; three decimals unless a precision is given.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        write!(f, "{:.digits$}", self.estimate)?;
        if let Some(Interval { low, high, .. }) = self.interval {
            write!(f, " [{low:.digits$}, {high:.digits$}]")?;
        }
        write!(f, ", n = {}", self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_estimate_interval_and_sample_size() {
        let band = Band::Bootstrap { confidence: 0.95 };
        let interval = Some(Interval { low: 0.47, high: 0.5599, band });
        let estimate = Estimate { name: "IQM".to_owned(), estimate: 0.5123, interval, n: 5 };
        assert_eq!(estimate.to_string(), "0.512 [0.470, 0.560], n = 5");
        assert_eq!(format!("{estimate:.1}"), "0.5 [0.5, 0.6], n = 5");
        let alone = Estimate { interval: None, n: 1, ..estimate };
        assert_eq!(alone.to_string(), "0.512, n = 1");
    }

    #[test]
    fn a_caption_says_what_the_band_is() {
        let say = |confidence| Band::Bootstrap { confidence }.to_string();
        assert_eq!(say(0.95), "95 % bootstrap interval");
        assert_eq!(say(0.999), "99.9 % bootstrap interval");
        assert_eq!(Band::StandardErrors { count: 1.0 }.to_string(), "± 1 standard error");
        assert_eq!(Band::StandardErrors { count: 1.96 }.to_string(), "± 1.96 standard errors");
    }
}
