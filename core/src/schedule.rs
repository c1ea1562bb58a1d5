//! When things happen, and values that change over a run.

mod linear;
mod period;
mod scheduled;
mod updates;

pub use linear::LinearSchedule;
pub use period::Period;
pub use scheduled::{HasSchedule, ScheduleSettings, Scheduled};
pub use updates::{UpdateSchedule, UpdateWindow};
