//! What this machine has of what a run needs.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use pliant_core::{
    gpu::why_no_kernels,
    tch::{Cuda, Device, Kind, TchError, Tensor, get_num_threads, no_grad},
};
use pliant_envs::classification::{DatasetName, data_folder};

use super::finding::Finding;
use crate::{
    cuda::{self, CudaLibrary},
    device, disk,
    experiment::{amount, available_memory},
};

/// All of it.
pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![program(), libtorch(), cuda_library(), roms()];
    findings.extend(DatasetName::ALL.map(dataset));
    findings.extend([memory(), disk(), threads(), clock(SystemTime::now(), built())]);
    findings
}

fn program() -> Finding {
    let atari = if cfg!(feature = "atari") { "with" } else { "without" };
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("PLIANT_COMMIT"));
    Finding::ok("pliant", format!("{version} ({commit}), {atari} Atari"))
}

fn libtorch() -> Finding {
    let version = env!("PLIANT_LIBTORCH");
    let text = |()| format!("built against {version}, computes on the CPU");
    Finding::of("libtorch", computes(Device::Cpu).map(text))
}

fn cuda_library() -> Finding {
    let path = match cuda::found() {
        CudaLibrary::NoDevice => {
            return Finding::ok("cuda", "no NVIDIA device: runs use the CPU");
        }
        CudaLibrary::Loaded(path) => path,
        CudaLibrary::Failed(reason) => {
            return Finding::failed("cuda", format!("{reason}; try scripts/setup --cuda"));
        }
    };
    let devices = Cuda::device_count();
    let mut each = (0..devices).map(|index| computes(Device::Cuda(index as usize)));
    if let Err(error) = each.try_for_each(|one| one) {
        return Finding::failed("cuda", error);
    }
    let text = format!("{devices} device(s), through {path}");
    let mut devices = (0..devices).map(|index| Device::Cuda(index as usize));
    let slow = devices.find_map(|device| Some((device, why_no_kernels(device)?)));
    match slow {
        None => Finding::ok("cuda", text),
        Some((device, reason)) => {
            let name = device::name(device);
            Finding::note(
                "cuda",
                format!(
                    "{text}; optimiser steps on {name} are slower than they could be: {reason}"
                ),
            )
        }
    }
}

/// A small product, by libtorch and by hand.
fn computes(on: Device) -> Result<(), String> {
    let product = || -> Result<f64, TchError> {
        let ones = Tensor::f_ones([64, 64], (Kind::Float, on))?;
        ones.f_matmul(&ones)?.f_sum(Kind::Double)?.f_double_value(&[])
    };
    let name = device::name(on);
    match no_grad(product) {
        Ok(sum) if sum == f64::from(64 * 64 * 64) => Ok(()),
        Ok(sum) => Err(format!(
            "{name} adds 262144 ones up to {sum}: it cannot be trusted; try another device, or set libtorch up \
             anew with scripts/setup"
        )),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(format!("{name} does not compute ({first}); set it up anew with scripts/setup"))
        }
    }
}

#[cfg(feature = "atari")]
fn roms() -> Finding {
    let advice =
        |error: pliant_envs::env::EnvError| format!("{error}; scripts/setup fetches them anew");
    Finding::of("roms", check_roms().map_err(advice))
}

/// Every game loads: its ROM is there and has the known checksum.
#[cfg(feature = "atari")]
fn check_roms() -> Result<String, pliant_envs::env::EnvError> {
    use pliant_envs::ale::{AtariConfig, AtariFactory, games, rom_folder};
    let folder = rom_folder(None)?;
    for game in games() {
        AtariFactory::build(AtariConfig { game: game.to_owned(), ..AtariConfig::default() })?;
    }
    let count = games().count();
    Ok(format!("{count} games load from {}, all with the known checksum", folder.display()))
}

#[cfg(not(feature = "atari"))]
fn roms() -> Finding {
    Finding::ok("roms", "not needed: built without Atari")
}

/// A data set that is not here is no fault: it is fetched when it is wanted.
fn dataset(dataset: DatasetName) -> Finding {
    let (name, folder) = (dataset.name(), data_folder(None));
    let whole = dataset.is_whole(&folder).map_err(|error| error.to_string());
    let text = |whole| match whole {
        true => format!("whole, in {}", folder.join(name).display()),
        false => format!("not here (pliant fetch {name})"),
    };
    Finding::of(name, whole.map(text))
}

fn memory() -> Finding {
    let free = available_memory().map_or_else(|| "unknown".to_owned(), amount);
    Finding::ok("memory", format!("{free} free (a replay of 1M Atari frames takes 7.1 GB)"))
}

fn disk() -> Finding {
    let text = |free: u64| format!("{} free for runs below this folder", amount(free));
    Finding::of("disk", disk::free(Path::new(".")).map(text))
}

fn threads() -> Finding {
    let (compute, cores) = (get_num_threads().unsigned_abs() as usize, device::cores());
    let text = format!("{compute} compute, on {cores} core(s) that this program may use");
    if compute > cores {
        let more = "more threads than cores wait for each other; unset OMP_NUM_THREADS, or lower run.threads";
        return Finding::note("threads", format!("{text}: {more}"));
    }
    Finding::ok("threads", text)
}

/// When this program was built, as far as its file says.
fn built() -> Option<SystemTime> {
    std::env::current_exe().ok()?.metadata().ok()?.modified().ok()
}

/// A clock that differs by less is not worth a word.
pub(super) const SLACK: Duration = Duration::from_secs(120);

fn clock(now: SystemTime, built: Option<SystemTime>) -> Finding {
    let is_behind = built.is_some_and(|built| now + SLACK < built);
    if is_behind {
        let text =
            "is set to a time before this program was built: files would be dated wrongly; set it";
        return Finding::failed("clock", text);
    }
    Finding::ok("clock", "is later than this program's file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_named() {
        let built = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at =
            |seconds| clock(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), Some(built));
        assert!(at(999_000).has_failed() && at(999_000).text.contains("set it"));
        assert!(!at(999_900).has_failed() && !at(2_000_000).has_failed());
        assert!(!clock(SystemTime::UNIX_EPOCH, None).has_failed());
    }

    #[test]
    fn the_processor_computes() {
        assert_eq!(computes(Device::Cpu), Ok(()));
    }
}
