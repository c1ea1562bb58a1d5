//! Figures from data. What draws them stays behind this module.

use kuva::{
    plot::{LinePlot, ScatterPlot},
    prelude::{Layout, Plot},
};
use pliant_core::{
    envs::env::Picture,
    error::Result,
    metrics::{Axis, Curves},
};

mod forest;
mod matrix;
mod raster;
mod scatter;

pub use forest::{Forest, Row};
pub use matrix::matrix_picture;
pub use scatter::{Cloud, Scatter};

/// Pixels of a figure.
const SIZE: (u32, u32) = (720, 480);

/// Told apart by people who see few colours too (Okabe & Ito, 2008).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// What can be drawn.
#[derive(Clone, Debug)]
pub enum Figure {
    /// Lines.
    Curves(Curves),
    /// Points.
    Scatter(Scatter),
    /// Estimates with intervals, one below another.
    Forest(Forest),
}

impl Figure {
    /// As SVG; `None` if there is nothing to draw.
    pub fn svg(&self, title: &str) -> Option<String> {
        self.drawn(title).map(|(plots, layout)| kuva::render_to_svg(plots, layout))
    }

    /// As a picture; `None` if there is nothing to draw.
    pub fn picture(&self, title: &str) -> Result<Option<Picture>> {
        self.drawn(title).map(|(plots, layout)| raster::pixels(plots, layout)).transpose()
    }

    fn drawn(&self, title: &str) -> Option<(Vec<Plot>, Layout)> {
        match self {
            Self::Curves(curves) => drawn(title, curves),
            Self::Scatter(scatter) => scatter::drawn(title, scatter),
            Self::Forest(forest) => forest::drawn(title, forest),
        }
    }
}

/// A layout with what all figures have.
fn layout(plots: &[Plot], title: &str, x: &Axis, y: &Axis) -> Layout {
    let mut layout = Layout::auto_from_plots(plots)
        .with_width(f64::from(SIZE.0))
        .with_height(f64::from(SIZE.1))
        .with_title(title)
        .with_x_label(&x.label)
        .with_y_label(&y.label);
    layout.title_size = title_size(title);
    if x.is_log {
        layout = layout.with_log_x();
    }
    if y.is_log {
        layout = layout.with_log_y();
    }
    layout
}

/// Points of a title's letters: smaller where it would not fit.
fn title_size(title: &str) -> u32 {
    const LARGEST: u32 = 18;
    const SMALLEST: u32 = 9;
    const LETTERS: usize = 52; // of the largest
    let fits = LARGEST as usize * LETTERS / title.chars().count().max(1);
    (fits as u32).clamp(SMALLEST, LARGEST)
}

/// True if an axis has a place for the value.
fn has_place(axis: &Axis, value: f64) -> bool {
    value.is_finite() && (!axis.is_log || value > 0.0)
}

/// Draws lines as a picture; `None` if there is nothing to draw.
pub fn curves_picture(title: &str, curves: &Curves) -> Result<Option<Picture>> {
    drawn(title, curves).map(|(plots, layout)| raster::pixels(plots, layout)).transpose()
}

/// Draws lines as SVG; `None` if there is nothing to draw.
pub fn curves_svg(title: &str, curves: &Curves) -> Option<String> {
    drawn(title, curves).map(|(plots, layout)| kuva::render_to_svg(plots, layout))
}

/// The least and the largest of all that has a place on the vertical axis. A band that reaches down to where nothing has
/// ends at the least.
fn heights(curves: &Curves) -> (f64, f64) {
    let points = curves.lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
    let bands = curves.lines.iter().flat_map(|line| &line.band).flat_map(|(a, b)| [*a, *b]);
    span(points.chain(bands).filter(|y| has_place(&curves.y, *y)))
}

fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// The largest 1, 2 or 5 times a power of ten that is not above a value, or the least that is not below it: where a
/// logarithmic axis has its marks.
fn mark(value: f64, is_above: bool) -> f64 {
    let decade = value.log10().floor();
    let marks = [1.0, 2.0, 5.0, 10.0].map(|times| times * 10f64.powf(decade));
    let slack = 1e-9 * value;
    match is_above {
        true => marks.into_iter().find(|mark| *mark >= value - slack).unwrap_or(marks[3]),
        false => marks.into_iter().rev().find(|mark| *mark <= value + slack).unwrap_or(marks[0]),
    }
}

/// Axes of powers of ten end at the marks around the lines, rather than at the next powers.
fn tight(mut layout: Layout, curves: &Curves) -> Layout {
    let places = curves.lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let widths = span(places.filter(|x| has_place(&curves.x, *x)));
    let around = |(low, high): (f64, f64)| (mark(low * 0.999, false), mark(high * 1.001, true));
    if curves.x.is_log {
        let (low, high) = around(widths);
        layout = layout.with_x_axis_min(low).with_x_axis_max(high);
    }
    if curves.y.is_log {
        let (low, high) = around(heights(curves));
        layout = layout.with_y_axis_min(low).with_y_axis_max(high);
    }
    layout
}

