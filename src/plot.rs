//! Figures from data. What draws them stays behind this module.

use std::sync::Arc;

use kuva::{
    plot::{ColorMap, Heatmap, LinePlot},
    prelude::{Layout, Plot},
};
use pliant_core::{
    error::{Error, Result},
    metrics::{Axis, Curves, Matrix},
};

/// Pixels of a figure.
const SIZE: (u32, u32) = (720, 480);

/// Told apart by people who see few colours too (Okabe & Ito, 2008).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// A picture file: PNG, with its size in pixels.
#[derive(Clone, Debug)]
pub struct Png {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Draws lines as PNG; `None` if there is nothing to draw.
pub fn curves_png(title: &str, curves: &Curves) -> Result<Option<Png>> {
    drawn(title, curves).map(|(plots, layout)| png(plots, layout)).transpose()
}

/// Draws lines as SVG; `None` if there is nothing to draw.
pub fn curves_svg(title: &str, curves: &Curves) -> Option<String> {
    drawn(title, curves).map(|(plots, layout)| kuva::render_to_svg(plots, layout))
}

/// Draws a matrix as PNG; `None` if it is empty.
pub fn matrix_png(title: &str, matrix: &Matrix) -> Result<Option<Png>> {
    if matrix.values.is_empty() {
        return Ok(None);
    }
    let (low, high) = (f64::from(matrix.range.0), f64::from(matrix.range.1));
    let clipped = |value: &f32| f64::from(*value).clamp(low, high);
    let data: Vec<Vec<f64>> =
        (0..matrix.rows).map(|row| matrix.row(row).iter().map(clipped).collect()).collect();
    // The library spreads the colours over what there is; these belong to the range.
    let all = || data.iter().flatten().copied();
    let (least, most) = (all().fold(high, f64::min), all().fold(low, f64::max));
    let share = move |t: f64| ((least + t * (most - least)) - low) / (high - low);
    let map = ColorMap::Custom(Arc::new(move |t| diverging(share(t))));
    let plots: Vec<Plot> = vec![Heatmap::new().with_data(data).with_color_map(map).into()];
    let layout = Layout::auto_from_plots(&plots)
        .with_width(f64::from(SIZE.1))
        .with_height(f64::from(SIZE.1))
        .with_title(title)
        .with_x_label(&matrix.label)
        .with_y_label(&matrix.label)
        .with_x_axis_min(0.0)
        .with_x_axis_max(matrix.columns as f64)
        .with_y_axis_min(0.0)
        .with_y_axis_max(matrix.rows as f64);
    png(plots, layout).map(Some)
}

/// Blue at 0, white at 1/2, red at 1.
fn diverging(share: f64) -> String {
    let blend = |from: [f64; 3], to: [f64; 3], part: f64| {
        let channel = |i: usize| (from[i] + (to[i] - from[i]) * part).round() as u8;
        format!("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2))
    };
    let (blue, white, red) = ([33.0, 102.0, 172.0], [255.0; 3], [178.0, 24.0, 43.0]);
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
    if share < 0.5 { blend(blue, white, share * 2.0) } else { blend(white, red, share * 2.0 - 1.0) }
}

fn drawn(title: &str, curves: &Curves) -> Option<(Vec<Plot>, Layout)> {
    let mut plots: Vec<Plot> = Vec::new();
    for (line, colour) in curves.lines.iter().zip(COLOURS.iter().cycle()) {
        let fits = |axis: &Axis, value: f64| value.is_finite() && (!axis.is_log || value > 0.0);
        let is_shown = |(x, y): &(f64, f64)| fits(&curves.x, *x) && fits(&curves.y, *y);
        let shown: Vec<usize> =
            (0..line.points.len()).filter(|index| is_shown(&line.points[*index])).collect();
        if shown.is_empty() {
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
            let (low, high): (Vec<f64>, Vec<f64>) =
                shown.iter().map(|index| line.band[*index]).unzip();
            plot = plot.with_band(low, high);
        }
        plots.push(plot.into());
    }
    if plots.is_empty() {
        return None;
    }
    let mut layout = Layout::auto_from_plots(&plots)
        .with_width(f64::from(SIZE.0))
        .with_height(f64::from(SIZE.1))
        .with_title(title)
        .with_x_label(&curves.x.label)
        .with_y_label(&curves.y.label);
    if curves.x.is_log {
        layout = layout.with_log_x();
    }
    if curves.y.is_log {
        layout = layout.with_log_y();
    }
    Some((plots, layout))
}

fn png(plots: Vec<Plot>, layout: Layout) -> Result<Png> {
    let failed = |text: String| Error::Invalid(format!("a figure could not be drawn: {text}"));
    let bytes = kuva::render_to_raster(plots, layout, 1.0).map_err(failed)?;
    // Width and height stand behind the signature and the head of the first chunk.
    let number = |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    let [width, height] = [16, 20].map(|at| number(at).map_or(0, u32::from_be_bytes));
    Ok(Png { bytes, width, height })
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
            let png = curves_png("a title", &curves(is_log)).expect("drawn").expect("lines");
            assert!(png.bytes.starts_with(b"\x89PNG") && png.width > 400 && png.height > 300);
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

    #[test]
    fn a_matrix_has_the_colours_of_its_range() {
        assert_eq!(diverging(0.5), "#ffffff");
        assert_eq!([diverging(0.0), diverging(1.0)], ["#2166ac", "#b2182b"]);
        let matrix = Matrix {
            rows: 2,
            columns: 2,
            values: vec![1.0, 0.0, -0.5, 7.0],
            range: (-1.0, 1.0),
            label: "transition".to_owned(),
        };
        let png = matrix_png("t", &matrix).expect("drawn").expect("not empty");
        assert!(png.bytes.starts_with(b"\x89PNG") && png.width > 300);
    }
}
