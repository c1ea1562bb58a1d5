//! Finding the ROMs at run time.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{env::EnvError, folders};

/// Where scripts/setup puts them, below the repository's root.
const SETUP: &str = ".deps/ale/src/ale/python/roms";

/// The folder of the ROMs: `configured`, else `PLIANT_ROMS`, else where scripts/setup puts them
/// (above the executable or the current folder), else `~/.cache/pliant/roms`.
pub fn rom_folder(configured: Option<&Path>) -> Result<PathBuf, EnvError> {
    let named =
        configured.map(Path::to_owned).or_else(|| env::var_os("PLIANT_ROMS").map(PathBuf::from));
    match named {
        Some(folder) => match unusable(&folder) {
            None => Ok(folder),
            Some(why) => Err(missing(&format!("the ROM folder {} {why}", folder.display()))),
        },
        None => places()
            .find(|folder| folder.is_dir())
            .ok_or_else(|| missing("the Atari ROMs are not here")),
    }
}

/// Why a folder cannot be used, as the rest of a sentence; `None` if it can.
fn unusable(folder: &Path) -> Option<String> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some("is not a folder".to_owned()),
        Err(error) => Some(format!("cannot be opened ({error})")),
    }
}

fn places() -> impl Iterator<Item = PathBuf> {
    let starts = [env::current_exe().ok(), env::current_dir().ok()];
    let above = |path: PathBuf| -> Vec<PathBuf> {
        path.ancestors().take(5).map(|folder| folder.join(SETUP)).collect()
    };
    starts.into_iter().flatten().flat_map(above).chain([folders::cache().join("roms")])
}

fn missing(what: &str) -> EnvError {
    EnvError::Invalid(format!(
        "{what}: run scripts/setup, or set PLIANT_ROMS to the folder that holds breakout.bin and the others"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_folder_that_is_missing_is_named_with_the_way_out() {
        let error = rom_folder(Some(Path::new("/nowhere/roms"))).expect_err("missing").to_string();
        assert!(error.contains("/nowhere/roms") && error.contains("scripts/setup"), "{error}");
    }

    /// Permissions mean nothing to root, but no user can look below a regular file.
    #[test]
    fn a_folder_that_cannot_be_looked_into_is_refused_with_the_systems_reason() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let below = rom_folder(Some(&file.path().join("roms"))).expect_err("below a file");
        assert!(below.to_string().contains("cannot be opened (Not a directory"), "{below}");
        let file = rom_folder(Some(file.path())).expect_err("a file").to_string();
        assert!(file.contains("is not a folder: run scripts/setup"), "{file}");
    }

    #[test]
    fn the_folder_of_setup_is_found_without_configuration() {
        assert!(rom_folder(None).expect("run scripts/setup first").join("breakout.bin").is_file());
    }
}
