//! Tells the crate what it is compiled with and from, for the stamp of loaded plug-ins.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let unknown = || "unknown".to_owned();
    println!("cargo:rustc-env=PLIANT_CORE_RUSTC={}", rustc().unwrap_or_else(unknown));
    println!("cargo:rustc-env=PLIANT_CORE_LIBTORCH={}", libtorch().unwrap_or_else(unknown));
    println!("cargo:rustc-env=PLIANT_CORE_SOURCES={:016x}", sources());
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
}

/// `rustc 1.95.0 (59807616e 2026-04-14) x86_64-unknown-linux-gnu`.
fn rustc() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| format!("{} {}", version.trim(), target()))
}

fn target() -> String {
    env::var("TARGET").unwrap_or_default()
}

/// The version of the libtorch that is linked.
fn libtorch() -> Option<String> {
    let header = PathBuf::from(env::var_os("LIBTORCH")?).join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(header).ok()?;
    let number = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| Some(line.strip_prefix(&prefix)?.trim().to_owned()))
    };
    Some(format!("{}.{}.{}", number("MAJOR")?, number("MINOR")?, number("PATCH")?))
}

/// A fingerprint (64-bit FNV-1a) of what plug-ins are compiled against: the sources of this crate and
/// of the environments' interface.
fn sources() -> u64 {
    let mut files = Vec::new();
    for folder in ["src", "../envs/src"] {
        println!("cargo:rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files);
    }
    files.sort();
    let texts = files.iter().filter_map(|path| fs::read(path).ok());
    texts.flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
