//! The names of event files: TensorBoard reads a folder's in their order.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use pliant_core::error::Result;

use crate::sinks::at;

/// What the names of event files begin with.
const PREFIX: &str = "events.out.tfevents.";

/// Creates `events.out.tfevents.<unix seconds>.<host>.<pid>.<n><ending>`.
///
/// A new one comes at least a second after those that are there, however the machine's clock was set.
pub fn create(dir: &Path, ending: &str, now_unix_s: u64) -> Result<(File, PathBuf)> {
    let seconds_of = |name: String| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok();
    let newest: u64 = names(dir)?.filter_map(seconds_of).max().unwrap_or(0);
    let seconds = now_unix_s.max(newest.saturating_add(1));
    let host = gethostname::gethostname();
    let host = host.to_string_lossy().replace(['/', '\\'], "-");
    let pid = std::process::id();
    let mut n = 0;
    loop {
        let path = dir.join(format!("{PREFIX}{seconds:010}.{host}.{pid}.{n}{ending}"));
        match File::create_new(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(at(&path)(error).into()),
        }
    }
}

/// The names of a folder's event files.
pub fn names(dir: &Path) -> Result<impl Iterator<Item = String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        names.extend(entry.map_err(at(dir))?.file_name().into_string());
    }
    Ok(names.into_iter().filter(|name| name.starts_with(PREFIX)))
}

/// Takes out of a run's own event files what was written after the first `bytes` of `file`: its rest, and later
/// ones. Without a position none is kept.
pub fn cut(dir: &Path, position: Option<(&str, u64)>) -> Result<()> {
    for name in names(dir)?.filter(|name| is_own(name)) {
        let path = dir.join(&name);
        match position {
            Some((file, _)) if *name < *file => {}
            Some((file, bytes)) if name == file => truncate(&path, bytes).map_err(at(&path))?,
            _ => fs::remove_file(&path).map_err(at(&path))?,
        }
    }
    Ok(())
}

/// True for a run's own, which end in a number; those with further measurements end in their name.
fn is_own(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|end| end.parse::<u64>().is_ok())
}

fn truncate(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > bytes {
        file.set_len(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_comes_after_those_that_are_there() {
        let dir = tempfile::tempdir().expect("a folder");
        // From a machine whose clock is ahead.
        let ahead = dir.path().join("events.out.tfevents.9000000000.zzz.1.0");
        fs::write(&ahead, "").expect("a file");
        let created = || create(dir.path(), "", 1_700_000_000).expect("a file").1;
        let files = [ahead, created(), created()];
        assert!(files.is_sorted_by(|a, b| a < b), "{files:?}");
    }
}
