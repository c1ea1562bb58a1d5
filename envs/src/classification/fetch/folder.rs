//! Data sets out of a given folder.

use std::{fs, path::Path};

use super::{Contents, Source};
use crate::classification::{files::DataFiles, idx::unzipped};

/// The folder as a source.
pub(super) fn source(folder: &Path, files: &'static DataFiles) -> Source {
    let name = format!("the folder {}", folder.display());
    let folder = folder.to_owned();
    Source::new(name, move |_| contents(&folder, files))
}

/// The files that lie in a folder, raw or gzipped.
pub(super) fn contents(folder: &Path, files: &DataFiles) -> Result<Contents, String> {
    files.all().map(|file| one(folder, file.name)).collect()
}

/// A file as it is, gzipped, or with the dot that some mirrors have in its name.
fn one(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    let path = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let path =
        path.ok_or_else(|| format!("{} holds neither {name} nor {name}.gz", folder.display()))?;
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    unzipped(&bytes).map_err(|reason| format!("{name} {reason}"))
}
