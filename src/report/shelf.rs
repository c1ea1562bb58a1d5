//! The folder of a report. What a new report brings takes the place of what the last one brought, all of it at the end;
//! what others put there stays.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
};

/// Where a report is written before it takes the place of the last one.
const ASIDE: &str = ".new";

/// What the last report brought, a path on each line.
const FILES: &str = ".files";

/// True of a report that was not finished.
pub fn is_aside(entry: &fs::DirEntry) -> bool {
    entry.file_name() == ASIDE
}

/// Has a report written, in the place of the one that is there. One that cannot be written leaves that as it is.
pub fn replace(folder: &Path, write: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let failed = |error: io::Error| {
        Failure::Run(format!("cannot write report {}: {error}", folder.display()))
    };
    let aside = folder.join(ASIDE);
    let clear = || match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    };
    clear()?;
    fs::create_dir_all(&aside).map_err(failed)?;
    if let Err(failure) = write(&aside) {
        let _ = clear();
        return Err(failure);
    }
    let brought = files(&aside).map_err(failed)?;
    let last = fs::read_to_string(folder.join(FILES)).unwrap_or_default();
    let gone = last
        .lines()
        .map(Path::new)
        .filter(|path| is_below(path) && !brought.iter().any(|it| it == path));
    gone.for_each(|path| remove(folder, path));
    brought.iter().try_for_each(|path| shelve(&aside, folder, path)).map_err(failed)?;
    let list: Vec<String> = brought.iter().map(|path| path.display().to_string()).collect();
    write_whole(&folder.join(FILES), (list.join("\n") + "\n").as_bytes())?;
    clear()
}

/// All files below a folder, by their paths from there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
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

fn shelve(aside: &Path, folder: &Path, path: &Path) -> io::Result<()> {
    let place = folder.join(path);
    fs::create_dir_all(place.parent().unwrap_or(folder))?;
    fs::rename(aside.join(path), place)
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
        replace(&folder, write(&["a.csv", "b.svg", "x/y/z"], "1")).expect("written");
        fs::write(folder.join("mine"), "m").expect("writable");
        fs::write(folder.join("x/mine"), "m").expect("writable");
        fs::write(parent.path().join("beside"), "m").expect("writable");
        replace(&folder, write(&["a.csv", "c.svg"], "2")).expect("written");
        let there: Vec<_> = files(&folder).expect("readable");
        let names = [".files", "a.csv", "c.svg", "mine", "x/mine"];
        assert_eq!(there, names.map(PathBuf::from));
        assert_eq!(fs::read_to_string(folder.join("a.csv")).expect("there"), "2");
        assert!(!folder.join("x/y").exists());
        // Not out of the folder, whatever the list says.
        fs::write(folder.join(FILES), "../beside\n/etc/no\nmine/../../beside\n").expect("writable");
        replace(&folder, write(&["a.csv"], "3")).expect("written");
        assert!(parent.path().join("beside").exists());
    }

    #[test]
    fn a_report_that_cannot_be_written_leaves_the_last_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        replace(folder.path(), write(&["a.csv"], "1")).expect("written");
        let fails = |aside: &Path| {
            fs::write(aside.join("a.csv"), "2").expect("writable");
            Err(Failure::Run("no".to_owned()))
        };
        assert!(replace(folder.path(), fails).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("a.csv")).expect("there"), "1");
        assert_eq!(files(folder.path()).expect("readable"), [".files", "a.csv"].map(PathBuf::from));
    }
}
