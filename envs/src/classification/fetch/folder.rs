//! Data sets out of a given folder.

use std::{fs, path::Path};

use super::{Contents, Source};
use crate::classification::{
    files::{DataFiles, bytes_of},
    idx::unzipped,
};

/// The folder as a source.
pub(super) fn source(folder: &Path, files: &'static DataFiles) -> Source {
    let name = format!("the folder {}", folder.display());
    let folder = folder.to_owned();
    Source::new(name, move |_| contents(&folder, files))
}

/// The files that lie in a folder, raw or gzipped.
pub(super) fn contents(folder: &Path, files: &DataFiles) -> Result<Contents, String> {
    check(folder)?;
    files.all().map(|file| one(folder, file.name)).collect()
}

/// A file as it is, gzipped, or with the dot that some mirrors have in its name.
fn one(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    for path in names.iter().map(|name| folder.join(name)) {
        if is_there(&path)? {
            let bytes = bytes_of(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            return unzipped(&bytes).map_err(|reason| format!("{name} {reason}"));
        }
    }
    Err(format!("{} holds neither {name} nor {name}.gz", folder.display()))
}

/// Refuses what is no folder.
pub(super) fn check(folder: &Path) -> Result<(), String> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a folder", folder.display())),
        Err(error) => Err(format!("{} cannot be read: {error}", folder.display())),
    }
}

/// Whether there is something of this name; not being able to tell is an error.
pub(super) fn is_there(path: &Path) -> Result<bool, String> {
    path.try_exists().map_err(|error| format!("{}: {error}", path.display()))
}
