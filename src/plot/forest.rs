//! Estimates with intervals, one below another.

use kuva::{
    plot::ForestPlot,
    prelude::{Layout, Plot},
};

use super::SIZE;

/// Rows, and what all of them are of.
#[derive(Clone, Debug)]
pub struct Forest {
    /// The horizontal axis.
    pub label: String,
    /// From above.
    pub rows: Vec<Row>,
}

/// An estimate.
#[derive(Clone, Debug)]
pub struct Row {
    /// To the left of it.
    pub label: String,
    /// The estimate.
    pub estimate: f64,
    /// Its interval; the estimate twice if it has none.
    pub interval: (f64, f64),
}

/// Pixels of a row, and of what is above and below all of them.
const ROW: f64 = 18.0;
const MARGINS: f64 = 120.0;

pub(super) fn drawn(title: &str, forest: &Forest) -> Option<(Vec<Plot>, Layout)> {
    if forest.rows.is_empty() {
        return None;
    }
    let plot = forest.rows.iter().fold(ForestPlot::new(), |plot, row| {
        plot.with_row(&row.label, row.estimate, row.interval.0, row.interval.1)
    });
    let plots = vec![Plot::Forest(plot.with_null_value(0.0))];
    let layout = Layout::auto_from_plots(&plots)
        .with_width(f64::from(SIZE.0))
        .with_height(MARGINS + ROW * forest.rows.len() as f64)
        .with_title(title)
        .with_x_label(&forest.label);
    Some((plots, layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Figure;

    #[test]
    fn rows_are_drawn_with_their_labels() {
        let row = Row { label: "breakout".to_owned(), estimate: 0.5, interval: (0.1, 0.9) };
        let forest = |rows| Figure::Forest(Forest { label: "improvement".to_owned(), rows });
        let svg = forest(vec![row]).svg("title").expect("a row");
        assert!(svg.contains("breakout") && svg.contains("improvement"), "{svg}");
        assert!(forest(Vec::new()).svg("title").is_none());
    }
}
