//! Room on a file system, and what lies there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Bytes that this user may still write where a file or folder lies.
pub fn free(path: &Path) -> Result<u64, String> {
    let failed = |error| format!("{}: its free space is not to be had ({error})", path.display());
    let found = rustix::fs::statvfs(path).map_err(failed)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that a file takes, or a folder with all it holds; what cannot be read counts nothing.
pub fn used(path: &Path) -> u64 {
    let Ok(found) = fs::symlink_metadata(path) else { return 0 };
    if !found.is_dir() {
        return found.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| used(&entry.path())).sum()
}

/// All files below a folder, by their paths from there.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
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

/// Moves a file from one folder to another of the same file system, under the same path, in the place of one that is there.
pub fn move_into(from: &Path, to: &Path, path: &Path) -> io::Result<()> {
    let place = to.join(path);
    fs::create_dir_all(place.parent().unwrap_or(to))?;
    fs::rename(from.join(path), place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_what_its_files_take() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("inside")).expect("writable");
        fs::write(folder.path().join("a"), [0; 5]).expect("writable");
        fs::write(folder.path().join("inside/b"), [0; 7]).expect("writable");
        assert_eq!(used(folder.path()), 12);
        assert_eq!(used(&folder.path().join("none")), 0);
    }

    #[test]
    fn free_space_is_told_of_places_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(free(folder.path()).is_ok());
        let error = free(&folder.path().join("none")).expect_err("no such place");
        assert!(error.contains("none"), "{error}");
    }
}
