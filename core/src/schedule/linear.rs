//! A value that changes linearly over a run.

use serde::{Deserialize, Serialize};

/// A value that goes linearly from one to another and stays there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearSchedule {
    /// The value up to `start_frames`.
    pub from: f64,
    /// The value from `start_frames + over_frames` on.
    pub to: f64,
    /// Frames before the change begins.
    pub start_frames: u64,
    /// Frames the change takes; 0 is a jump.
    pub over_frames: u64,
}

impl LinearSchedule {
    /// The value at a frame count.
    pub fn value(&self, frames: u64) -> f64 {
        let passed = frames.saturating_sub(self.start_frames);
        if passed == 0 {
            return self.from;
        }
        if passed >= self.over_frames {
            return self.to;
        }
        let share = passed as f64 / self.over_frames as f64;
        self.from + (self.to - self.from) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dqn_zoo_epsilon_by_hand() {
        let epsilon =
            LinearSchedule { from: 1.0, to: 0.01, start_frames: 200_000, over_frames: 4_000_000 };
        assert_eq!(epsilon.value(0), 1.0);
        assert_eq!(epsilon.value(200_000), 1.0);
        assert!((epsilon.value(2_200_000) - 0.505).abs() < 1e-12);
        assert_eq!(epsilon.value(4_200_000), 0.01);
        assert_eq!(epsilon.value(200_000_000), 0.01);
    }

    #[test]
    fn no_length_is_a_jump() {
        let jump = LinearSchedule { from: 1.0, to: 0.0, start_frames: 5, over_frames: 0 };
        assert_eq!((jump.value(5), jump.value(6)), (1.0, 0.0));
    }
}
