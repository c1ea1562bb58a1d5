//! What `pliant probe` prints.

use std::collections::BTreeMap;

use pliant_core::{
    clock::Clock,
    metrics::{Metrics, Value},
};
use serde_json::json;

use crate::{sinks::console::numbers::short, table};

/// A table of all checkpoints at the end, or a line of JSON for each as it comes.
pub(super) struct Report {
    is_json: bool,
    rows: Vec<(Clock, Metrics)>,
}

impl Report {
    /// Of nothing yet.
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, rows: Vec::new() }
    }

    /// Takes in what was measured of a checkpoint.
    pub(super) fn add(&mut self, clock: Clock, metrics: Metrics) {
        if self.is_json {
            let scalars: BTreeMap<&str, f64> = scalars(&metrics).collect();
            let (updates, frames) = (clock.updates, clock.frames);
            say!("{}", json!({"updates": updates, "frames": frames, "metrics": scalars}));
        } else {
            self.rows.push((clock, metrics));
        }
    }

    /// Prints the table, if there is something in it.
    pub(super) fn close(self) {
        if !self.rows.is_empty() {
            say!("{}", as_table(&self.rows));
        }
    }
}

fn scalars(metrics: &Metrics) -> impl Iterator<Item = (&str, f64)> {
    metrics.iter().filter_map(|(tag, value)| match value {
        Value::Scalar(number) => Some((tag, *number)),
        _ => None,
    })
}

/// True of `area/name/layer`, not of `area/loss/name`.
fn is_of_a_layer(tag: &str) -> bool {
    let by_loss = ["gradient_covariance/", "hessian/", "sharpness/"];
    tag.matches('/').count() > 1 && !by_loss.iter().any(|area| tag.starts_with(area))
}

/// A row for each number of the whole network, a column for each checkpoint.
fn as_table(rows: &[(Clock, Metrics)]) -> String {
    let mut header = vec!["update".to_owned()];
    header.extend(rows.iter().map(|(clock, _)| clock.updates.to_string()));
    let mut tags: Vec<&str> = Vec::new();
    for (tag, _) in rows.iter().flat_map(|(_, metrics)| scalars(metrics)) {
        if !is_of_a_layer(tag) && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let cells = |tag: &str| {
        let number = |metrics: &Metrics| metrics.get_scalar(tag).map(shown).unwrap_or_default();
        let numbers = rows.iter().map(|(_, metrics)| number(metrics));
        std::iter::once(tag.to_owned()).chain(numbers).collect()
    };
    table::render(&header, tags.into_iter().map(cells))
}

/// Counts in full, other numbers in four digits.
fn shown(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e9 { number.to_string() } else { short(number) }
}
