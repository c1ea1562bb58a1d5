//! Signals that ask the program to stop.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use crate::failure::{Failure, Outcome};

/// A flag that SIGINT and SIGTERM raise; a second signal ends the process at once.
pub fn stop() -> Outcome<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::while_doing("cannot watch for signals", error))?;
    }
    Ok(stop)
}
