//! What was run: the settings that differ between runs.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::{Section, escaped};
use crate::study::{Results, StudyFile, settings};

/// Differ between any two runs of a study.
const OWN: [&str; 2] = ["run.name", "run.seed"];

/// A row for each combination of conditions with the settings that are not the same everywhere.
pub fn section(file: &StudyFile, results: &Results<'_>) -> Section {
    let mut cells: Vec<(&[String], BTreeMap<String, Value>)> = Vec::new();
    for measured in results.runs() {
        let conditions = &measured.run.conditions[..];
        if !cells.iter().any(|(known, _)| *known == conditions) {
            cells.push((conditions, settings(&measured.run.config)));
        }
    }
    let keys: BTreeSet<&String> = cells.iter().flat_map(|(_, settings)| settings.keys()).collect();
    let differs = |key: &&&String| {
        let first = cells.first().and_then(|(_, settings)| settings.get(**key));
        !OWN.contains(&key.as_str())
            && cells.iter().any(|(_, settings)| settings.get(**key) != first)
    };
    let keys: Vec<&&String> = keys.iter().filter(differs).collect();
    let heads: String = file
        .axes
        .iter()
        .map(|axis| axis.name.as_str())
        .chain(keys.iter().map(|key| key.as_str()))
        .map(|head| format!("<th>{}</th>", escaped(head)))
        .collect();
    let row = |(conditions, settings): &(&[String], BTreeMap<String, Value>)| {
        let conditions = conditions.iter().map(|name| format!("<th>{}</th>", escaped(name)));
        let value = |key: &&&String| {
            let value = settings.get(**key).map(Value::to_string).unwrap_or_default();
            format!("<td><code>{}</code></td>", escaped(&value))
        };
        let cells: String = conditions.chain(keys.iter().map(value)).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = cells.iter().map(row).collect();
    Section {
        title: "What was run".to_owned(),
        body: format!(
            "<p class=\"note\">The settings that are not the same in all runs; each run's own are in its <code>config.toml</code>.</p>\
             <table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        ),
    }
}
