//! Statistics of pliant: what a few seeds of many tasks say, and what they do not.
//!
//! No tensors, no files: numbers in, named [`Estimate`](estimate::Estimate)s with intervals and sample sizes out,
//! which serialise. `docs/statistics.md` has the formulas, their sources, and when each misleads.
//!
//! | question | answer |
//! |---|---|
//! | how good is an algorithm over all tasks? | [`Aggregate`](aggregate::Aggregate), [`Profile`](profile::Profile) |
//! | is one better than another? | [`improvement`](improvement::improvement()), [`aggregate_difference`](difference::aggregate_difference) |
//! | what does a method change, seed by seed? | [`paired_difference`](paired::paired_difference) |
//! | what goes with what, and does the sign flip? | [`RankCorrelation`](correlation::RankCorrelation), [`Groups`](groups::Groups) |
//! | how did it learn? | [`LearningCurve`](learning_curve::LearningCurve) |
//! | may I say so? | [`Effect::verdict`](effect::Effect::verdict) |
//!
//! ```
//! use pliant_statistics::{
//!     aggregate::Aggregate, bootstrap::Bootstrap, effect::Verdict, paired::paired_difference,
//!     scores::Scores, seeded::Seeded,
//! };
//!
//! # fn main() -> pliant_statistics::error::Result<()> {
//! let bootstrap = Bootstrap::new(0); // 50,000 replicates, 95 %
//!
//! let scores = Scores::new("dqn", [("pong", vec![0.9, 1.1, 1.0]), ("seaquest", vec![0.2, 0.4, 0.3])])?;
//! let iqm = Aggregate::Iqm.estimate(&scores, &bootstrap)?;
//! assert_eq!(iqm.name, "dqn: IQM");
//! assert_eq!(format!("{iqm:.2}"), "0.65 [0.57, 0.73], n = 3");
//!
//! let none = Seeded::new("none", [(0, 0.30), (1, 0.27), (2, 0.33)])?;
//! let redo = Seeded::new("redo", [(0, 0.10), (1, 0.12), (2, 0.09)])?;
//! let change = paired_difference(&none, &redo, &bootstrap)?.effect;
//! assert!(change.estimate.high() < Some(0.0));
//! assert_eq!(change.verdict(), Verdict::TooFew { found: 3, needed: 6 });
//! # Ok(())
//! # }
//! ```

pub mod aggregate;
mod average;
pub mod bootstrap;
pub mod correlation;
pub mod curve;
pub mod difference;
pub mod effect;
pub mod error;
pub mod estimate;
pub mod groups;
pub mod improvement;
pub mod learning_curve;
pub mod paired;
mod permutation;
pub mod profile;
mod ranks;
pub mod scores;
pub mod seeded;
pub mod series;
pub mod signs;
