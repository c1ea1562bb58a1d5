//! CUDA graphs: what a device does again and again, launched at once.
//!
//! Each operation of libtorch is launched by the CPU, which takes longer than a small one runs. A graph
//! is written down while the operations are called once, and then launched as a whole: the same kernels on the
//! same memory.

use std::{
    cell::Cell,
    ffi::{c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use tch::Device;

use crate::ffi::{self, check, taken};

thread_local! {
    static IS_RECORDING: Cell<bool> = const { Cell::new(false) };
}

static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// True if a recording has failed in this process. What libtorch prepared for it may be beyond undoing, so that
/// [`Graph::record`] refuses to begin another.
pub fn has_failed() -> bool {
    HAS_FAILED.load(Ordering::Relaxed)
}

/// Operations on a GPU that can be launched again. All tensors that they read and wrote must still be there,
/// in the same places, whenever it is launched.
#[derive(Debug)]
pub struct Graph(*mut c_void);

// SAFETY: a graph may be launched from any thread, one at a time: `launch` takes it mutably.
unsafe impl Send for Graph {}

impl Graph {
    /// Writes down what `work` does on this GPU. It is not done: the tensors that come of it hold nothing
    /// until the first launch. They keep their places, and every launch overwrites them.
    ///
    /// `work` must have been done once before, so that libraries are loaded and their memory is taken. It must
    /// not wait for the device, read from it, or copy from main memory that is not page-locked.
    ///
    /// # Errors
    /// No GPU, an operation that cannot be recorded, or a panic of `work`, with libtorch's text; after the last two
    /// [nothing is recorded any more](has_failed) in this process.
    pub fn record<T>(device: Device, work: impl FnOnce() -> T) -> Result<(Self, T), String> {
        let Device::Cuda(index) = device else { return Err(format!("{device:?} is no GPU")) };
        if has_failed() {
            return Err("an earlier recording failed".to_owned());
        }
        let recorded = Self::attempt(index, work);
        if recorded.is_err() {
            HAS_FAILED.store(true, Ordering::Relaxed);
        }
        recorded
    }

    fn attempt<T>(index: usize, work: impl FnOnce() -> T) -> Result<(Self, T), String> {
        let (mut recording, mut graph) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the place for the result is alive throughout.
        failure(unsafe { ffi::pliant_graph_begin(index as i64, &raw mut recording) })?;
        IS_RECORDING.set(true);
        let made = catch_unwind(AssertUnwindSafe(work));
        IS_RECORDING.set(false);
        // SAFETY: begun above, and ended once; the place for the result is alive throughout.
        let ended = failure(unsafe { ffi::pliant_graph_end(recording, &raw mut graph) });
        let graph = ended.map(|()| Self(graph));
        let made = made.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without a text".to_owned())
        })?;
        Ok((graph?, made))
    }

    /// Has the device do it, after what was launched before; nobody waits for it.
    ///
    /// # Panics
    /// If the device fails.
    pub fn launch(&mut self) {
        // SAFETY: the graph is whole: `record` gives out no other.
        check(unsafe { ffi::pliant_graph_launch(self.0) });
    }
}

/// What a function of the shim said, as an error.
fn failure(text: *mut c_char) -> Result<(), String> {
    taken(text).map_or(Ok(()), Err)
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: nothing refers to it any more. What a driver that is shutting down says about it changes nothing.
        let _freed = failure(unsafe { ffi::pliant_graph_free(self.0) });
    }
}

/// What was done beside the rest; see [`beside`].
#[derive(Debug)]
#[must_use = "what is recorded must be joined"]
pub struct Beside<T> {
    made: T,
    work: Option<*mut c_void>,
}

/// One of the streams beside a graph's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// One of them.
    First = 1,
    /// The other.
    Second = 2,
}

/// Does `work`. In a graph's recording it is written down as independent of all that comes before
/// [`Beside::join`], so that the device may do both at once; it reads nothing that is dropped or changed until then.
/// Works in different lanes run beside each other too.
pub fn beside<T>(device: Device, lane: Lane, work: impl FnOnce() -> T) -> Beside<T> {
    let (Device::Cuda(index), true) = (device, IS_RECORDING.get()) else {
        return Beside { made: work(), work: None };
    };
    let mut handle = ptr::null_mut();
    // SAFETY: the place for the result is alive throughout.
    check(unsafe { ffi::pliant_beside_begin(index as i64, lane as i64, &raw mut handle) });
    let made = catch_unwind(AssertUnwindSafe(work));
    // SAFETY: begun above, not yet joined.
    check(unsafe { ffi::pliant_beside_end(handle) });
    match made {
        Ok(made) => Beside { made, work: Some(handle) },
        Err(panic) => std::panic::resume_unwind(panic), // the recording is lost, and so is the handle
    }
}

impl<T> Beside<T> {
    /// What came of it, for what is done from here on.
    pub fn join(self) -> T {
        if let Some(handle) = self.work {
            // SAFETY: begun and ended by `beside`, joined once.
            check(unsafe { ffi::pliant_beside_join(handle) });
        }
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_recorded_without_a_gpu() {
        let error = Graph::record(Device::Cpu, || panic!("not to be called")).expect_err("no GPU");
        assert!(error.contains("no GPU") && !has_failed(), "{error}");
        let both = beside(Device::Cpu, Lane::First, || 1).join()
            + beside(Device::Cpu, Lane::Second, || 2).join();
        assert_eq!(both, 3);
    }
}
