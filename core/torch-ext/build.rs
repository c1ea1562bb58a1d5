//! Compiles the shim against the headers of the libtorch that torch-sys links, with the kernels for GPUs as texts in
//! it.

use std::{env, fs, path::PathBuf};

const SOURCES: [&str; 7] = [
    "shim/autocast.cpp",
    "shim/graphs.cpp",
    "shim/kernels.cpp",
    "shim/linear.cpp",
    "shim/magnitude.cpp",
    "shim/optimizers.cpp",
    "shim/tensors.cpp",
];

/// In the intermediate language that NVIDIA's driver compiles; `scripts/kernels` makes them.
const KERNELS: [&str; 2] = ["magnitude", "optimizers"];

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=kernels");
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
        .include(kernel_texts())
        .files(SOURCES)
        .compile("pliant_torch_ext");
}

fn includes() -> [PathBuf; 2] {
    let library = env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is");
    let beside = PathBuf::from(library).join("..");
    let root = env::var_os("LIBTORCH_INCLUDE").map_or(beside, PathBuf::from);
    ["include", "include/torch/csrc/api/include"].map(|folder| root.join(folder))
}

/// A folder with each kernel as a C++ string.
fn kernel_texts() -> PathBuf {
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    for name in KERNELS {
        let text = fs::read_to_string(format!("kernels/{name}.ptx")).expect("committed");
        assert!(!text.contains(")ptx\""), "kernels/{name}.ptx ends the string that holds it");
        fs::write(folder.join(format!("{name}.ptx.inc")), format!("R\"ptx({text})ptx\""))
            .expect("the folder for what is built can be written to");
    }
    folder
}

fn cxx11_abi() -> String {
    env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned())
}
