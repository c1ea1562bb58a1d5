//! What a study's report shows.

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
    /// The axis whose conditions are lines.
    pub lines: String,
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
    /// The condition that the others are compared with, seed by seed.
    pub against: Option<String>,
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
