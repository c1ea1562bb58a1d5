//! The last film of each combination of conditions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Section, embedded, file_name};
use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
    study::{Common, Group, Measured, Results},
};

/// Films in the page.
const MOST: usize = 12;
/// Bytes of one; larger ones would make a page that is slow to open.
const LARGEST: u64 = 2 << 20;

/// `None` if no run has a film.
pub fn section(results: &Results<'_>, folder: &Path) -> Outcome<Option<Section>> {
    let mut panels = Vec::new();
    for Group { common, members } in results.along(None) {
        let runs = members.iter().flat_map(|member| member.runs.iter().copied());
        let film = |run: &Measured<'_>| Some((run.run.seed, last_film(&run.directory)?));
        if let Some((seed, film)) = runs.into_iter().find_map(film).filter(|_| panels.len() < MOST)
        {
            panels.push(panel(&film, folder, &common, seed)?);
        }
    }
    let body = format!(
        "<p class=\"note\">The last evaluation's, of the first seed that has one.</p><div class=\"panels\">{}</div>",
        panels.concat()
    );
    Ok((!panels.is_empty()).then(|| Section { title: "Videos".to_owned(), body }))
}

fn panel(film: &Path, folder: &Path, common: &Common, seed: u64) -> Outcome<String> {
    let failed = |error| Failure::while_doing(format!("cannot read {}", film.display()), error);
    let bytes = fs::read(film).map_err(failed)?;
    let name = file_name("~~video", common);
    write_whole(&folder.join(format!("{name}.gif")), &bytes)?;
    let caption = [&common.labels[..], &[format!("seed {seed}")]].concat().join(", ");
    Ok(embedded::panel(&bytes, "gif", &caption, ""))
}

fn last_film(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join("media")).into_iter().flatten().flatten();
    let frames = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_prefix("eval-")?.strip_suffix(".gif")?.parse().ok()
    };
    let films = entries.map(|entry| entry.path()).filter_map(|path| Some((frames(&path)?, path)));
    let (_, film) = films.max()?;
    let length = fs::metadata(&film).ok()?.len();
    (length <= LARGEST).then_some(film)
}
