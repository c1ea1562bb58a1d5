//! The statistics as their callers see them: against rliable and scipy, and what holds for all of them.

mod golden;
mod properties;
mod report;
