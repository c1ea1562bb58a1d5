//! What can be said of a study's file without resolving a configuration.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::{
    file::{Axis, Condition, StudyFile},
    spec::SnapshotSpec,
};

type ByAxis = BTreeMap<String, Vec<String>>;

/// An error says what is wrong, and where.
pub(super) fn check(file: &StudyFile) -> Result<(), String> {
    check_name("study.name", &file.study.name)?;
    unique("axes", file.axes.iter().map(|axis| &*axis.name))?;
    file.axes.iter().try_for_each(check_axis)?;
    check_report(file)?;
    if file.scales.is_empty() {
        return Err("there is no scale: give one as [scales.NAME]".to_owned());
    }
    for left_out in &file.leave_out {
        if left_out.is_empty() {
            return Err("a [[leave_out]] is empty: name the conditions that are not run".to_owned());
        }
        check_conditions(file, "leave_out", left_out)?;
    }
    for combination in &file.combinations {
        check_conditions(file, "combinations.of", &combination.of)?;
        combination.scales.iter().try_for_each(|name| file.scale(name).map(drop))?;
    }
    check_settings("base", &file.base)?;
    for combination in &file.combinations {
        check_settings("combinations.set", &combination.set)?;
    }
    for (name, scale) in &file.scales {
        let place = format!("scales.{name}");
        check_settings(&format!("{place}.set"), &scale.set)?;
        scale.seeds().map_err(|error| format!("{place}.seeds: {error}"))?;
        check_conditions(file, &format!("{place}.only"), &scale.only)?;
    }
    Ok(())
}

fn check_axis(axis: &Axis) -> Result<(), String> {
    check_name("the name of an axis", &axis.name)?;
    if axis.conditions.is_empty() {
        return Err(format!(
            "axis {} is empty: give it conditions, or a setting with values",
            axis.name
        ));
    }
    unique(&format!("axis {}", axis.name), axis.conditions.iter().map(|c| &*c.name))?;
    unique(
        &format!("axis {}, its labels", axis.name),
        axis.conditions.iter().map(Condition::label),
    )?;
    let place = format!("a condition of axis {}", axis.name);
    axis.conditions.iter().try_for_each(|condition| {
        check_name(&place, &condition.name)?;
        check_settings(&format!("axis {}, {}", axis.name, condition.name), &condition.set)
    })
}

/// What a study sets itself.
fn check_settings(place: &str, set: &Table) -> Result<(), String> {
    let run = set.get("run").and_then(Value::as_table);
    let is_set = |key: &&&str| run.is_some_and(|run| run.contains_key(**key));
    match ["seed", "name"].iter().find(is_set) {
        None => Ok(()),
        Some(key) => Err(format!(
            "{place}: run.{key} is not for a study to set: a scale's `seeds` are each run's, and conditions name it"
        )),
    }
}

/// A part of the report: where it stands, its name, and the axes that it names.
struct Part<'a>(&'static str, &'a str, Vec<&'a str>);

fn some(axis: Option<&String>) -> Vec<&str> {
    axis.into_iter().map(String::as_str).collect()
}

fn and<'a>(axis: &'a str, other: Option<&'a String>) -> Vec<&'a str> {
    [vec![axis], some(other)].concat()
}

fn parts(file: &StudyFile) -> Vec<Part<'_>> {
    let scores =
        file.scores.iter().map(|it| Part("scores", &it.name, vec![&it.tasks, &it.algorithms]));
    let curves = file.curves.iter().map(|it| Part("curves", &it.name, some(it.lines.as_ref())));
    let trends =
        file.trends.iter().map(|it| Part("trends", &it.name, and(&it.x, it.lines.as_ref())));
    let scatters = file.scatters.iter().map(|it| Part("scatters", &it.name, vec![&it.groups]));
    let snapshots =
        file.snapshots.iter().map(|it| Part("snapshots", &it.name, some(it.lines.as_ref())));
    let matrices = file.matrices.iter().map(|it| Part("matrices", &it.name, Vec::new()));
    let tables =
        file.tables.iter().map(|it| Part("tables", &it.name, and(&it.rows, it.columns.as_ref())));
    scores
        .chain(curves)
        .chain(trends)
        .chain(scatters)
        .chain(snapshots)
        .chain(matrices)
        .chain(tables)
        .collect()
}

