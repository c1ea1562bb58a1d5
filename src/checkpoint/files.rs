//! The files of a checkpoint but for its manifest.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

use pliant_core::{clock::Clock, state::StateDict, tch::Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Contents, Loaded};
use crate::tensors;

pub const REPLAY: &str = "replay.zst";
const TENSORS: &str = "tensors.safetensors";
const ENVS: &str = "envs.zst";
const STATE: &str = "state.json";

/// The files that every checkpoint has.
pub const ALWAYS: [&str; 3] = [TENSORS, ENVS, STATE];

/// zstd's level: frames compress some twenty-fold even at the fastest.
const LEVEL: i32 = 1;

/// What stands in `state.json`.
#[derive(Serialize, Deserialize)]
struct Header {
    clock: Clock,
    wall_s: f64,
    values: BTreeMap<String, Value>,
}

/// Writes the contents into files, whose names are returned; not yet to the disk.
pub fn write(folder: &Path, contents: &Contents<'_>) -> Result<Vec<String>, String> {
    let tensors: Vec<(&String, &Tensor)> = contents.state.tensors().iter().collect();
    Tensor::write_safetensors(&tensors, folder.join(TENSORS)).map_err(named(TENSORS))?;
    write_compressed(&folder.join(ENVS), |out| {
        for state in &contents.envs {
            out.write_all(&(state.len() as u64).to_le_bytes()).map_err(text)?;
            out.write_all(state).map_err(text)?;
        }
        Ok(())
    })
    .map_err(named(ENVS))?;
    if let Some(replay) = &contents.replay {
        write_compressed(&folder.join(REPLAY), replay).map_err(named(REPLAY))?;
    }
    let header = Header {
        clock: contents.clock,
        wall_s: contents.wall_s,
        values: contents.state.values().clone(),
    };
    let json = serde_json::to_vec(&header).map_err(named(STATE))?;
    fs::write(folder.join(STATE), json).map_err(named(STATE))?;
    let replay = contents.replay.as_ref().map(|_| REPLAY);
    Ok(ALWAYS.into_iter().chain(replay).map(str::to_owned).collect())
}

/// Reads what [`write()`] wrote, but for the replay.
pub fn read(folder: &Path) -> Result<Loaded, String> {
    let json = fs::read_to_string(folder.join(STATE)).map_err(named(STATE))?;
    let header: Header = serde_json::from_str(&json).map_err(named(STATE))?;
    let tensors = tensors::read(&folder.join(TENSORS)).map_err(named(TENSORS))?;
    Ok(Loaded {
        path: folder.to_owned(),
        clock: header.clock,
        wall_s: header.wall_s,
        state: StateDict::from_parts(tensors.into_iter().collect(), header.values),
        envs: read_envs(&folder.join(ENVS)).map_err(named(ENVS))?,
    })
}

/// A reader of the replay.
pub fn replay(folder: &Path) -> Result<Box<dyn Read>, String> {
    let reader = File::open(folder.join(REPLAY)).and_then(zstd::Decoder::new);
    Ok(Box::new(BufReader::new(reader.map_err(named(REPLAY))?)))
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
    encoder.finish().map(drop).map_err(text)
}

/// Environment states are kilobytes; whatever claims to be larger than this is damage.
const MAX_ENV_STATE: u64 = 1 << 24;
/// More environments than a run can have.
const MAX_ENVS: usize = 4096;

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
        if states.len() == MAX_ENVS {
            return Err(format!("more than {MAX_ENVS} environments"));
        }
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn named<E: std::fmt::Display>(file: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{file}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_state_shorter_than_it_says_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(ENVS);
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
}
