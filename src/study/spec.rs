//! What a study's report shows.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[[curves]]`: a metric over training, a line for each condition of one axis, a figure for each combination of the
/// others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvesSpec {
    /// Names its files.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// The metric, as `metrics.csv` has it.
    pub tag: String,
    /// The axis whose conditions are lines; one line without.
    pub lines: Option<String>,
    /// What training is counted in.
    #[serde(default)]
    pub x: Units,
    /// Powers of ten are equally far apart on the vertical axis.
    #[serde(default)]
    pub log_y: bool,
}

/// What training is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// The environments' frames.
    #[default]
    Frames,
    /// Decisions.
    AgentSteps,
    /// Optimiser steps.
    Updates,
}

/// `[[tables]]`: a number for each run, a row for each condition of one axis, a table for each combination of the
/// others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// Names its file.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// The metric, as `metrics.csv` has it.
    pub tag: String,
    /// Which number of it.
    #[serde(default)]
    pub take: Take,
    /// The axis whose conditions are rows.
    pub rows: String,
    /// An axis whose conditions are columns, of means with standard deviations.
    pub columns: Option<String>,
    /// The condition that the others are compared with, seed by seed.
    pub against: Option<String>,
}

/// `[[trends]]`: a number for each run against the values of an axis, a line for each condition of another, a figure
/// for each combination of the rest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrendSpec {
    /// Names its files.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// The metric, as `metrics.csv` has it.
    pub tag: String,
    /// Which number of it.
    #[serde(default)]
    pub take: Take,
    /// The axis whose conditions have values.
    pub x: String,
    /// The axis whose conditions are lines; one line without.
    pub lines: Option<String>,
    /// Powers of ten are equally far apart on the horizontal axis.
    #[serde(default)]
    pub log_x: bool,
    /// And on the vertical one.
    #[serde(default)]
    pub log_y: bool,
}

/// `[[scatters]]`: two numbers of each run, a point each, with a rank correlation for each condition of one axis; runs
/// that differ otherwise are pooled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScatterSpec {
    /// Names its files.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// What is held against `y`.
    pub x: Number,
    /// What it may explain.
    pub y: Number,
    /// The axis whose conditions are groups.
    pub groups: String,
    /// What the correlations are of.
    #[serde(default)]
    pub points: Points,
}

/// What a correlation is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Points {
    /// Means over seeds, a point for each combination of conditions: runs that differ in their seeds alone are alike, and
    /// would count as so much evidence.
    #[default]
    Combinations,
    /// Runs, a point each, where what differs between seeds is the question.
    Runs,
}

/// A number of a run: `{ tag = "norms/weight", take = "last" }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The metric, as `metrics.csv` has it.
    pub tag: String,
    /// Which number of it.
    #[serde(default)]
    pub take: Take,
}

/// `[[snapshots]]`: curves that were measured at one time or another, as `figures/` has them: a line for each condition of
/// an axis at one time, or a line for each time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSpec {
    /// Names its files.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// The folder below `figures/`; of several lines in a file the first counts.
    pub tag: String,
    /// The axis whose conditions are lines; without, lines are times.
    pub lines: Option<String>,
    /// With `lines`: the first or the last measurement, which it is by default.
    pub at: Option<When>,
    /// What the horizontal axis is called.
    pub x_label: String,
    /// Powers of ten are equally far apart on the horizontal axis.
    #[serde(default)]
    pub log_x: bool,
    /// And on the vertical one.
    #[serde(default)]
    pub log_y: bool,
}

/// `[[matrices]]`: heat maps that were measured, as `figures/` has them, of the first seed of each combination of
/// conditions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixSpec {
    /// Names its files.
    pub name: String,
    /// Stands above them.
    pub title: String,
    /// The folder below `figures/`.
    pub tag: String,
    /// Which measurements.
    #[serde(default = "When::both")]
    pub at: Vec<When>,
}

/// Which of a run's measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The first.
    First,
    /// The last.
    #[default]
    Last,
}

impl When {
    fn both() -> Vec<Self> {
        vec![Self::First, Self::Last]
    }
}

/// `[[scores]]`: algorithms over tasks, as the field compares them (Agarwal et al., 2021): interquartile mean, median, mean
/// and optimality gap, performance profiles, the probability of improvement, and what changed on each task.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoresSpec {
    /// Names its files.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// The score, as `metrics.csv` has it.
    pub tag: String,
    /// Which number of it.
    #[serde(default)]
    pub take: Take,
    /// The axis whose conditions are tasks.
    pub tasks: String,
    /// The axis whose conditions are algorithms.
    pub algorithms: String,
    /// The one that the others are compared with.
    pub against: String,
    /// What others published of the improvement on a task, in percent, by task.
    #[serde(default)]
    pub published: BTreeMap<String, f64>,
}

/// Which number of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The last.
    #[default]
    Last,
    /// The first.
    First,
    /// The last less the first.
    Change,
    /// The mean of all.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}