fn check_report(file: &StudyFile) -> Result<(), String> {
    let parts = parts(file);
    for Part(section, name, axes) in &parts {
        check_name(&format!("the name of {section}"), name)?;
        let place = format!("{section} {name}");
        axes.iter().try_for_each(|name| axis(file, &place, name).map(drop))?;
        unique(&format!("{place}, its axes"), axes.iter().copied())?;
    }
    unique("the report's parts (their names are files')", parts.iter().map(|part| part.1))?;
    for trend in &file.trends {
        check_values(axis(file, &trend.name, &trend.x)?, &trend.name)?;
    }
    if let Some(matrix) = file.matrices.iter().find(|matrix| matrix.at.is_empty()) {
        return Err(format!("matrices {}.at is an empty list", matrix.name));
    }
    let is_idle = |it: &&SnapshotSpec| it.lines.is_none() && it.at.is_some();
    if let Some(snapshots) = file.snapshots.iter().find(is_idle) {
        return Err(format!(
            "snapshots {}.at does nothing without `lines`: all times are shown then",
            snapshots.name
        ));
    }
    for table in &file.tables {
        if table.columns.is_some() && table.against.is_some() {
            return Err(format!(
                "tables {}: `against` does nothing with `columns`, expected one of the two",
                table.name
            ));
        }
        if let Some(name) = &table.against {
            let place = format!("tables {}, against", table.name);
            check_conditions(file, &place, &one(&table.rows, [name]))?;
        }
    }
    for scores in &file.scores {
        let place = format!("scores {}, against", scores.name);
        check_conditions(file, &place, &one(&scores.algorithms, [&scores.against]))?;
        if !scores.published.is_empty() {
            let place = format!("scores {}, published", scores.name);
            check_conditions(file, &place, &one(&scores.tasks, scores.published.keys()))?;
        }
    }
    Ok(())
}

fn one<'a>(axis: &str, conditions: impl IntoIterator<Item = &'a String>) -> ByAxis {
    BTreeMap::from([(axis.to_owned(), conditions.into_iter().cloned().collect())])
}

fn check_values(axis: &Axis, trend: &str) -> Result<(), String> {
    match axis.conditions.iter().find(|condition| condition.value.is_none()) {
        None => Ok(()),
        Some(condition) => Err(format!(
            "trends {trend}: condition `{}` of axis {} has no value to stand at; give it one as value = NUMBER",
            condition.name, axis.name
        )),
    }
}

/// An axis by its name.
fn axis<'a>(file: &'a StudyFile, place: &str, name: &str) -> Result<&'a Axis, String> {
    file.axes
        .iter()
        .find(|axis| axis.name == name)
        .ok_or_else(|| unknown(place, "axis", name, file.axes.iter().map(|axis| &*axis.name)))
}

fn check_conditions(file: &StudyFile, place: &str, by_axis: &ByAxis) -> Result<(), String> {
    for (name, conditions) in by_axis {
        let found = axis(file, place, name)?;
        if conditions.is_empty() {
            return Err(format!("{place}.{name} is an empty list"));
        }
        for condition in conditions {
            let known: Vec<&str> = found.conditions.iter().map(|known| &*known.name).collect();
            if !known.contains(&condition.as_str()) {
                let place = format!("{place}.{name}");
                return Err(unknown(&place, "condition", condition, known.into_iter()));
            }
        }
    }
    Ok(())
}

/// Names become folders.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "_-.+".contains(character);
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "{what} is {name:?}, expected letters, digits, `_`, `-`, `+` and `.` that it does not begin with (a `label` is free)"
    ))
}

fn unique<'a>(place: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let twice = names.into_iter().find(|name| !seen.insert(*name));
    twice.map_or(Ok(()), |name| Err(format!("{place}: the name `{name}` stands there twice")))
}

fn unknown<'a>(
    place: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    format!("{place}: unknown {what} `{name}`, expected one of {}", known.join(", "))
}
