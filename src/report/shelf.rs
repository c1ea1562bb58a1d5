//! The folder of a report. What a new report brings takes the place of what the last one brought, all of it at the end;
//! what others put there stays.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::{
    disk,
    failure::{Failure, Outcome},
    run_dir::{LOCK, lock, write_whole},
};

/// Where a report is written before it takes the place of the last one.
const ASIDE: &str = ".new";

/// What the last report brought, a path on each line.
const FILES: &str = ".files";

/// True if a folder has something in it that is neither a report's nor ours.
pub fn is_foreign(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_begun = [ASIDE, FILES].iter().any(|name| folder.join(name).exists());
    !is_begun && entries.any(|entry| entry.file_name() != LOCK)
}

/// Has a report written, in the place of the one that is there. One that cannot be written leaves that as it is. `old`: what
/// one of a version that wrote no list may have left.
pub fn replace(folder: &Path, old: &Path, write: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let failed = |error: io::Error| {
        Failure::Run(format!("cannot write report {}: {error}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let _lock = lock(folder, "report folder", "writing it")?;
    let aside = folder.join(ASIDE);
    let clear = |path: &Path| match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    };
    clear(&aside)?;
    fs::create_dir(&aside).map_err(failed)?;
    if let Err(failure) = write(&aside) {
        let _ = clear(&aside);
        return Err(failure);
    }
    let brought = disk::files(&aside).map_err(failed)?;
    let last = fs::read_to_string(folder.join(FILES));
    if last.is_err() {
        clear(&folder.join(old))?;
    }
    let last: Vec<PathBuf> = last.unwrap_or_default().lines().map(PathBuf::from).collect();
    // Until the end both are there: whoever is cut off between has them on the list.
    list(folder, last.iter().chain(&brought))?;
    brought.iter().try_for_each(|path| disk::move_into(&aside, folder, path)).map_err(failed)?;
    let is_gone = |path: &&PathBuf| is_below(path) && !brought.contains(path);
    last.iter().filter(is_gone).for_each(|path| remove(folder, path));
    list(folder, brought.iter())?;
    clear(&aside)
}

fn list<'a>(folder: &Path, paths: impl Iterator<Item = &'a PathBuf>) -> Outcome {
    let text: String = paths.map(|path| format!("{}\n", path.display())).collect();
    write_whole(&folder.join(FILES), text.as_bytes())
}

fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Removes a file, and folders that are empty without it.
fn remove(folder: &Path, path: &Path) {
    if fs::remove_file(folder.join(path)).is_ok() {
        let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        for parent in parents {
            if fs::remove_dir(folder.join(parent)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(names: &'static [&'static str], text: &'static str) -> impl FnOnce(&Path) -> Outcome {
        move |folder| {
            for name in names {
                let path = folder.join(name);
                fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
                fs::write(path, text).expect("writable");
            }
            Ok(())
        }
    }

    #[test]
    fn a_report_takes_the_place_of_the_last_one_and_of_nothing_else() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let folder = parent.path().join("report");
        replace(&folder, Path::new("x"), write(&["a.csv", "b.svg", "x/y/z"], "1"))
            .expect("written");
        fs::write(folder.join("mine"), "m").expect("writable");
        fs::write(folder.join("x/mine"), "m").expect("writable");
        fs::write(parent.path().join("beside"), "m").expect("writable");
        replace(&folder, Path::new("x"), write(&["a.csv", "c.svg"], "2")).expect("written");
        let there: Vec<_> = disk::files(&folder).expect("readable");
        let names = [".files", ".lock", "a.csv", "c.svg", "mine", "x/mine"];
        assert_eq!(there, names.map(PathBuf::from));
        assert_eq!(fs::read_to_string(folder.join("a.csv")).expect("there"), "2");
        assert!(!folder.join("x/y").exists());
        // Not out of the folder, whatever the list says.
        fs::write(folder.join(FILES), "../beside\n/etc/no\nmine/../../beside\n").expect("writable");
        replace(&folder, Path::new("x"), write(&["a.csv"], "3")).expect("written");
        assert!(parent.path().join("beside").exists());
    }

    /// One that was cut off while it took the place of the last, and one of a version that kept no list.
    #[test]
    fn what_others_left_behind_goes_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("x")).expect("writable");
        fs::write(at("x/events.1"), "0").expect("writable");
        fs::write(at("index.html"), "0").expect("writable");
        replace(folder.path(), Path::new("x"), write(&["index.html", "x/events.2"], "1"))
            .expect("written");
        assert!(!at("x/events.1").exists() && at("x/events.2").exists());
        list(folder.path(), ["index.html", "x/events.2", "x/events.3"].map(PathBuf::from).iter())
            .expect("written");
        fs::write(at("x/events.3"), "cut off").expect("writable");
        assert!(!is_foreign(folder.path()));
        replace(folder.path(), Path::new("x"), write(&["index.html", "x/events.4"], "1"))
            .expect("written");
        let names = [".files", ".lock", "index.html", "x/events.4"].map(PathBuf::from);
        assert_eq!(disk::files(folder.path()).expect("readable"), names);
    }

    #[test]
    fn one_report_is_written_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let second = |_: &Path| replace(folder.path(), Path::new("x"), write(&["a"], "2"));
        let error = replace(folder.path(), Path::new("x"), second).expect_err("held").to_string();
        assert!(error.contains("is writing it"), "{error}");
    }

    #[test]
    fn a_report_that_cannot_be_written_leaves_the_last_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        replace(folder.path(), Path::new("x"), write(&["a.csv"], "1")).expect("written");
        let fails = |aside: &Path| {
            fs::write(aside.join("a.csv"), "2").expect("writable");
            Err(Failure::Run("no".to_owned()))
        };
        assert!(replace(folder.path(), Path::new("x"), fails).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("a.csv")).expect("there"), "1");
        let names = [".files", ".lock", "a.csv"].map(PathBuf::from);
        assert_eq!(disk::files(folder.path()).expect("readable"), names);
    }
}
