//! Signals that ask the program to stop.

use std::{
    sync::{Arc, Once, atomic::AtomicBool},
    thread,
};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ},
    flag,
};

use crate::failure::{Failure, Outcome};

/// Gives these signals a thread of their own, and keeps them from this one and those that it will make; those that
/// this program was started with blocked come too. Programs that are started inherit what is kept from the thread that
/// starts them. Where there can be no such thread, all stays as it was.
pub fn keep_from_computing() {
    static KEPT: Once = Once::new();
    KEPT.call_once(keep);
}

fn keep() {
    let kept = SigSet::from_iter([
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGXCPU,
        Signal::SIGHUP,
        Signal::SIGXFSZ,
    ]);
    let receive = move || {
        if kept.thread_unblock().is_ok() {
            loop {
                thread::park();
            }
        }
    };
    if thread::Builder::new().name("signals".to_owned()).spawn(receive).is_ok() {
        let _stays = kept.thread_block();
    }
}

/// A flag that these raise: SIGINT; SIGTERM; SIGUSR1, SIGUSR2 and SIGXCPU, which schedulers send before time is up; and
/// SIGHUP, unless it is ignored as under `nohup`. A SIGINT after that ends the process at once; a second of the
/// others does not, since schedulers send one to every process of a job and `train --seeds` passes its own on.
pub fn stop() -> Outcome<Arc<AtomicBool>> {
    keep_from_computing();
    let stop = Arc::new(AtomicBool::new(false));
    let failed = |error| Failure::while_doing("cannot watch for signals", error);
    flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&stop)).map_err(failed)?;
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let asked = [SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU];
    for signal in asked.into_iter().chain(hang_up) {
        flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    Ok(stop)
}

/// Makes a file that grows past the limit on its size (`ulimit -f`) an error of whoever writes it, rather than the
/// end of the process.
pub fn outlive_file_limits() -> Outcome {
    let failed = |error| Failure::while_doing("cannot watch for signals", error);
    flag::register(SIGXFSZ, Arc::default()).map(drop).map_err(failed)
}

/// True if whoever started the program has it ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
