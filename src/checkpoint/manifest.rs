//! `manifest.json`: what a checkpoint consists of. It is written last, so a folder that has it was written whole, and
//! its checksums tell whether it still is.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{ALWAYS, REPLAY};

/// The manifest's own name.
pub const NAME: &str = "manifest.json";

/// Version of the layout that this program writes.
const VERSION: u32 = 2;

/// The files of a checkpoint.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    files: BTreeMap<String, FileSum>,
}

/// What manifests of all versions have.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What a file must be.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSum {
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Describes files as they are, after having them written to the disk.
    pub fn of(folder: &Path, names: &[String]) -> Result<Self, String> {
        let described = names.iter().map(|name| {
            let sum = FileSum::of(&folder.join(name), true);
            Ok((name.clone(), sum.map_err(|error| format!("{name}: {error}"))?))
        });
        Ok(Self { version: VERSION, files: described.collect::<Result<_, String>>()? })
    }

    /// Reads the manifest of a checkpoint.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(folder.join(NAME));
        let text = text.map_err(|error| match older_version(folder) {
            Some(version) => of_another_version(version),
            None => format!("{NAME}: {error}"),
        })?;
        let damaged = |error| format!("{NAME}: {error}");
        match serde_json::from_str::<Version>(&text).map_err(damaged)?.version {
            VERSION => serde_json::from_str(&text).map_err(damaged),
            version => Err(of_another_version(version)),
        }
    }

    /// The version of a checkpoint's layout, if it is not one that this program reads.
    pub fn other_version(folder: &Path) -> Option<u32> {
        let version = match fs::read_to_string(folder.join(NAME)) {
            Ok(text) => serde_json::from_str::<Version>(&text).ok()?.version,
            Err(_) => older_version(folder)?,
        };
        (version != VERSION).then_some(version)
    }

    /// True if a file of this name belongs to the checkpoint.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// An error that names the first file which is not as it was written.
    pub fn check(&self, folder: &Path) -> Result<(), String> {
        let known = |name: &String| name == REPLAY || ALWAYS.contains(&name.as_str());
        if let Some(other) = self.files.keys().find(|name| !known(name)) {
            return Err(format!("{NAME}: `{}` is no file of a checkpoint", other.escape_debug()));
        }
        if let Some(missing) = ALWAYS.into_iter().find(|name| !self.has(name)) {
            return Err(format!("{NAME}: {missing} is not in it"));
        }
        for (name, sum) in &self.files {
            let found = FileSum::of(&folder.join(name), false);
            let found = found.map_err(|error| format!("{name}: {error}"))?;
            if found.bytes != sum.bytes {
                let (has, had) = (found.bytes, sum.bytes);
                return Err(format!("{name}: it has {has} bytes, {had} were written"));
            }
            if found.sha256 != sum.sha256 {
                return Err(format!("{name}: its checksum is not that of what was written"));
            }
        }
        Ok(())
    }

    /// Takes a file off the list, then away.
    pub fn remove(folder: &Path, name: &str) -> Result<(), String> {
        let mut manifest = Self::read(folder)?;
        if manifest.files.remove(name).is_some() {
            manifest.write(folder)?;
        }
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// Puts the manifest into a folder: all of it or nothing.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let aside = folder.join(format!(".{NAME}.new"));
        let json = serde_json::to_vec_pretty(self).expect("plain data");
        let written = File::create(&aside).and_then(|mut file| {
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&aside, folder.join(NAME))
        });
        written.map_err(|error| format!("{NAME}: {error}"))
    }
}

impl FileSum {
    fn of(path: &Path, sync: bool) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if sync {
            file.sync_all()?;
        }
        let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                return Ok(Self { bytes, sha256 });
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
    }
}

/// Checkpoints had their version in `state.json` before there were manifests.
fn older_version(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("state.json")).ok()?;
    let state: serde_json::Value = serde_json::from_str(&text).ok()?;
    state.get("version")?.as_u64()?.try_into().ok()
}

fn of_another_version(version: u32) -> String {
    format!(
        "its layout has version {version}, this program reads version {VERSION}; the program that wrote it is \
         named in the run's provenance.json"
    )
}
