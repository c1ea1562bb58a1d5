//! Choosing where to compute.

use tch::{Cuda, Device};

use crate::cuda::{self, CudaLibrary};

/// The device that `auto`, `cpu` or `cuda:N` means on this machine.
pub fn choose(name: &str) -> Result<Device, String> {
    match name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index))) {
        ("auto", None) if Cuda::is_available() => Ok(Device::Cuda(0)),
        ("auto" | "cpu", None) => Ok(Device::Cpu),
        ("cuda", index) => {
            let index = index.unwrap_or("0");
            let index = index.parse().map_err(|_| unknown(name))?;
            cuda(index)
        }
        _ => Err(unknown(name)),
    }
}

/// The name under which a device is chosen.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

fn cuda(index: usize) -> Result<Device, String> {
    let count = Cuda::device_count();
    if (index as i64) < count {
        return Ok(Device::Cuda(index));
    }
    let reason = match cuda::found() {
        _ if count > 0 => format!("this machine has {count} (cuda:0 to cuda:{})", count - 1),
        CudaLibrary::NoDevice => "no NVIDIA device was found".to_owned(),
        CudaLibrary::Failed(reason) => {
            format!(
                "libtorch's CUDA library could not be loaded ({reason}); try scripts/setup --cuda"
            )
        }
        CudaLibrary::Loaded(path) => format!("{path} was loaded but sees no usable device"),
    };
    Err(format!("device `cuda:{index}` is not available: {reason}; use --device cpu or auto"))
}

fn unknown(name: &str) -> String {
    format!("unknown device `{name}`, expected `auto`, `cpu` or `cuda:N` such as cuda:0")
}

/// Cores that this program may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Cores for environments to step on while a device learns: on a GPU all but two, of those that tell it what to do.
pub fn cores_for_envs(device: Device) -> usize {
    let kept = if device.is_cuda() { 2 } else { 0 };
    cores().saturating_sub(kept).max(1)
}

/// Sets libtorch's thread counts; 0 takes one per core, and one where a GPU computes: there is little left to share
/// out, and threads that wait for it take the cores from what tells the GPU what to do. Returns the number taken.
pub fn set_threads(threads: usize, device: Device) -> usize {
    let threads = match threads {
        0 if device.is_cuda() => 1,
        0 => cores(),
        chosen => chosen,
    };
    tch::set_num_threads(threads as i32);
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_devices_are_refused_with_what_would_be_right() {
        assert_eq!(choose("cpu"), Ok(Device::Cpu));
        for name in ["gpu", "cuda:x", "cpu:0", "", "auto:1"] {
            let error = choose(name).expect_err(name);
            assert!(error.contains("expected `auto`, `cpu` or `cuda:N`"), "{error}");
        }
        assert!(choose("cuda:99").expect_err("no such machine").contains("not available"));
    }
}
