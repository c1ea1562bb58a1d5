//! Reports: what the runs of a study came to, as figures, tables and a page that is good to read.

mod curves;
mod figure;
mod matrices;
mod page;
mod scatters;
mod scores;
mod settings;
mod snapshots;
mod table;
mod trends;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
    study::{Member, Results, StudyFile},
};

/// A part of the page: a figure or a table under its title.
struct Section {
    title: String,
    /// HTML.
    body: String,
}

/// Writes the report of a study into `folder` and returns its page. Every figure and table is also a CSV.
pub fn write(
    file: &StudyFile,
    scale: &str,
    results: &Results<'_>,
    folder: &Path,
) -> Outcome<PathBuf> {
    fs::create_dir_all(folder).map_err(|error| {
        Failure::Run(format!("cannot make report folder {}: {error}", folder.display()))
    })?;
    let mut sections = Vec::new();
    for spec in &file.scores {
        sections.extend(scores::sections(spec, results, folder)?);
    }
    for spec in &file.curves {
        sections.extend(curves::sections(spec, results, folder)?);
    }
    for spec in &file.trends {
        sections.extend(trends::sections(spec, results, folder)?);
    }
    for spec in &file.scatters {
        sections.push(scatters::section(spec, results, folder)?);
    }
    for spec in &file.snapshots {
        sections.extend(snapshots::sections(spec, results, folder)?);
    }
    for spec in &file.matrices {
        sections.push(matrices::section(spec, results, folder)?);
    }
    for spec in &file.tables {
        sections.extend(table::sections(spec, results, folder)?);
    }
    sections.push(settings::section(file, results));
    let page = folder.join("index.html");
    write_whole(&page, page::html(file, scale, results, &sections).as_bytes())?;
    Ok(page)
}

/// `NAME`, or `NAME-OTHER-CONDITIONS` where there is a file for each of several groups.
fn file_name(name: &str, others: &[String]) -> String {
    let plain = |text: &String| {
        let kept = |character: char| character.is_ascii_alphanumeric() || "_.+".contains(character);
        text.chars()
            .map(|character| if kept(character) { character } else { '-' })
            .collect::<String>()
    };
    std::iter::once(name.to_owned()).chain(others.iter().map(plain)).collect::<Vec<_>>().join("-")
}

/// The title of a group's figure or table.
fn titled(title: &str, others: &[String]) -> String {
    if others.is_empty() { title.to_owned() } else { format!("{title}: {}", others.join(", ")) }
}

/// How many seeds a number is of: `5`, or `3 of 5 (1 failed)`.
fn seeds(found: usize, member: &Member<'_>) -> String {
    let lost = lost(found, member);
    let why = match (member.failed, lost - member.failed) {
        (0, 0) => String::new(),
        (failed, 0) => format!(" ({failed} failed)"),
        (0, without) => format!(" ({without} without a finite number)"),
        (failed, without) => format!(" ({failed} failed, {without} without a finite number)"),
    };
    if found == member.planned {
        found.to_string()
    } else {
        format!("{found} of {}{why}", member.planned)
    }
}

/// Seeds that are gone for a reason that may have to do with what is measured, unlike those that have not run yet.
fn lost(found: usize, member: &Member<'_>) -> usize {
    member.failed + member.runs.len().saturating_sub(found)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
