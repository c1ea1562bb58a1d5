//! Studies: many runs of one question, from a file that says what varies.
//!
//! A study's runs are the product of its axes and its seeds. Each is a run directory like any other, below the
//! study's folder; the folder remembers what was planned, so that a study goes on where it was stopped and says so if
//! its file has changed since.

mod builtin;
mod check;
mod extent;
mod file;
mod folder;
mod groups;
mod plan;
mod results;
mod spec;

pub use builtin::{Builtin, STUDIES};
pub use extent::Extent;
pub use file::{About, Axis, Condition, Scale, StudyFile};
pub use folder::{RunState, StudyFolder};
pub use groups::{Common, Grid, Group, Member, Row};
pub use plan::{Plan, PlannedRun, differences, settings};
pub use results::{Measured, Results};
pub use spec::{
    CurvesSpec, MatrixSpec, Number, Points, ScatterSpec, ScoresSpec, SnapshotSpec, TableSpec, Take,
    TrendSpec, Units, When,
};
