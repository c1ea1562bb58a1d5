//! Checkpoints: a run's whole state in a folder, written aside, synced and renamed.
//!
//! `checkpoints/<updates>/` holds `tensors.safetensors`, `state.json`, `envs.zst` (the environments'
//! states), in the newest also `replay.zst`, and `manifest.json` with the checksums of these.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use pliant_core::{clock::Clock, state::StateDict};

mod durable;
mod files;
mod manifest;
mod shelf;
#[cfg(test)]
mod tests;
mod writer;

use manifest::Manifest;
use shelf::candidates;
pub use shelf::{list, list_damaged, set_aside};
pub use writer::Writer;

/// Writes a replay into a stream.
pub type WriteReplay<'a> = dyn Fn(&mut dyn Write) -> Result<(), String> + 'a;

/// What a checkpoint is made of.
pub struct Contents<'a> {
    /// How far the run has come.
    pub clock: Clock,
    /// Seconds it has run.
    pub wall_s: f64,
    /// Tensors and values of all parts.
    pub state: StateDict,
    /// One state per environment.
    pub envs: Vec<Vec<u8>>,
    /// Writes the replay; `None` leaves it out.
    pub replay: Option<Box<WriteReplay<'a>>>,
}

/// A checkpoint that was read. The replay is read from its file by whoever wants it.
pub struct Loaded {
    /// Where it lies.
    pub path: PathBuf,
    /// How far the run had come.
    pub clock: Clock,
    /// Seconds it had run.
    pub wall_s: f64,
    /// Tensors and values of all parts.
    pub state: StateDict,
    /// One state per environment.
    pub envs: Vec<Vec<u8>>,
}

impl Loaded {
    /// False where a newer checkpoint has the replay, or none was wanted.
    pub fn has_replay(&self) -> bool {
        Manifest::read(&self.path).is_ok_and(|manifest| manifest.has(files::REPLAY))
    }
}

/// The newest checkpoint that is whole.
pub struct Newest {
    /// `None` if the run has written none.
    pub loaded: Option<Loaded>,
    /// Newer ones that cannot be read, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Reads the newest whole checkpoint in `folder`. An error if there are checkpoints and none is whole, or if one that
/// would be taken was written by another version: it is whole for that.
pub fn read_newest(folder: &Path) -> Result<Newest, String> {
    let mut damaged = Vec::new();
    for path in candidates(folder) {
        match read(&path) {
            Ok(loaded) => return Ok(Newest { loaded: Some(loaded), damaged }),
            Err(error) if is_of_another_version(&path) => return Err(error),
            Err(error) => damaged.push((path, error)),
        }
    }
    let errors: Vec<&str> = damaged.iter().map(|(_, error)| &**error).collect();
    if errors.is_empty() {
        return Ok(Newest { loaded: None, damaged });
    }
    Err(format!(
        "{}; no checkpoint is whole: put one back from a copy, or train anew from the run's config.toml",
        errors.join("; ")
    ))
}

/// Reads one checkpoint, after holding all its files against their checksums.
pub fn read(path: &Path) -> Result<Loaded, String> {
    let checked = Manifest::read(path).and_then(|manifest| manifest.check(path));
    let read = checked.and_then(|()| files::read(path));
    read.map_err(|error| format!("checkpoint {}: {error}", path.display()))
}

/// True of a checkpoint that another version of this program can read.
pub fn is_of_another_version(path: &Path) -> bool {
    Manifest::other_version(path).is_some()
}

/// A reader of a checkpoint's replay; `None` if it has none.
pub fn replay(path: &Path) -> Result<Option<Box<dyn Read>>, String> {
    let has_replay = Manifest::read(path)?.has(files::REPLAY);
    has_replay.then(|| files::replay(path)).transpose()
}
