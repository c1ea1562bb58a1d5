//! A tensor's place on a device, for values that come from main memory again and again.

use pliant_core::recording::copy_without_waiting;
use tch::{Device, Tensor};

/// A tensor on a GPU that is filled anew each time, through page-locked memory, so that nobody waits for it.
pub struct Place {
    host: Tensor,
    there: Tensor,
}

impl Place {
    /// Room on this device for tensors like `values`, which must lie in main memory.
    pub fn like(values: &Tensor, device: Device) -> Self {
        let host = if device.is_cuda() { values.pin_memory(device) } else { values.copy() };
        Self { host, there: values.to_device(device).copy() }
    }

    /// Where they come to lie.
    pub fn there(&self) -> &Tensor {
        &self.there
    }

    /// Puts the values there. Something computed from the ones before must have been read.
    pub fn put(&mut self, values: &Tensor) {
        self.host.copy_(values);
        copy_without_waiting(&mut self.there, &self.host);
    }
}
