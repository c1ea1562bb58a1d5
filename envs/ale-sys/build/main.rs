//! Compiles the ALE and our C shim, and lists the games it knows.

mod patches;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

/// Folders of `src/ale` whose every source file is compiled.
const FOLDERS: [&str; 5] = ["common", "emucore", "environment", "games", "games/supported"];
/// What only a display needs.
const SKIPPED: [&str; 4] = ["SDL2.cpp", "DynamicLoad.cpp", "ScreenSDL.cpp", "SoundSDL.cxx"];

fn main() {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=shim");
    let source = find_source();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    write_version_header(&source, &out);
    write_game_table(&source, &out);
    write_patched(&source.join("src/ale"), &out.join("ale"));
    compile(&source, &out);
}

/// The folder that holds `src/ale`.
fn find_source() -> PathBuf {
    println!("cargo:rerun-if-env-changed=PLIANT_ALE_SOURCE");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let source = env::var_os("PLIANT_ALE_SOURCE")
        .map_or_else(|| manifest.join("../../.deps/ale"), PathBuf::from);
    let version = source.join("version.txt");
    println!("cargo:rerun-if-changed={}", version.display());
    if !source.join("src/ale/ale_interface.cpp").is_file() {
        fail(&format!(
            "the Arcade Learning Environment's source is not at {}: run scripts/setup, \
             or set PLIANT_ALE_SOURCE to the folder that holds its src/ale",
            source.display()
        ));
    }
    source
}

#[expect(clippy::exit, reason = "a build script's way to say one clear sentence")]
fn fail(message: &str) -> ! {
    println!("cargo:warning={message}");
    eprintln!("{message}");
    std::process::exit(1)
}

/// Fills in `version.hpp.in`, as ALE's cmake does.
fn write_version_header(source: &Path, out: &Path) {
    let version = read(&source.join("version.txt"));
    let version = version.trim();
    let mut parts = version.split('.');
    let mut header = read(&source.join("src/ale/version.hpp.in")).replace("@ALE_VERSION@", version);
    for place in ["MAJOR", "MINOR", "PATCH"] {
        header = header.replace(&format!("@ALE_VERSION_{place}@"), parts.next().unwrap_or("0"));
    }
    write(&out.join("version.hpp"), &header.replace("@ALE_VERSION_GIT_SHA@", "pliant"));
    println!("cargo:rustc-env=PLIANT_ALE_VERSION={version}");
}

/// Writes `GAMES`: every game's name and the md5 of its ROM, sorted by name. ROMs that come along but
/// that the ALE has no rules for (it exits when it meets one) are left out.
fn write_game_table(source: &Path, out: &Path) {
    let path = source.join("src/ale/python/roms/md5.json");
    println!("cargo:rerun-if-changed={}", path.display());
    let md5s: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&read(&path))
        .unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
    let rules = headers(&source.join("src/ale/games/supported"));
    let mut games: Vec<(&str, &str)> = md5s
        .iter()
        .map(|(file, md5)| (file.trim_end_matches(".bin"), md5.as_str().expect("md5 is text")))
        .filter(|(_, md5)| rules.contains(md5))
        .collect();
    games.sort_unstable();
    let rows: String = games.iter().map(|row| format!("    {row:?},\n")).collect();
    write(&out.join("games.rs"), &format!("&[\n{rows}]\n"));
}

/// Writes the files that we change, with the changes, below `patched`.
fn write_patched(root: &Path, patched: &Path) {
    let _ = fs::remove_dir_all(patched); // an earlier build's, or nothing
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for patch in patches::PATCHES {
        let text = files.entry(patch.file).or_insert_with(|| read(&root.join(patch.file)));
        let count = text.matches(patch.find).count();
        if count != patch.count {
            fail(&format!(
                "{}: `{}` stands there {count} times, not {}: this is not the source of the ALE 0.12.1",
                root.join(patch.file).display(),
                patch.find.trim(),
                patch.count
            ));
        }
        *text = text.replacen(patch.find, patch.replace, patch.replaced);
    }
    for (file, text) in files {
        let path = patched.join(file);
        let folder = path.parent().expect("a file below the folder");
        fs::create_dir_all(folder)
            .unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
        write(&path, &text);
    }
}

fn compile(source: &Path, out: &Path) {
    let root = source.join("src/ale");
    let patched = |path: PathBuf| {
        let ours = out.join("ale").join(path.strip_prefix(&root).expect("below the root"));
        if ours.is_file() { ours } else { path }
    };
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(3) // also in a dev profile: an unoptimised emulator is useless
        .debug(false)
        .force_frame_pointer(false)
        .define("NDEBUG", None)
        .pic(true)
        .warnings(false)
        .flag_if_supported("-fno-lto") // rust-lld cannot read gcc's
        .include(out) // before the ALE's own: it holds what we changed
        .include("shim")
        .include(source.join("src"))
        .file("shim/shim.cpp")
        .file(root.join("ale_interface.cpp"))
        .files(FOLDERS.iter().flat_map(|folder| sources(&root.join(folder))).map(patched));
    if let Some(zlib) = env::var_os("DEP_Z_INCLUDE") {
        build.include(zlib);
    }
    build.compile("pliant_ale");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder, &["cpp", "cxx"]);
    files.retain(|path| !SKIPPED.iter().any(|skipped| path.ends_with(skipped)));
    files
}

/// The text of all headers in a folder.
fn headers(folder: &Path) -> String {
    files(folder, &["hpp"]).iter().map(|path| read(path)).collect()
}

fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|of| endings.iter().any(|ending| of == *ending))
        })
        .collect();
    files.sort_unstable();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
}
