//! Signals that ask the program to stop.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::failure::{Failure, Outcome};

/// A flag that SIGINT, SIGTERM and SIGHUP raise. A SIGINT after that ends the process at once; a second SIGTERM
/// does not, since schedulers send one to every process of a job and `train --seeds` passes its own on.
pub fn stop() -> Outcome<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let failed = |error| Failure::while_doing("cannot watch for signals", error);
    flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&stop)).map_err(failed)?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    Ok(stop)
}