fn drawn(title: &str, curves: &Curves) -> Option<(Vec<Plot>, Layout)> {
    let mut plots: Vec<Plot> = Vec::new();
    let (floor, _) = heights(curves);
    for (line, colour) in curves.lines.iter().zip(COLOURS.iter().cycle()) {
        let is_shown = |(x, y): &(f64, f64)| has_place(&curves.x, *x) && has_place(&curves.y, *y);
        let shown: Vec<usize> =
            (0..line.points.len()).filter(|index| is_shown(&line.points[*index])).collect();
        if shown.is_empty() {
            continue;
        }
        if let [alone] = shown[..] {
            let point = ScatterPlot::new().with_data([line.points[alone]]).with_color(*colour);
            let named = if line.name.is_empty() { point } else { point.with_legend(&line.name) };
            plots.push(named.into());
            continue;
        }
        let mut plot = LinePlot::new()
            .with_data(shown.iter().map(|index| line.points[*index]))
            .with_color(*colour)
            .with_stroke_width(1.5);
        if !line.name.is_empty() {
            plot = plot.with_legend(&line.name);
        }
        if line.band.len() == line.points.len() {
            let in_place = |(low, high): (f64, f64)| match has_place(&curves.y, low) {
                true => (low, high),
                false => (floor, high),
            };
            let (low, high): (Vec<f64>, Vec<f64>) =
                shown.iter().map(|index| in_place(line.band[*index])).unzip();
            plot = plot.with_band(low, high);
        }
        plots.push(plot.into());
    }
    if plots.is_empty() {
        return None;
    }
    let layout = layout(&plots, title, &curves.x, &curves.y);
    Some((plots, tight(layout, curves)))
}

#[cfg(test)]
mod tests {
    use pliant_core::metrics::Line;

    use super::*;

    fn curves(is_log: bool) -> Curves {
        let line = |name: &str, scale: f64| Line {
            name: name.to_owned(),
            points: (0..50).map(|x| (f64::from(x), scale * f64::from(x).sin())).collect(),
            band: Vec::new(),
        };
        let y = Axis { label: "loss".to_owned(), is_log };
        Curves { x: Axis::linear("steps"), y, lines: vec![line("first", 1.0), line("second", 2.0)] }
    }

    #[test]
    fn lines_become_pictures_with_their_labels() {
        for is_log in [false, true] {
            let svg = curves_svg("a title", &curves(is_log)).expect("lines");
            for word in ["a title", "steps", "loss", "first", "second"] {
                assert!(svg.contains(word), "{word}");
            }
            let drawn = curves_picture("a title", &curves(is_log)).expect("drawn");
            let picture = drawn.expect("lines");
            assert_eq!((picture.width, picture.height), (720, 480));
            let is_dark = |pixel: &[u8]| pixel.iter().all(|channel| *channel < 64);
            assert!(picture.rgb.chunks(3).filter(|pixel| is_dark(pixel)).count() > 100, "axes");
        }
    }

    #[test]
    fn a_band_that_reaches_below_0_leaves_a_logarithmic_axis_as_it_was() {
        let mut curves = curves(true);
        curves.lines.truncate(1);
        curves.lines[0].points = vec![(0.0, 0.5), (1.0, 0.25)];
        let pixels = |low: f64| {
            let mut curves = curves.clone();
            curves.lines[0].band = vec![(0.3, 0.6), (low, 0.5)];
            curves_picture("t", &curves).expect("drawn").expect("a line").rgb
        };
        assert!(pixels(-0.1) == pixels(0.25), "it ends at the least of the line");
        assert!(pixels(0.01) != pixels(0.25));
    }

    #[test]
    fn marks_are_1_2_or_5_times_a_power_of_ten() {
        for (value, below, above) in [
            (5.7, 5.0, 10.0),
            (0.013, 0.01, 0.02),
            (1.0, 1.0, 1.0),
            (0.2, 0.2, 0.2),
            (99.0, 50.0, 100.0),
        ] {
            let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
            assert!(close(mark(value, false), below) && close(mark(value, true), above), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_left_out_and_nothing_at_all_is_no_picture() {
        let mut curves = curves(true);
        curves.lines.truncate(1);
        curves.lines[0].points = vec![(0.0, f64::NAN), (1.0, -1.0), (2.0, f64::INFINITY)];
        assert!(curves_svg("t", &curves).is_none());
        curves.lines[0].points.push((3.0, 1.0));
        assert!(curves_svg("t", &curves).is_some());
    }
}
