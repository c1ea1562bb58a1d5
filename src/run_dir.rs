//! The run directory: what a run leaves behind, and where.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pliant_core::{clock::Clock, registry::Library};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    failure::{Failure, Outcome},
};

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Under way, or ended without being able to say so.
    #[default]
    Running,
    /// The budget is used up.
    Finished,
    /// Stopped in order by a signal; `pliant resume` continues.
    Stopped,
    /// Ended by an error.
    Failed,
}

/// `status.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Where the run stands.
    pub state: State,
    /// How far it came.
    pub clock: Clock,
    /// How far it is to go.
    pub budget_frames: u64,
    /// Seconds it has run, over all its sessions.
    pub wall_s: f64,
    /// When this was written, in seconds since 1970.
    pub updated_unix_s: u64,
    /// The error, if it failed.
    pub error: Option<String>,
}

/// `provenance.json`: what the numbers depend on beside the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// pliant's version.
    pub version: String,
    /// pliant's commit, if it was built in a checkout.
    pub commit: String,
    /// libtorch's version.
    pub libtorch: String,
    /// The device computed on.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
    /// The root seed.
    pub seed: u64,
    /// Checksums of ROMs and data, by what they are.
    pub inputs: Vec<(String, String)>,
    /// The shared libraries that plug-ins were loaded from.
    #[serde(default)]
    pub plugins: Vec<Library>,
    /// The sessions before this one, oldest first, if the run was resumed.
    #[serde(default)]
    pub earlier: Vec<Provenance>,
}

/// The file that whoever works on a folder holds.
pub const LOCK: &str = ".lock";

/// Holds a folder for as long as it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] fs::File);

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes the folder of a new run, and holds it. One that exists is used only if it is empty.
    pub fn create(path: &Path, config: &Config, provenance: &Provenance) -> Outcome<(Self, Lock)> {
        let refuse =
            |reason: String| Failure::Input(format!("run directory {}: {reason}", path.display()));
        let not_empty = "exists and is not empty; choose another with --out, or continue it with `pliant resume`";
        if !is_empty(path) {
            return Err(refuse(not_empty.to_owned()));
        }
        fs::create_dir_all(path).map_err(|error| refuse(format!("cannot be made: {error}")))?;
        let directory = Self(path.to_owned());
        let lock = directory.lock()?;
        if !is_empty(path) {
            return Err(refuse(not_empty.to_owned())); // another process was quicker
        }
        let input = |failure: Failure| Failure::Input(failure.to_string());
        directory.write("config.toml", config.to_toml().as_bytes()).map_err(input)?;
        directory.write("provenance.json", to_json(provenance).as_bytes()).map_err(input)?;
        Ok((directory, lock))
    }

    /// The folder of a run that exists.
    pub fn open(path: &Path) -> Outcome<Self> {
        if path.join("config.toml").is_file() {
            return Ok(Self(path.to_owned()));
        }
        let what = match fs::metadata(path) {
            Ok(found) if found.is_dir() => "has no config.toml",
            Ok(_) => "is a file",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist",
            Err(_) => "cannot be looked into",
        };
        Err(Failure::Input(format!(
            "run directory {}: {what}; expected a folder that `pliant train` made",
            path.display()
        )))
    }

    /// The last session's, if it can be read.
    pub fn provenance(&self) -> Option<Provenance> {
        let text = fs::read_to_string(self.0.join("provenance.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Makes `provenance` the present session's, and keeps those of the sessions before it. One that
    /// cannot be read is left out: it is a record, nothing depends on it.
    pub fn add_provenance(&self, mut provenance: Provenance) -> Outcome {
        if let Some(mut last) = self.provenance() {
            provenance.earlier = std::mem::take(&mut last.earlier);
            provenance.earlier.push(last);
        }
        self.write("provenance.json", to_json(&provenance).as_bytes())
    }

    /// Holds the run for this process; another that trains or resumes it is refused.
    pub fn lock(&self) -> Outcome<Lock> {
        lock(&self.0, "run directory", "training it")
    }

    /// True if a process trains it at this moment.
    pub fn is_held(&self) -> bool {
        let held =
            |file: fs::File| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock));
        fs::File::open(self.0.join(LOCK)).is_ok_and(held)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where checkpoints lie.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// Where updates that went wrong are kept.
    pub fn failures(&self) -> PathBuf {
        self.0.join("failures")
    }

    /// What `status.json` says, if it can be read.
    pub fn status(&self) -> Option<Status> {
        let text = fs::read_to_string(self.0.join("status.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes `status.json`.
    pub fn write_status(&self, status: &Status) -> Outcome {
        self.write("status.json", to_json(status).as_bytes())
    }

    /// Writes a film or picture into `media/`.
    pub fn write_media(&self, name: &str, bytes: &[u8]) -> Outcome {
        let media = self.0.join("media");
        fs::create_dir_all(&media).map_err(|error| {
            Failure::while_doing(format!("cannot make {}", media.display()), error)
        })?;
        Self(media).write(name, bytes)
    }

    /// Keeps a settings file of the run under another name, `NAME.toml`, or `NAME-2.toml`, .. where that is another's.
    pub fn keep(&self, file: &Path, name: &str) -> Outcome {
        let failed = |error| Failure::while_doing(format!("cannot keep {}", file.display()), error);
        let text = fs::read(file).map_err(failed)?;
        let numbered = (2..).map(|number| format!("{name}-{number}.toml"));
        for name in std::iter::once(format!("{name}.toml")).chain(numbered) {
            match fs::read(self.0.join(&name)) {
                Ok(there) if there == text => break,
                Ok(_) => {}
                Err(_) => return self.write(&name, &text),
            }
        }
        Ok(())
    }

    /// Writes a file of the run, all of it or nothing.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Outcome {
        write_whole(&self.0.join(name), bytes)
    }
}

/// Writes a file aside and renames it, so that a reader never sees half of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Outcome {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.new"));
    let written = fs::File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&aside);
        Failure::while_doing(format!("cannot write {}", path.display()), error)
    })
}

