//! A place on a device for values that come from main memory again and again.

use pliant_core::gpu::{copy_without_waiting, page_locked};
use tch::{Device, Kind, Tensor};

/// A tensor on a GPU that is filled anew each time, through page-locked memory, so that nobody waits for it.
pub struct Place {
    host: Tensor,
    there: Tensor,
}

impl Place {
    /// Room on this device for tensors like `values`, which must lie in main memory.
    pub fn like(values: &Tensor, device: Device) -> Self {
        let host = if device.is_cuda() { page_locked(values) } else { values.copy() };
        Self { host, there: values.empty_like().to_device(device) }
    }

    /// Where they come to lie.
    pub fn there(&self) -> &Tensor {
        &self.there
    }

    /// Puts the values there. Something computed from the ones before must have been read.
    pub fn put(&mut self, values: &Tensor) {
        self.host.copy_(values);
        self.send();
    }

    /// Puts values of bytes there.
    ///
    /// # Panics
    /// If they are not as many as there is room for.
    pub fn put_bytes(&mut self, values: &[u8]) {
        assert_eq!((self.host.kind(), self.host.numel()), (Kind::Uint8, values.len()));
        let to = self.host.data_ptr().cast::<u8>();
        // SAFETY: the tensor is contiguous, in main memory and of this length, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(to, values.len()) }.copy_from_slice(values);
        self.send();
    }

    fn send(&mut self) {
        copy_without_waiting(&mut self.there, &self.host);
    }
}
