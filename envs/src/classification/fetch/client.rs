//! Other programs that download and unpack, run aside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::Contents;

/// A folder of our own that goes when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(parent: &Path, what: &str) -> Result<Self, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{what}-{}-{number}", process::id()));
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs a program to its end; the error is its own last line.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
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

/// Leaves what `url` is in `file`; gives up where nothing comes for a minute.
pub(super) fn curl(url: &str, file: &Path) -> Result<(), String> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--connect-timeout", "20"]);
    curl.args(["--speed-time", "60", "--speed-limit", "1000"]);
    run(curl.arg("--output").arg(file).arg(url))
}

/// Leaves an npm package's archive in a folder.
pub(super) fn npm_pack(package: &str, folder: &Path) -> Result<(), String> {
    let mut npm = Command::new("npm");
    run(npm.args(["pack", package, "--silent", "--pack-destination"]).arg(folder))
}

/// Unpacks a `.tar.gz` into a folder.
pub(super) fn untar(archive: &Path, folder: &Path) -> Result<(), String> {
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder))
}

/// Downloads `name` unless an earlier fetch did, and reads it; what cannot be read is not kept.
/// `download` leaves the file under this name in the folder it is given.
pub(super) fn with_download(
    downloads: &Path,
    name: &str,
    download: impl FnOnce(&Path) -> Result<(), String>,
    read: impl FnOnce(&Path) -> Result<Contents, String>,
) -> Result<Contents, String> {
    let file = downloads.join(name);
    if !file.is_file() {
        let aside = Scratch::new(downloads, "partial")?;
        download(aside.path())?;
        fs::rename(aside.path().join(name), &file)
            .map_err(|error| format!("no {name} was downloaded ({error})"))?;
    }
    read(&file).inspect_err(|_| drop(fs::remove_file(&file)))
}
