//! Heat maps that probes measured, side by side.

use std::{fs, path::Path};

use super::{Section, embedded, escaped, file_name};
use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
    study::{Group, MatrixSpec, Measured, Results, When},
};

/// All of them in one section: each combination of conditions at the times asked for.
pub fn section(spec: &MatrixSpec, results: &Results<'_>, folder: &Path) -> Outcome<Section> {
    let mut panels = String::new();
    for Group { common, members } in results.along(None) {
        let runs: Vec<&Measured<'_>> =
            members.iter().flat_map(|member| member.runs.iter().copied()).collect();
        for when in &spec.at {
            let measured = |run: &Measured<'_>| {
                let (updates, picture) = run.figure(&spec.tag, "png", *when)?;
                Some((run.run.seed, updates, picture))
            };
            if let Some((seed, updates, picture)) = runs.iter().find_map(|run| measured(run)) {
                let at = match when {
                    When::First => "first",
                    When::Last => "last",
                };
                let name = file_name(&format!("{}~~{at}", spec.name), &common);
                let caption = match common.labels.is_empty() {
                    true => format!("update {updates}, seed {seed}"),
                    false => format!("{}: update {updates}, seed {seed}", common.labels.join(", ")),
                };
                panels += &panel(&picture, folder, &name, &caption)?;
            }
        }
    }
    let body = match panels.is_empty() {
        true => format!("<p>No finished run has measured <code>{}</code>.</p>", escaped(&spec.tag)),
        false => format!(
            "<p class=\"note\"><code>{}</code>, of the first seed that measured it.</p><div class=\"panels\">{panels}</div>",
            escaped(&spec.tag)
        ),
    };
    Ok(Section { title: spec.title.clone(), body })
}

/// The picture and its numbers, beside the page and in it.
fn panel(picture: &Path, folder: &Path, name: &str, caption: &str) -> Outcome<String> {
    let bytes = read(picture)?;
    write_whole(&folder.join(format!("{name}.png")), &bytes)?;
    let numbers = picture.with_extension("npy");
    let mut link = String::new();
    if numbers.exists() {
        write_whole(&folder.join(format!("{name}.npy")), &read(&numbers)?)?;
        link = format!(" <a href=\"{name}.npy\">NPY</a>");
    }
    Ok(embedded::panel(&bytes, "png", caption, &link))
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    let failed = |error| Failure::while_doing(format!("cannot read {}", path.display()), error);
    fs::read(path).map_err(failed)
}
