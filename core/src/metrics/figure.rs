//! Measurements that are looked at as a figure: as data, not as pictures.

/// Lines over a common axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical one.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
}

/// An axis of a figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// What is measured along it, with the unit.
    pub label: String,
    /// Powers of ten are equally far apart; points that are not above 0 are left out.
    pub is_log: bool,
}

impl Axis {
    /// An axis with even steps.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_log: false }
    }

    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_log: true }
    }
}

/// One line, with a band around it or without.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// For the legend; empty for none.
    pub name: String,
    /// `(x, y)`, in order.
    pub points: Vec<(f64, f64)>,
    /// Lower and upper end of the band at each point; empty for none.
    pub band: Vec<(f64, f64)>,
}

/// A matrix, to be shown as a heat map.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub columns: usize,
    /// Row by row.
    pub values: Vec<f32>,
    /// The values that the ends of the colour scale stand for; what lies beyond is cut off.
    pub range: (f32, f32),
    /// What rows and columns stand for.
    pub label: String,
}

impl Matrix {
    /// The values of a row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..][..self.columns]
    }
}
