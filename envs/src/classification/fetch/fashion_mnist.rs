//! Where Fashion-MNIST comes from.

use std::{fs, path::Path, process::Command};

use super::{
    Contents, Source, checked,
    client::{Scratch, curl, run, with_download},
    folder,
};
use crate::classification::files::FASHION_MNIST;

/// Debian's and Ubuntu's package of the gzipped files.
const DEBIAN_PACKAGE: &str = "dataset-fashion-mnist";
/// The name under which it is kept; apt's has the version in it.
const DEBIAN_ARCHIVE: &str = "dataset-fashion-mnist.deb";
/// Where it puts them.
const DEBIAN_FOLDER: &str = "usr/share/datasets/fashion-mnist";
/// The authors' place.
const OFFICIAL: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";

/// Debian, then the authors.
pub(super) fn sources() -> Vec<Source> {
    vec![
        Source::new(format!("Debian ({DEBIAN_PACKAGE})"), from_debian),
        Source::new(OFFICIAL, from_authors),
    ]
}

fn from_debian(downloads: &Path) -> Result<Contents, String> {
    with_download(downloads, DEBIAN_ARCHIVE, download_package, |archive| {
        let unpacked = Scratch::new(downloads, "unpacked")?;
        run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(unpacked.path()))?;
        let files = folder::contents(&unpacked.path().join(DEBIAN_FOLDER), &FASHION_MNIST)?;
        checked(&FASHION_MNIST, files)
    })
}

/// By the machine's own package lists; where it has none, by lists fetched aside, which needs no
/// rights and leaves the machine's as they are.
fn download_package(aside: &Path) -> Result<(), String> {
    if run(apt_get(aside).args(["download", DEBIAN_PACKAGE])).is_err() {
        let state = Scratch::new(aside, "apt")?;
        run(apt_get_with_lists(aside, state.path())?.arg("update"))?;
        run(apt_get_with_lists(aside, state.path())?.args(["download", DEBIAN_PACKAGE]))?;
    }
    let missing = |error| format!("apt-get left no {DEBIAN_PACKAGE} ({error})");
    let entries = fs::read_dir(aside).map_err(missing)?;
    let package = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let package = package.ok_or_else(|| format!("apt-get left no {DEBIAN_PACKAGE}"))?;
    fs::rename(package, aside.join(DEBIAN_ARCHIVE)).map_err(missing)
}

fn apt_get(folder: &Path) -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet").current_dir(folder);
    apt
}

/// apt wants its folders to be there.
fn apt_get_with_lists(folder: &Path, state: &Path) -> Result<Command, String> {
    let mut apt = apt_get(folder);
    for (setting, inner) in [("Dir::State::lists", "partial"), ("Dir::Cache", "archives/partial")] {
        let place = state.join(setting.replace("::", "-"));
        fs::create_dir_all(place.join(inner))
            .map_err(|error| format!("cannot make {}: {error}", place.display()))?;
        apt.arg("-o").arg(format!("{setting}={}", place.display()));
    }
    Ok(apt)
}

fn from_authors(downloads: &Path) -> Result<Contents, String> {
    let aside = Scratch::new(downloads, "official")?;
    for file in FASHION_MNIST.all() {
        let name = format!("{}.gz", file.name);
        curl(&format!("{OFFICIAL}/{name}"), &aside.path().join(&name))?;
    }
    checked(&FASHION_MNIST, folder::contents(aside.path(), &FASHION_MNIST)?)
}
