//! What a part hands back when it measured something. No part holds a writer.

mod figure;

pub use figure::{Axis, Curves, Line, Matrix};
use pliant_envs::env::Picture;

/// One measured thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// Raw values; the sink bins them.
    Histogram(Vec<f64>),
    /// One picture, or several to be shown one after the other.
    Images {
        /// In order of time, all of one size.
        frames: Vec<Picture>,
        /// Frames per second when shown.
        fps: u32,
    },
    /// A film that was encoded as its pictures came.
    Film {
        /// The GIF file's bytes.
        gif: Vec<u8>,
        /// Columns of its pictures.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Lines of a figure.
    Curves(Curves),
    /// A matrix, as a heat map.
    Matrix(Matrix),
    /// Markdown.
    Text(String),
}

/// Measurements under `area/name[/layer]` tags, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    entries: Vec<(String, Value)>,
}

impl Metrics {
    /// Adds a number.
    pub fn scalar(&mut self, tag: impl Into<String>, value: f64) {
        self.add(tag, Value::Scalar(value));
    }

    /// Adds a histogram of raw values.
    pub fn histogram(&mut self, tag: impl Into<String>, values: Vec<f64>) {
        self.add(tag, Value::Histogram(values));
    }

    /// Adds Markdown text.
    pub fn text(&mut self, tag: impl Into<String>, text: impl Into<String>) {
        self.add(tag, Value::Text(text.into()));
    }

    /// Adds a film, or a picture if it is one frame.
    pub fn images(&mut self, tag: impl Into<String>, frames: Vec<Picture>, fps: u32) {
        self.add(tag, Value::Images { frames, fps });
    }

    /// Adds a value of any kind.
    pub fn add(&mut self, tag: impl Into<String>, value: Value) {
        self.entries.push((tag.into(), value));
    }

    /// The same with tags `to/..` in the place of `from/..`.
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        for (tag, _) in &mut self.entries {
            let rest = tag.strip_prefix(from).filter(|rest| rest.starts_with('/'));
            if let Some(renamed) = rest.map(|rest| format!("{to}{rest}")) {
                *tag = renamed;
            }
        }
        self
    }

    /// Appends all of `other`.
    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The measurements, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(tag, value)| (tag.as_str(), value))
    }

    /// The latest number under a tag.
    pub fn get_scalar(&self, tag: &str) -> Option<f64> {
        self.iter().filter(|(name, _)| *name == tag).last().and_then(|(_, value)| match value {
            Value::Scalar(number) => Some(*number),
            _ => None,
        })
    }

    /// True if nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
