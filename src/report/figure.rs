//! A figure: on the page, as files, and its numbers as CSV.

use std::{fmt::Write as _, path::Path};

use pliant_core::metrics::{Axis, Curves, Line};
use pliant_statistics::{curve::Curve, curve::Point};

use super::{Section, escaped};
use crate::{failure::Outcome, plot, run_dir::write_whole, sinks::picture};

/// What is drawn and said.
pub(super) struct Figure {
    /// Of its files.
    pub name: String,
    /// Above it.
    pub title: String,
    /// What is drawn.
    pub drawn: plot::Figure,
    /// Its numbers.
    pub csv: String,
    /// HTML below it.
    pub caption: String,
    /// What there would have to be, if there is nothing to draw.
    pub of: String,
}

impl Figure {
    /// Writes `NAME.csv`, `.svg` and `.png`.
    pub fn write(self, folder: &Path) -> Outcome<Section> {
        let Self { name, title, drawn, csv, caption, of } = self;
        let Some(svg) = drawn.svg(&title) else {
            let body =
                format!("<p>No finished run has measured <code>{}</code>.</p>", escaped(&of));
            return Ok(Section { title, body });
        };
        write_whole(&folder.join(format!("{name}.csv")), csv.as_bytes())?;
        write_whole(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
        if let Some(picture) = drawn.picture(&title)? {
            write_whole(&folder.join(format!("{name}.png")), &picture::png(&picture)?)?;
        }
        let body = format!(
            "<figure>{svg}<figcaption>{caption} <a href=\"{name}.csv\">CSV</a></figcaption></figure>"
        );
        Ok(Section { title, body })
    }
}

/// Lines with their intervals as bands.
pub(super) fn lines(x: Axis, y: Axis, curves: &[Curve]) -> plot::Figure {
    let line = |curve: &Curve| {
        let band = |point: &Point| {
            point.interval.map_or((point.estimate, point.estimate), |it| (it.low, it.high))
        };
        Line {
            name: curve.name.clone(),
            points: curve.points.iter().map(|point| (point.x, point.estimate)).collect(),
            band: curve.points.iter().map(band).collect(),
        }
    };
    plot::Figure::Curves(Curves { x, y, lines: curves.iter().map(line).collect() })
}

/// Of how many seeds a point is at most.
pub fn most_seeds(curves: &[Curve]) -> usize {
    curves.iter().flat_map(|curve| &curve.points).map(|point| point.n).max().unwrap_or(0)
}

/// `line,x,mean,low,high,seeds`.
pub(super) fn curves_csv(curves: &[Curve]) -> String {
    let mut text = String::from("line,x,mean,low,high,seeds\n");
    for curve in curves {
        for point in &curve.points {
            let [low, high] = [point.interval.map(|it| it.low), point.interval.map(|it| it.high)]
                .map(|end| end.map(|end| end.to_string()).unwrap_or_default());
            let (name, Point { x, estimate, n, .. }) = (quoted(&curve.name), point);
            writeln!(text, "{name},{x},{estimate},{low},{high},{n}").expect("a String takes all");
        }
    }
    text
}

/// A field of a CSV.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// An axis by its label.
pub(super) fn axis(label: &str, is_log: bool) -> Axis {
    Axis { label: label.to_owned(), is_log }
}
