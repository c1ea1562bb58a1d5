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
};

use tch::Device;

use crate::ffi::{self, check, taken};

thread_local! {
    static IS_RECORDING: Cell<bool> = const { Cell::new(false) };
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
    /// No GPU, an operation that cannot be recorded, or a panic of `work`, with libtorch's text. Nothing is
    /// recorded any more then.
    pub fn record<T>(device: Device, work: impl FnOnce() -> T) -> Result<(Self, T), String> {
        let Device::Cuda(index) = device else { return Err(format!("{device:?} is no GPU")) };
        let mut graph = ptr::null_mut();
        // SAFETY: the place for the result is alive throughout.
        failure(unsafe { ffi::pliant_graph_begin(index as i64, &raw mut graph) })?;
        let graph = Self(graph);
        IS_RECORDING.set(true);
        let made = catch_unwind(AssertUnwindSafe(work));
        IS_RECORDING.set(false);
        // SAFETY: begun above, and ended once.
        let ended = failure(unsafe { ffi::pliant_graph_end(graph.0) });
        let made = made.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without a text".to_owned())
        })?;
        ended.map(|()| (graph, made))
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
pub struct Beside<T> {
    made: T,
    work: Option<*mut c_void>,
}

/// Does `work`. In a graph's recording it is written down as independent of all that comes before
/// [`Beside::join`], so that the device may do both at once; it reads nothing that is dropped or changed until then.
/// `lane`, 1 or 2, tells works apart that are to run beside each other too.
pub fn beside<T>(device: Device, lane: i64, work: impl FnOnce() -> T) -> Beside<T> {
    let (Device::Cuda(index), true) = (device, IS_RECORDING.get()) else {
        return Beside { made: work(), work: None };
    };
    let mut handle = ptr::null_mut();
    // SAFETY: the place for the result is alive throughout.
    check(unsafe { ffi::pliant_beside_begin(index as i64, lane, &raw mut handle) });
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
        assert!(error.contains("no GPU"), "{error}");
        let both = beside(Device::Cpu, 1, || 1).join() + beside(Device::Cpu, 2, || 2).join();
        assert_eq!(both, 3);
    }
}
