//! Checkpoints: a run's whole state in a folder, written aside, synced and renamed.
//!
//! `checkpoints/<updates>/` holds `tensors.safetensors`, `state.json`, `envs.zst` (the environments'
//! states) and, in the newest, `replay.zst`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use pliant_core::{clock::Clock, state::StateDict, tch::Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tensors;

/// Version of the layout that this program writes.
const VERSION: u32 = 1;

/// zstd's level: frames compress some twenty-fold even at the fastest.
const LEVEL: i32 = 1;

/// What stands in `state.json`.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    clock: Clock,
    wall_s: f64,
    values: BTreeMap<String, Value>,
}

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

/// Writes a checkpoint into `folder`, then removes all but the newest `keep`, and the replay of all
/// but the newest.
pub fn write(folder: &Path, contents: &Contents<'_>, keep: usize) -> Result<PathBuf, String> {
    let name = contents.clock.updates.to_string();
    let (aside, path) = (folder.join(format!(".{name}.new")), folder.join(&name));
    let old = folder.join(format!(".{name}.old"));
    let written = fs::create_dir_all(folder)
        .and_then(|()| remove_if_there(&aside))
        .and_then(|()| fs::create_dir(&aside))
        .map_err(text)
        .and_then(|()| write_files(&aside, contents))
        .and_then(|()| {
            set_aside(&path, &old).and_then(|()| fs::rename(&aside, &path)).map_err(text)
        });
    if let Err(error) = written {
        let _ = remove_if_there(&aside); // gives a full disk its space back
        return Err(format!("cannot write checkpoint {}: {error}", path.display()));
    }
    sync_folder(folder);
    remove_leftovers(folder);
    prune(folder, keep.max(1));
    Ok(path)
}

/// Checkpoint folders, newest first.
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbered = |path: PathBuf| Some((path.file_name()?.to_str()?.parse::<u64>().ok()?, path));
    let mut found: Vec<(u64, PathBuf)> =
        entries.filter_map(|entry| numbered(entry.path())).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Reads the newest checkpoint in `folder`.
pub fn read_newest(folder: &Path) -> Result<Loaded, String> {
    let newest = list(folder).into_iter().next();
    let path = newest.ok_or_else(|| format!("there is no checkpoint in {}", folder.display()))?;
    read(&path)
}

/// Reads one checkpoint.
pub fn read(path: &Path) -> Result<Loaded, String> {
    read_files(path).map_err(|error| format!("checkpoint {}: {error}", path.display()))
}

fn read_files(path: &Path) -> Result<Loaded, String> {
    let text = fs::read_to_string(path.join("state.json")).map_err(named("state.json"))?;
    let header: Header = serde_json::from_str(&text).map_err(named("state.json"))?;
    if header.version != VERSION {
        return Err(format!(
            "its layout has version {}, this program reads version {VERSION}",
            header.version
        ));
    }
    let tensors =
        tensors::read(&path.join("tensors.safetensors")).map_err(named("tensors.safetensors"))?;
    Ok(Loaded {
        path: path.to_owned(),
        clock: header.clock,
        wall_s: header.wall_s,
        state: StateDict::from_parts(tensors.into_iter().collect(), header.values),
        envs: read_envs(&path.join("envs.zst")).map_err(named("envs.zst"))?,
    })
}

/// A reader of a checkpoint's replay; `None` if it has none.
pub fn replay(path: &Path) -> Result<Option<Box<dyn Read>>, String> {
    let path = path.join("replay.zst");
    if !path.exists() {
        return Ok(None);
    }
    let reader = File::open(&path).and_then(zstd::Decoder::new);
    Ok(Some(Box::new(BufReader::new(reader.map_err(named("replay.zst"))?))))
}

fn write_files(folder: &Path, contents: &Contents<'_>) -> Result<(), String> {
    let tensors: Vec<(&String, &Tensor)> = contents.state.tensors().iter().collect();
    let path = folder.join("tensors.safetensors");
    Tensor::write_safetensors(&tensors, &path).map_err(named("tensors.safetensors"))?;
    File::open(&path).and_then(|file| file.sync_all()).map_err(named("tensors.safetensors"))?;
    write_compressed(&folder.join("envs.zst"), |out| {
        for state in &contents.envs {
            out.write_all(&(state.len() as u64).to_le_bytes()).map_err(text)?;
            out.write_all(state).map_err(text)?;
        }
        Ok(())
    })
    .map_err(named("envs.zst"))?;
    if let Some(replay) = &contents.replay {
        write_compressed(&folder.join("replay.zst"), replay).map_err(named("replay.zst"))?;
    }
    let header = Header {
        version: VERSION,
        clock: contents.clock,
        wall_s: contents.wall_s,
        values: contents.state.values().clone(),
    };
    let json = serde_json::to_vec(&header).map_err(text)?;
    let file = File::create(folder.join("state.json"));
    file.and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_all()))
        .map_err(named("state.json"))
}

fn write_compressed(
    path: &Path,
    fill: impl Fn(&mut dyn Write) -> Result<(), String>,
) -> Result<(), String> {
    let mut encoder = zstd::Encoder::new(File::create(path).map_err(text)?, LEVEL).map_err(text)?;
    encoder.include_checksum(true).map_err(text)?;
    let mut out = BufWriter::with_capacity(1 << 20, encoder);
    fill(&mut out)?;
    let encoder = out.into_inner().map_err(text)?;
    encoder.finish().and_then(|file| file.sync_all()).map_err(text)
}

