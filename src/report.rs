//! Reports: what the runs of a study came to, as figures, tables and a page that is good to read.

mod curves;
mod embedded;
mod figure;
mod matrices;
mod page;
mod scatters;
mod scores;
mod settings;
mod shelf;
mod snapshots;
mod table;
mod tensorboard;
mod trends;
mod videos;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use curves::Drawn;

use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
    study::{Common, Member, Results, StudyFile},
};

const PAGE: &str = "index.html";
const TENSORBOARD: &str = "tensorboard";

/// A part of the page: a figure or a table under its title.
struct Section {
    title: String,
    /// HTML.
    body: String,
}

/// Writes the report of a study into `folder`, in the place of the last one, and returns its page. Every figure and table
/// is also a CSV, and TensorBoard has numbers and learning curves in `tensorboard/`.
pub fn write(
    file: &StudyFile,
    scale: &str,
    results: &Results<'_>,
    folder: &Path,
) -> Outcome<PathBuf> {
    let old = Path::new(TENSORBOARD);
    shelf::replace(folder, old, |folder| write_all(file, scale, results, folder))?;
    Ok(folder.join(PAGE))
}

fn write_all(file: &StudyFile, scale: &str, results: &Results<'_>, folder: &Path) -> Outcome {
    let (mut sections, drawn) = figures(file, results, folder)?;
    for spec in &file.tables {
        sections.extend(table::sections(spec, results, folder)?);
    }
    sections.extend(videos::section(results, folder)?);
    sections.push(settings::section(file, results));
    tensorboard::write(file, results, &drawn, &folder.join(TENSORBOARD))?;
    write_whole(&folder.join(PAGE), page::html(file, scale, results, &sections).as_bytes())
}

/// An error if there is something in the folder, and it is no report that may be written anew.
pub fn check_is_ours(folder: &Path) -> Outcome {
    let page = fs::read_to_string(folder.join(PAGE)).unwrap_or_default();
    if page.contains(page::GENERATOR) || !shelf::is_foreign(folder) {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "report folder {}: it is not empty and holds no report, expected a new folder, or one with a report to replace",
        folder.display()
    )))
}

/// All figures, and the lines of those that are learning curves.
fn figures(
    file: &StudyFile,
    results: &Results<'_>,
    folder: &Path,
) -> Outcome<(Vec<Section>, Vec<Drawn>)> {
    let (mut sections, mut drawn) = (Vec::new(), Vec::new());
    for spec in &file.scores {
        sections.extend(scores::sections(spec, results, folder)?);
    }
    for spec in &file.curves {
        for (section, lines) in curves::sections(spec, results, folder)? {
            sections.push(section);
            drawn.push(lines);
        }
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
    Ok((sections, drawn))
}

/// `NAME`, or `NAME~CONDITION~CONDITION` where there is a file for each of several groups. No name has a `~` in it, so no
/// two parts of a report have one file.
fn file_name(name: &str, common: &Common) -> String {
    std::iter::once(name)
        .chain(common.names.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("~")
}

/// The title of a group's figure or table.
fn titled(title: &str, common: &Common) -> String {
    let labels = &common.labels;
    if labels.is_empty() { title.to_owned() } else { format!("{title}: {}", labels.join(", ")) }
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
