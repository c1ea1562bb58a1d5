//! Compiles the shim against the headers of the libtorch that torch-sys links.

use std::{env, path::PathBuf};

const SOURCES: [&str; 6] = [
    "shim/autocast.cpp",
    "shim/graphs.cpp",
    "shim/linear.cpp",
    "shim/magnitude.cpp",
    "shim/optimizers.cpp",
    "shim/tensors.cpp",
];

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .pic(true)
        // libtorch's headers are not free of warnings.
        .warnings(false)
        .opt_level(3)
        // The same bits on every processor: no product and sum is rounded once where another rounds twice.
        .flag("-ffp-contract=off")
        .flag("-fno-math-errno")
        .flag("-fno-trapping-math")
        .flag("-fopenmp")
        .define("_GLIBCXX_USE_CXX11_ABI", cxx11_abi().as_str())
        .includes(includes())
        .files(SOURCES)
        .compile("pliant_torch_ext");
}

fn includes() -> [PathBuf; 2] {
    let library = env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let beside = PathBuf::from(library).join("..");
    let root = env::var_os("LIBTORCH_INCLUDE").map_or(beside, PathBuf::from);
    ["include", "include/torch/csrc/api/include"].map(|folder| root.join(folder))
}

fn cxx11_abi() -> String {
    env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned())
}
