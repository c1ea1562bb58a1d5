//! What has to be settled before libtorch is touched.

use std::{env, ffi::OsString, os::unix::process::CommandExt as _, path::Path, process::Command};

use crate::{cuda, signals};

/// How often a thread of libgomp, libtorch's OpenMP, looks for work before it sleeps.
const SPINS: (&str, &str) = ("GOMP_SPINCOUNT", "1000");

/// What else may say so.
const POLICY: &str = "OMP_WAIT_POLICY";

/// Of these commands computing is most of it.
const COMPUTING: [&str; 6] = ["train", "resume", "eval", "probe", "study", "bench"];

/// Must be the first thing a program does: it may start anew, and it loads the CUDA half of libtorch, which
/// libtorch looks for at its first call.
///
/// By default libgomp's threads spin for about a millisecond when they wait for each other. Where anything else
/// wants the cores (the environments' threads, a second run) the one that is waited for does not get them: two
/// runs on one machine take several times as long. libgomp reads how long to spin when it is loaded, which
/// is before `main`; so a program that is going to compute starts anew with `GOMP_SPINCOUNT` set, unless
/// somebody has set it or `OMP_WAIT_POLICY`. Where it cannot start anew it goes on as it is.
///
/// A program that is going to compute gets a thread that receives the signals that ask it to stop; this thread and
/// those that it makes, libtorch's among them, do not, since kernels of libtorch do not bear to be interrupted.
pub fn prepare() {
    let is_set = [SPINS.0, POLICY].iter().any(|name| env::var_os(name).is_some());
    let mut arguments = env::args_os();
    let name = arguments.next();
    let rest: Vec<OsString> = arguments.collect();
    let is_computing = rest.iter().any(|argument| COMPUTING.iter().any(|it| argument == it));
    if !is_set
        && is_computing
        && let (Ok(program), Some(name)) = (env::current_exe(), name)
        // Not where a loader was started with the program as its argument.
        && program.file_name() == Path::new(&name).file_name()
    {
        let _cannot = Command::new(program).arg0(name).args(rest).env(SPINS.0, SPINS.1).exec();
    }
    if is_computing {
        signals::keep_from_computing();
    }
    cuda::load();
}
