//! A curve with its intervals: what a plot draws.

use serde::{Deserialize, Serialize};

use crate::estimate::Interval;

/// An estimate for each x. The intervals are each x's own: a whole curve lies within all of them less often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Whose it is.
    pub name: String,
    /// By increasing x.
    pub points: Vec<Point>,
}

/// One x of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// A frame, a threshold.
    pub x: f64,
    /// What the curve shows.
    pub estimate: f64,
    /// `None` where a single run says nothing about the spread.
    pub interval: Option<Interval>,
    /// Runs (the fewest of any task) that have a value here.
    pub n: usize,
}
