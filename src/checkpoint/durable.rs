//! What a run wrote beside its checkpoints: a checkpoint counts its rows, so they have to lie on the disk before it does.

use std::{
    collections::HashMap,
    fs::{self, File, FileType},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use rustix::io::Errno;

/// What the files of a folder looked like when they were synced last.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<Mutex<HashMap<PathBuf, Looks>>>);

/// When a file was changed, and its length.
type Looks = (SystemTime, u64);

/// Folders of a run that hold what it measured, beside the tables and event files in its own.
const FOLDERS: [&str; 2] = ["figures", "media"];

impl Durable {
    /// Syncs what a run has measured and has changed since: its tables, event files, figures and films. An error, which
    /// names the file, if the system could not write what it was given; what cannot be opened or synced at all is left.
    pub fn sync(&self, run: &Path) -> Result<(), String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_measured = |name: &str| {
            ["metrics.csv", "metrics.jsonl"].contains(&name)
                || name.starts_with("events.out.tfevents.")
        };
        for (path, kind) in entries(run) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if kind.is_file() && is_measured(&name) {
                sync(&path, &mut known)?;
            }
        }
        let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|name| run.join(name)).collect();
        while let Some(folder) = folders.pop() {
            for (path, kind) in entries(&folder) {
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    sync(&path, &mut known)?;
                }
            }
            sync(&folder, &mut known)?;
        }
        sync(run, &mut known)
    }
}

/// What lies in a folder that can be read, links as links.
fn entries(folder: &Path) -> impl Iterator<Item = (PathBuf, FileType)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.file_type().ok()?)))
}

/// What has gone meanwhile needs none.
fn sync(path: &Path, known: &mut HashMap<PathBuf, Looks>) -> Result<(), String> {
    let looked = fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len())));
    let Ok(looks) = looked else { return Ok(()) };
    if known.get(path) == Some(&looks) {
        return Ok(());
    }
    let synced = File::open(path).and_then(|file| file.sync_all());
    match synced {
        Err(error) if is_loss(&error) => Err(format!("{}: {error}", path.display())),
        Err(_) => Ok(()),
        Ok(()) => {
            known.insert(path.to_owned(), looks);
            Ok(())
        }
    }
}

/// True if what was written did not get to the disk; others say that a file system has no such thing, or a file no
/// such owner.
fn is_loss(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::IO, Errno::NOSPC, Errno::DQUOT].contains(&errno))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    #[test]
    fn what_a_run_measured_and_has_changed_is_synced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["figures/a", "checkpoints/7", "mine"] {
            fs::create_dir_all(at(path)).expect("writable");
        }
        for path in ["metrics.csv", "figures/a/1.csv", "checkpoints/7/replay", "mine/x", ".swp"] {
            fs::write(at(path), "1").expect("writable");
        }
        // Neither followed nor opened: the first would never end, the second never begin.
        symlink(".", at("figures/again")).expect("a link");
        let fifo = Command::new("mkfifo").arg(at("figures/pipe")).status();
        assert!(fifo.expect("a shell's tool").success());
        let durable = Durable::default();
        let sync = || {
            durable.sync(folder.path()).expect("synced");
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
    fn what_is_not_there_or_cannot_be_synced_is_left_and_what_is_lost_is_not() {
        assert_eq!(Durable::default().sync(Path::new("/no/run")), Ok(()));
        let of = |errno: Errno| is_loss(&io::Error::from(errno));
        assert!([Errno::IO, Errno::NOSPC, Errno::DQUOT].into_iter().all(of));
        assert!(![Errno::INVAL, Errno::ACCESS, Errno::STALE, Errno::ROFS].into_iter().any(of));
    }
}
