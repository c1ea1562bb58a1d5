//! Dumps of updates that went wrong: `failures/<update>/` in a run directory, itself a run directory in small.
//!
//! It holds `config.toml`, `checkpoints/<update - 1>/` (the agent and its interventions before the update),
//! `batch.safetensors` (the transitions, as `pliant probe --data` takes them) and `found.json`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pliant_core::{
    clock::Clock,
    not_finite::{FailedUpdate, NotFinite},
    probe::Transitions,
    state::StateDict,
    tch::Tensor,
};

use crate::{
    checkpoint::{self, Contents},
    failure::{Failure, Outcome},
    run_dir::RunDirectory,
};

/// What a dump holds of the update itself.
pub const FOUND: &str = "found.json";

/// The transitions of the update.
pub const BATCH: &str = "batch.safetensors";

/// Writes a dump into the run, in the place of an earlier one of the same update. `before`: agent and
/// interventions.
pub fn write(
    run: &RunDirectory,
    clock: Clock,
    wall_s: f64,
    before: StateDict,
    failed: &FailedUpdate,
) -> Outcome<PathBuf> {
    let name = failed.found.update.to_string();
    let (path, aside) = (run.failures().join(&name), run.failures().join(format!(".{name}.new")));
    let written = write_files(run, &aside, clock, wall_s, before, failed);
    let written = written.and_then(|()| put(&aside, &path).map_err(|error| error.to_string()));
    written
        .map_err(|error| Failure::while_doing(format!("cannot write {}", path.display()), error))?;
    Ok(path)
}

/// In the place of what was there.
fn put(aside: &Path, path: &Path) -> std::io::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::rename(aside, path)
}

/// `found.json` comes last: what has none is no dump.
fn write_files(
    run: &RunDirectory,
    path: &Path,
    clock: Clock,
    wall_s: f64,
    before: StateDict,
    failed: &FailedUpdate,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    if path.exists() {
        fs::remove_dir_all(path).map_err(text)?;
    }
    fs::create_dir_all(path).map_err(text)?;
    fs::copy(run.path().join("config.toml"), path.join("config.toml")).map_err(text)?;
    let contents = Contents { clock, wall_s, state: before, envs: Vec::new(), replay: None };
    let mut writer = checkpoint::Writer::new(path.join("checkpoints"), 1);
    writer.write(&contents)?;
    writer.wait()?;
    write_batch(&path.join(BATCH), &failed.batch)?;
    let found = serde_json::to_string_pretty(&failed.found).expect("plain data") + "\n";
    let dump = RunDirectory::open(path).map_err(|error| error.to_string())?;
    dump.write(FOUND, found.as_bytes()).map_err(|error| error.to_string())
}

fn write_batch(path: &Path, batch: &Transitions) -> Result<(), String> {
    let Transitions { s_tm1, a_tm1, r_t, discount_t, s_t } = batch;
    let named = [
        ("s_tm1", s_tm1),
        ("a_tm1", a_tm1),
        ("r_t", r_t),
        ("discount_t", discount_t),
        ("s_t", s_t),
    ];
    let named = named.map(|(name, tensor)| (name, tensor.contiguous()));
    Tensor::write_safetensors(&named, path).map_err(|error| error.to_string())
}

/// The dumps of a run, newest first.
pub fn list(run: &RunDirectory) -> Vec<PathBuf> {
    let folders = checkpoint::list(&run.failures()).into_iter();
    folders.filter(|path| path.join(FOUND).is_file()).collect()
}

/// What was found in an update.
pub fn found(dump: &Path) -> Result<NotFinite, String> {
    let path = dump.join(FOUND);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&error))
}
