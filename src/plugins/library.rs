//! `--plugin FILE`: interventions and probes from a shared library.

use std::{
    ffi::{CStr, c_char, c_void},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    ptr,
};

use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};
use pliant_core::{
    plugin::{Brought, Handover, REGISTER_SYMBOL, STAMP_SYMBOL, stamp},
    registry::{Library, Plugins, Registry},
};
use sha2::{Digest, Sha256};

/// Larger files are taken for something else: with all of its debugging symbols a plug-in has some 100 MB.
const MAX_BYTES: u64 = 2 << 30;

/// Adds the kinds of these libraries. Nothing of a library is called before its stamp was compared, and
/// none is ever unloaded. An error names the file and says why it was refused.
pub fn load(plugins: &mut Plugins, paths: &[PathBuf]) -> Result<(), String> {
    for path in paths {
        load_one(plugins, path)
            .map_err(|reason| format!("--plugin {}: {reason}", path.display()))?;
    }
    Ok(())
}

fn load_one(plugins: &mut Plugins, path: &Path) -> Result<(), String> {
    let (path, sha256) = read(path)?;
    let library = open(&path)?;
    check_stamp(library)?;
    let Brought { interventions, probes } = receive(library)?;
    let brought =
        Library { path, sha256, interventions: names(&interventions), probes: names(&probes) };
    plugins.interventions.merge(interventions).map_err(|name| taken(&name, plugins))?;
    plugins.probes.merge(probes).map_err(|name| taken(&name, plugins))?;
    plugins.libraries.push(brought);
    Ok(())
}

/// Where the file lies, from the root (a bare name would be looked for elsewhere), and its checksum.
fn read(path: &Path) -> Result<(PathBuf, String), String> {
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    if !path.is_file() {
        return Err("is not a file, expected a shared library".to_owned());
    }
    let file = File::open(&path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes, expected a shared library"));
    }
    check_whole(&bytes)?;
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((path, hex(Sha256::digest(bytes).as_slice())))
}

/// An error if a library's headers speak of more than the file holds: the loader would not return from that.
fn check_whole(bytes: &[u8]) -> Result<(), String> {
    let is_elf_64 = bytes.starts_with(b"\x7fELF\x02\x01");
    if !is_elf_64 {
        return Ok(()); // the loader says what it thinks of it
    }
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    // A table's offset, and the size and number of its entries; of segments also what they hold.
    let segments_fit = || -> Option<bool> {
        let (offset, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let ends_within = |index: u64| {
            let at = usize::try_from(offset.checked_add(index * size)?).ok()?;
            let end =
                number(at.checked_add(8)?, 8)?.checked_add(number(at.checked_add(32)?, 8)?)?;
            Some(end <= bytes.len() as u64)
        };
        (0..count).map(ends_within).try_fold(true, |all, fits| Some(all && fits?))
    };
    let sections_fit = || -> Option<bool> {
        let (offset, size, count) = (number(40, 8)?, number(58, 2)?, number(60, 2)?);
        Some(offset.checked_add(size * count)? <= bytes.len() as u64)
    };
    if segments_fit() == Some(true) && sections_fit() == Some(true) {
        return Ok(());
    }
    Err("is cut short, expected a whole shared library".to_owned())
}

fn open(path: &Path) -> Result<&'static Opened, String> {
    // SAFETY: running a library's initialisers is what the user asks for by naming it.
    let opened = unsafe { Opened::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = opened.map_err(|error| {
        format!("cannot be loaded, expected a shared library (crate-type \"cdylib\"): {error}")
    })?;
    Ok(Box::leak(Box::new(library))) // its kinds may be in use to the last
}

fn check_stamp(library: &Opened) -> Result<(), String> {
    // SAFETY: a library that exports this name says that it is such a function.
    let stamp = unsafe { library.get::<extern "C" fn() -> *const c_char>(STAMP_SYMBOL.as_bytes()) };
    let theirs = stamp.map_err(|_| no_plugin(STAMP_SYMBOL))?();
    if theirs.is_null() {
        return Err("has an empty stamp".to_owned());
    }
    // SAFETY: not null; by the function's contract a C string that lives as long as the library.
    let theirs = unsafe { CStr::from_ptr(theirs) }.to_string_lossy();
    stamp::compare(&theirs).map_err(|differences| {
        format!(
            "was built for another pliant: {differences}; build it again with the compiler and the \
             pliant-core of this program"
        )
    })
}

fn receive(library: &Opened) -> Result<Brought, String> {
    // SAFETY: the stamp says that this is such a function, built with the same compiler against the
    // same pliant-core.
    let register =
        unsafe { library.get::<unsafe extern "C" fn(*mut c_void)>(REGISTER_SYMBOL.as_bytes()) };
    let register = register.map_err(|_| no_plugin(REGISTER_SYMBOL))?;
    let mut handover: Handover = Err("handed nothing over".to_owned());
    // SAFETY: it points to a `Handover` of a program with the same stamp.
    unsafe { register(ptr::from_mut(&mut handover).cast()) };
    handover
}

fn no_plugin(symbol: &str) -> String {
    format!("is no plug-in: it has no `{symbol}`, which pliant_core::export_plugin! makes")
}

fn names<T: 'static>(registry: &Registry<T>) -> Vec<String> {
    registry.iter().map(|(name, _)| name.to_owned()).collect()
}

/// `name` is a family and a kind of it, such as ``probe `units` ``.
fn taken(name: &str, plugins: &Plugins) -> String {
    let brings = |library: &&Library| {
        let kinds = |family: &str, names: &[String]| {
            names.iter().any(|kind| name == format!("{family} `{kind}`"))
        };
        kinds("intervention", &library.interventions) || kinds("probe", &library.probes)
    };
    let owner = plugins.libraries.iter().find(brings);
    let owner = owner.map_or_else(
        || "this program".to_owned(),
        |library| format!("--plugin {}", library.path.display()),
    );
    format!("its {name} has the name of one that {owner} has already: give it another name")
}

#[cfg(test)]
mod tests {
    use super::*;

    pliant_fuzzing::surfaces! { damaged_libraries_are_refused_before_they_are_loaded: 20_000 }

    /// The headers alone: what the loader of the system does with the rest is its own affair.
    fn damaged_libraries_are_refused_before_they_are_loaded(cases: std::ops::Range<u64>) {
        let mut header = vec![0u8; 400];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (header[32], header[54], header[56]) = (64, 56, 2); // segments
        (header[40], header[58], header[60]) = (200, 64, 3); // sections
        assert_eq!(check_whole(&header), Ok(()));
        pliant_fuzzing::Surface::new("library")
            .check(cases, |damage| check_whole(&damage.bytes(&header, &[])).into());
    }
}
