//! `pliant doctor`

use pliant_core::tch::{Cuda, get_num_threads};

use pliant_envs::classification::{DatasetName, data_folder};

use crate::{
    cuda::{self, CudaLibrary},
    experiment::{available_memory, gigabytes},
    failure::{Failure, Outcome},
};

/// One finding: what was looked at, whether it is as a run needs it, what was seen or what to do.
struct Finding {
    what: &'static str,
    ok: bool,
    text: String,
}

/// Prints what this machine has of what a run needs; fails if something needed is missing.
pub fn run() -> Outcome {
    let mut findings = vec![program(), libtorch(), cuda_library(), roms()];
    findings.extend(DatasetName::ALL.map(dataset));
    findings.extend([memory(), threads()]);
    for finding in &findings {
        let mark = if finding.ok { "ok    " } else { "failed" };
        say!("{mark}  {:<13} {}", finding.what, finding.text);
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        count => Err(Failure::Run(format!("{count} of {} checks failed", findings.len()))),
    }
}

fn fine(what: &'static str, text: String) -> Finding {
    Finding { what, ok: true, text }
}

fn checked(what: &'static str, result: Result<String, String>) -> Finding {
    let ok = result.is_ok();
    Finding { what, ok, text: result.unwrap_or_else(|error| error) }
}

fn program() -> Finding {
    let atari = if cfg!(feature = "atari") { "with" } else { "without" };
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("PLIANT_COMMIT"));
    fine("pliant", format!("{version} ({commit}), {atari} Atari"))
}

fn libtorch() -> Finding {
    fine("libtorch", format!("built against {}", env!("PLIANT_LIBTORCH")))
}

fn cuda_library() -> Finding {
    let devices = Cuda::device_count();
    let text = match cuda::found() {
        CudaLibrary::NoDevice => "no NVIDIA device: runs use the CPU".to_owned(),
        CudaLibrary::Loaded(path) => format!("{devices} device(s), through {path}"),
        CudaLibrary::Failed(reason) => {
            return checked("cuda", Err(format!("{reason}; try scripts/setup --cuda")));
        }
    };
    fine("cuda", text)
}

#[cfg(feature = "atari")]
fn roms() -> Finding {
    checked("roms", check_roms().map_err(|error| error.to_string()))
}

/// Every game loads: its ROM is there and has the known checksum.
#[cfg(feature = "atari")]
fn check_roms() -> Result<String, pliant_envs::env::EnvError> {
    use pliant_envs::ale::{AtariConfig, AtariFactory, games, rom_folder};
    let folder = rom_folder(None)?;
    for game in games() {
        AtariFactory::build(AtariConfig { game: game.to_owned(), ..AtariConfig::default() })?;
    }
    Ok(format!("{} games load from {}", games().count(), folder.display()))
}

#[cfg(not(feature = "atari"))]
fn roms() -> Finding {
    fine("roms", "not needed: built without Atari".to_owned())
}

/// A data set that is not here is no fault: it is fetched when it is wanted.
fn dataset(dataset: DatasetName) -> Finding {
    let (name, folder) = (dataset.name(), data_folder(None));
    let whole = dataset.is_whole(&folder).map_err(|error| error.to_string());
    let text = |whole| match whole {
        true => format!("whole, in {}", folder.join(name).display()),
        false => format!("not here (pliant fetch {name})"),
    };
    checked(name, whole.map(text))
}

fn memory() -> Finding {
    let free = available_memory().map_or_else(|| "unknown".to_owned(), gigabytes);
    fine("memory", format!("{free} free (a replay of 1M Atari frames takes 7.1 GB)"))
}

fn threads() -> Finding {
    fine("threads", format!("{} compute", get_num_threads()))
}
