//! The folder in which a run's checkpoints lie, by their updates.
//!
//! A new one is put there in one step, and until then what it replaces stays; a process that is killed at any
//! point leaves a whole checkpoint, the new one or the old.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{files::REPLAY, manifest::Manifest};

/// Where a checkpoint is written before it is whole.
pub fn aside(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.new"))
}

/// Where the checkpoint that one of the same name replaces is for a moment.
fn replaced(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.old"))
}

/// Makes an empty folder to write a checkpoint in. The run's own folder is not made: one that has gone is an error.
pub fn make_room(folder: &Path, name: &str) -> io::Result<PathBuf> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let aside = aside(folder, name);
    remove_if_there(&aside)?;
    fs::create_dir(&aside)?;
    Ok(aside)
}

/// Puts what was written aside into its place, then tidies up.
pub fn put(folder: &Path, name: &str, keep: usize) -> io::Result<PathBuf> {
    let (path, replaced) = (folder.join(name), replaced(folder, name));
    sync_folder(&aside(folder, name));
    if path.exists() {
        remove_if_there(&replaced)?;
        fs::rename(&path, &replaced)?;
    }
    fs::rename(aside(folder, name), &path)?;
    sync_folder(folder);
    tidy(folder, keep);
    Ok(path)
}

/// Removes what writers that were cut off left behind, all but the newest `keep`, and the replay of all but the newest.
pub fn tidy(folder: &Path, keep: usize) {
    remove_leftovers(folder);
    prune(folder, keep.max(1));
}

/// Checkpoints, newest first. Of one that was replaced the new one counts, unless it was not yet in its place.
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found = candidates(folder);
    found.dedup_by_key(|path| updates(path));
    found
}

/// The same with those that were replaced, each behind what replaced it: a whole one may stand behind a damaged one.
pub fn candidates(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> =
        entries.filter_map(|entry| updates(&entry.path()).zip(Some(entry.path()))).collect();
    let whole =
        |path: &Path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
    found.sort_unstable_by(|(a, a_path), (b, b_path)| {
        b.cmp(a).then_with(|| whole(b_path).cmp(&whole(a_path)))
    });
    found.into_iter().map(|(_, path)| path).collect()
}

/// `150` and `.150.old`, but neither `.150.new` nor `150.damaged`.
fn updates(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_prefix('.').map_or(Some(name), |name| name.strip_suffix(".old"))?;
    name.parse().ok()
}

/// Checkpoints that were taken out of the row.
pub fn list_damaged(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_damaged = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split_once(".damaged").is_some_and(|(updates, _)| updates.parse::<u64>().is_ok())
    };
    let mut found: Vec<PathBuf> = entries.filter(is_damaged).collect();
    found.sort();
    found
}

/// Takes a damaged checkpoint out of the row, so that it neither counts as the newest nor displaces whole ones.
/// Returns where it is now.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches('.').trim_end_matches(".old");
    let numbered = (2..).map(|number| format!("{name}.damaged-{number}"));
    let mut names = std::iter::once(format!("{name}.damaged")).chain(numbered);
    let free = names.find_map(|name| Some(path.with_file_name(name)).filter(|path| !path.exists()));
    let free = free.expect("numbers do not end");
    fs::rename(path, &free)?;
    Ok(free)
}

/// Removes a folder that was being written in: gives a full disk its space back.
pub fn give_up(folder: &Path, name: &str) {
    let _ = remove_if_there(&aside(folder, name));
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    if path.exists() { fs::remove_dir_all(path) } else { Ok(()) }
}

/// What writers that were cut off left behind, and checkpoints that were replaced, unless one is needed.
fn remove_leftovers(folder: &Path) {
    let needed = list(folder);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_leftover = name.starts_with('.')
            && [".new", ".old", ".gone"].iter().any(|end| name.ends_with(end));
        if is_leftover && !needed.contains(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes a rename durable; where a folder cannot be synced there is nothing better to do.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// What cannot be removed stays: it costs space, not correctness.
fn prune(folder: &Path, keep: usize) {
    let all = list(folder);
    for older in all.iter().skip(1).take(keep - 1) {
        let _ = Manifest::remove(older, REPLAY);
    }
    for old in all.iter().skip(keep) {
        // Out of the row first: half of one, left by a process that was killed, would count as damaged.
        let name = old.file_name().unwrap_or_default().to_string_lossy();
        let gone = old.with_file_name(format!(".{}.gone", name.trim_start_matches('.')));
        let _ = fs::rename(old, &gone).and_then(|()| fs::remove_dir_all(&gone));
    }
}