/// Holds a folder for this process, by its `.lock`; another is refused, with `what` the folder is and what the first is
/// `doing`. The system lets go when the process ends, however it does, so a lock is never stale.
pub fn lock(folder: &Path, what: &str, doing: &str) -> Outcome<Lock> {
    let path = folder.join(LOCK);
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options
        .open(&path)
        .map_err(|error| Failure::Input(format!("cannot open {}: {error}", path.display())))?;
    match patiently(|| file.try_lock()) {
        Ok(()) => {
            let host = gethostname::gethostname();
            let holder = format!("process {} on {}", std::process::id(), host.display());
            let _for_the_refused = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
        }
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unknown = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() { "another process" } else { &holder };
            let folder = folder.display();
            return Err(Failure::Input(format!("{what} {folder}: {holder} is {doing}")));
        }
        Err(fs::TryLockError::Error(error)) => tell!(
            "warning: {} cannot be locked ({error}): make sure that no other process is {doing}",
            folder.display()
        ),
    }
    Ok(Lock(file))
}

/// Whoever only asks whether a folder is held ([`RunDirectory::is_held`]) holds it for that moment.
fn patiently(lock: impl Fn() -> Result<(), fs::TryLockError>) -> Result<(), fs::TryLockError> {
    for _ in 0..20 {
        match lock() {
            Err(fs::TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    lock()
}

/// True for a folder that holds at most what a run leaves that was killed before it began: a lock, half a file.
fn is_empty(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().all(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name == LOCK || name.starts_with('.') && name.ends_with(".new")
    })
}

/// `runs/<name>-<seconds since 1970>` under the current folder, with `-2`, `-3`, .. if another run began in the
/// same second; made here, so that none of them can take it too.
pub fn claim_default(name: &str) -> PathBuf {
    let name = format!("{name}-{}", unix_seconds());
    let first = PathBuf::from("runs").join(&name);
    if fs::create_dir_all("runs").is_err() {
        return first; // whoever makes it will say why it cannot be made
    }
    let others = (2..).map(|number| PathBuf::from("runs").join(format!("{name}-{number}")));
    let is_taken = |path: &PathBuf| {
        fs::create_dir(path).is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
    };
    std::iter::once(first.clone()).chain(others).find(|path| !is_taken(path)).unwrap_or(first)
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain data") + "\n"
}
