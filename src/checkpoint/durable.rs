//! What a run wrote beside its checkpoints: a checkpoint counts its rows, so they have to lie on the disk before it does.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// What the files of a folder looked like when they were synced last.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<Mutex<HashMap<PathBuf, Looks>>>);

/// When a file was changed, and its length.
type Looks = (SystemTime, u64);

impl Durable {
    /// Syncs all files below `folder`, and the folders themselves, that have changed since; not what lies in `except`.
    /// An error names the file.
    pub fn sync(&self, folder: &Path, except: &Path) -> Result<(), String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut folders = vec![folder.to_owned()];
        while let Some(below) = folders.pop() {
            let named = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
            for entry in fs::read_dir(&below).map_err(|error| named(&below, error))? {
                let path = entry.map_err(|error| named(&below, error))?.path();
                if path.is_dir() {
                    if path != except {
                        folders.push(path);
                    }
                } else {
                    sync(&path, &mut known).map_err(|error| named(&path, error))?;
                }
            }
            sync(&below, &mut known).map_err(|error| named(&below, error))?;
        }
        Ok(())
    }
}

/// A file that goes meanwhile needs none.
fn sync(path: &Path, known: &mut HashMap<PathBuf, Looks>) -> io::Result<()> {
    match sync_if_changed(path, known) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

fn sync_if_changed(path: &Path, known: &mut HashMap<PathBuf, Looks>) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let looks = (found.modified()?, found.len());
    if known.get(path) != Some(&looks) {
        File::open(path)?.sync_all()?;
        known.insert(path.to_owned(), looks);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_synced_and_what_is_left_out_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["figures/a", "checkpoints/7"] {
            fs::create_dir_all(at(path)).expect("writable");
        }
        for path in ["metrics.csv", "figures/a/1.csv", "checkpoints/7/replay"] {
            fs::write(at(path), "1").expect("writable");
        }
        let durable = Durable::default();
        let sync = || {
            durable.sync(folder.path(), &at("checkpoints")).expect("synced");
            durable.0.lock().expect("no panic").clone()
        };
        let first = sync();
        let mut paths: Vec<_> = first.keys().cloned().collect();
        paths.sort();
        let expected = ["figures", "figures/a", "figures/a/1.csv", "metrics.csv"].map(at);
        assert_eq!(paths, [&[folder.path().to_owned()], &expected[..]].concat());
        fs::write(at("metrics.csv"), "12").expect("writable");
        let second = sync();
        assert_ne!(first[&at("metrics.csv")], second[&at("metrics.csv")]);
        assert_eq!(first[&at("figures/a/1.csv")], second[&at("figures/a/1.csv")]);
    }

    #[test]
    fn a_folder_that_has_gone_is_an_error_that_names_it() {
        let error = Durable::default().sync(Path::new("/no/run"), Path::new("x"));
        assert!(error.is_err_and(|error| error.starts_with("/no/run: ")));
    }
}
