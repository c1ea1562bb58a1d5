//! One program for CPU and CUDA: the CUDA half of libtorch is loaded when there is a GPU.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// What came of looking for the CUDA half of libtorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CudaLibrary {
    /// There is no NVIDIA device, so it was not looked for.
    NoDevice,
    /// Loaded from here.
    Loaded(String),
    /// Not found, or not loadable: the reasons.
    Failed(String),
}

static FOUND: OnceLock<CudaLibrary> = OnceLock::new();

/// Loads `libtorch_cuda.so` if this machine has an NVIDIA device.
///
/// Must be the first thing a program does: libtorch looks for its CUDA half at the first call and
/// stays on the CPU if it is not there by then.
pub fn load() {
    let _ = FOUND.set(find_and_load());
}

/// What [`load`] found.
pub fn found() -> CudaLibrary {
    FOUND.get().cloned().unwrap_or(CudaLibrary::NoDevice)
}

fn find_and_load() -> CudaLibrary {
    let chosen = std::env::var("PLIANT_TORCH_CUDA").ok();
    let has_device =
        ["/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"].iter().any(|p| Path::new(p).exists());
    if chosen.is_none() && !has_device {
        return CudaLibrary::NoDevice;
    }
    let candidates = chosen.map_or_else(candidates, |path| vec![PathBuf::from(path)]);
    let mut reasons = Vec::new();
    for path in candidates {
        match open(&path) {
            Ok(()) => return CudaLibrary::Loaded(path.display().to_string()),
            Err(error) => reasons.push(error),
        }
    }
    CudaLibrary::Failed(reasons.join("; "))
}

/// What `scripts/setup --cuda` placed beside the checkout, then wherever the loader looks.
fn candidates() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(".deps/cuda/torch/lib/libtorch_cuda.so"));
    beside.filter(|path| path.exists()).chain([PathBuf::from("libtorch_cuda.so")]).collect()
}

fn open(path: &Path) -> Result<(), String> {
    // SAFETY: the library's initialisers register kernels and touch nothing of ours; it is never
    // unloaded.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    std::mem::forget(library.map_err(|error| error.to_string())?);
    Ok(())
}
