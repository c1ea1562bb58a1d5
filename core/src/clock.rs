//! Four units of progress, never mixed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a run has come.
///
/// The x axis of reinforcement-learning plots is `frames`; interventions and probes mostly count
/// `updates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Emulator frames (on the MDPs, agent steps).
    pub frames: u64,
    /// Decisions taken, over all environments.
    pub agent_steps: u64,
    /// Optimiser steps.
    pub updates: u64,
    /// Episodes that ended.
    pub episodes: u64,
}

/// A period on one of the clock's units.
///
/// Compares the clock before and after a step, so that it fires once per crossing however far one
/// step goes, and not again while the clock stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Each time this many frames have passed.
    Frames(u64),
    /// Each time this many updates have been made.
    Updates(u64),
}

impl Every {
    /// The period that two optional configuration keys describe; an error if both or a zero is given.
    pub fn choose(
        updates: Option<u64>,
        frames: Option<u64>,
        default: Self,
    ) -> Result<Self, String> {
        match (updates, frames) {
            (Some(0), _) => Err("`every_updates` is 0, expected at least 1".to_owned()),
            (_, Some(0)) => Err("`every_frames` is 0, expected at least 1".to_owned()),
            (Some(_), Some(_)) => {
                Err("give one of `every_updates` and `every_frames`, not both".to_owned())
            }
            (Some(updates), None) => Ok(Self::Updates(updates)),
            (None, Some(frames)) => Ok(Self::Frames(frames)),
            (None, None) => Ok(default),
        }
    }

    /// True if a multiple of the period lies in `(before, after]`.
    pub fn is_due(self, before: &Clock, after: &Clock) -> bool {
        match self {
            Self::Frames(period) => crossings(period, before.frames, after.frames) > 0,
            Self::Updates(period) => crossings(period, before.updates, after.updates) > 0,
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(period) => write!(f, "{period} frames"),
            Self::Updates(period) => write!(f, "{period} updates"),
        }
    }
}

/// How many multiples of `period` lie in `(before, after]`; none for a period of 0.
pub fn crossings(period: u64, before: u64, after: u64) -> u64 {
    match (after.checked_div(period), before.checked_div(period)) {
        (Some(after), Some(before)) => after.saturating_sub(before),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_frames(frames: u64) -> Clock {
        Clock { frames, ..Clock::default() }
    }

    #[test]
    fn a_period_fires_once_per_crossing_and_not_while_the_clock_stands() {
        let every = Every::Frames(10);
        assert!(!every.is_due(&at_frames(0), &at_frames(9)));
        assert!(every.is_due(&at_frames(9), &at_frames(10)));
        assert!(!every.is_due(&at_frames(10), &at_frames(10)));
        assert!(every.is_due(&at_frames(8), &at_frames(31)));
    }

    #[test]
    fn crossings_counts_multiples_in_the_half_open_interval() {
        assert_eq!(crossings(4, 0, 3), 0);
        assert_eq!(crossings(4, 3, 4), 1);
        assert_eq!(crossings(4, 4, 12), 2);
        assert_eq!(crossings(0, 4, 12), 0);
    }

    #[test]
    fn two_units_at_once_are_refused() {
        let default = Every::Updates(1000);
        assert_eq!(Every::choose(None, None, default), Ok(default));
        assert_eq!(Every::choose(Some(5), None, default), Ok(Every::Updates(5)));
        assert!(Every::choose(Some(5), Some(5), default).is_err());
        assert!(Every::choose(None, Some(0), default).is_err());
    }
}
