//! Tells the program its commit and libtorch's version.

use std::{env, fs, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rustc-env=PLIANT_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    println!(
        "cargo:rustc-env=PLIANT_LIBTORCH={}",
        libtorch().unwrap_or_else(|| "unknown".to_owned())
    );
    for path in
        ["HEAD", "refs/heads"].iter().filter_map(|name| git(&["rev-parse", "--git-path", name]))
    {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
}

fn commit() -> Option<String> {
    git(&["rev-parse", "--short", "HEAD"])
}

/// What git prints; nothing outside a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn libtorch() -> Option<String> {
    let header = PathBuf::from(env::var_os("LIBTORCH")?).join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(header).ok()?;
    let number = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| Some(line.strip_prefix(&prefix)?.trim().to_owned()))
    };
    Some(format!("{}.{}.{}", number("MAJOR")?, number("MINOR")?, number("PATCH")?))
}