/// Environment states are kilobytes; whatever claims to be larger than this is damage.
const MAX_ENV_STATE: u64 = 1 << 30;

fn read_envs(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = BufReader::new(File::open(path).and_then(zstd::Decoder::new).map_err(text)?);
    let mut states = Vec::new();
    loop {
        let mut length = [0; 8];
        match reader.read(&mut length[..1]).map_err(text)? {
            0 => return Ok(states),
            _ => reader.read_exact(&mut length[1..]).map_err(text)?,
        }
        let length = u64::from_le_bytes(length);
        if length > MAX_ENV_STATE {
            return Err(format!("an environment state of {length} bytes"));
        }
        let mut state = Vec::new();
        let read = (&mut reader).take(length).read_to_end(&mut state).map_err(text)?;
        if read as u64 != length {
            return Err("it ends too early".to_owned());
        }
        states.push(state);
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    if path.exists() { fs::remove_dir_all(path) } else { Ok(()) }
}

/// Moves an earlier checkpoint of the same name out of the way, so that one of both is always whole.
fn set_aside(path: &Path, old: &Path) -> std::io::Result<()> {
    remove_if_there(old)?;
    if path.exists() { fs::rename(path, old) } else { Ok(()) }
}

/// What writers that were cut off left behind, and checkpoints that were replaced.
fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && (name.ends_with(".new") || name.ends_with(".old")) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes a rename durable; where a folder cannot be synced there is nothing better to do.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// What cannot be removed stays: it costs space, not correctness.
fn prune(folder: &Path, keep: usize) {
    let all = list(folder);
    for older in all.iter().skip(1).take(keep - 1) {
        let _ = fs::remove_file(older.join("replay.zst"));
    }
    for old in all.iter().skip(keep) {
        let _ = fs::remove_dir_all(old);
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn named<E: std::fmt::Display>(file: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{file}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(updates: u64) -> Contents<'static> {
        let mut state = StateDict::default();
        state.put_tensor("w", &Tensor::from_slice(&[1f32, 2.0, updates as f32]));
        state.put("count", &updates);
        Contents {
            clock: Clock { updates, ..Clock::default() },
            wall_s: 1.5,
            state,
            envs: vec![vec![1, 2, 3], Vec::new()],
            replay: Some(Box::new(|out| out.write_all(b"frames").map_err(text))),
        }
    }

    #[test]
    fn what_is_written_is_read_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for updates in [9, 10, 100] {
            write(folder.path(), &contents(updates), 2).expect("a writable folder");
        }
        let names: Vec<_> =
            list(folder.path()).iter().filter_map(|p| Some(p.file_name()?.to_owned())).collect();
        assert_eq!(names, ["100", "10"]);
        let loaded = read_newest(folder.path()).expect("whole");
        assert_eq!(loaded.clock.updates, 100);
        assert_eq!(loaded.envs, [vec![1, 2, 3], Vec::new()]);
        assert_eq!(loaded.state.get::<u64>("count").expect("saved"), 100);
        assert_eq!(loaded.state.tensor("w").expect("saved").double_value(&[2]), 100.0);
        let mut frames = String::new();
        let reader = replay(&loaded.path).expect("readable").expect("there");
        BufReader::new(reader).read_to_string(&mut frames).expect("text");
        assert_eq!(frames, "frames");
        assert!(replay(&folder.path().join("10")).expect("no error").is_none());
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = write(folder.path(), &contents(1), 1).expect("a writable folder");
        let text = fs::read_to_string(path.join("state.json")).expect("just written");
        let text = text.replace("\"version\":1,", "\"version\":7,");
        fs::write(path.join("state.json"), text).expect("writable");
        let error = read_newest(folder.path()).err().expect("a version of the future");
        assert!(error.contains("version 7") && error.contains("version 1"), "{error}");
    }

    #[test]
    fn an_environment_state_shorter_than_it_says_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("envs.zst");
        let claim = |length: u64| {
            write_compressed(&path, |out| {
                out.write_all(&length.to_le_bytes())
                    .and_then(|()| out.write_all(b"abc"))
                    .map_err(text)
            })
            .expect("a writable folder");
            read_envs(&path)
        };
        assert_eq!(claim(3), Ok(vec![b"abc".to_vec()]));
        assert_eq!(claim(4), Err("it ends too early".to_owned()));
        assert!(claim(u64::MAX).expect_err("no such state").contains("bytes"));
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = write(folder.path(), &contents(1), 1).expect("a writable folder");
        for name in ["state.json", "tensors.safetensors", "envs.zst"] {
            let bytes = fs::read(path.join(name)).expect("just written");
            fs::write(path.join(name), &bytes[..bytes.len() / 2]).expect("writable");
            let error = read_newest(folder.path()).err().expect("truncated");
            assert!(error.contains(name), "{error}");
            fs::write(path.join(name), &bytes).expect("writable");
        }
        assert!(read_newest(folder.path()).is_ok());
    }
}
