//! Single tensors: gradients, observations.

use tch::{Device, Kind, Tensor};

use crate::ffi::{self, check, handle, made};

/// Drops a tensor's gradient. The next backward pass then leaves its own there, where after
/// [`Tensor::zero_grad`] it would add to the zeros: two passes over memory less.
pub fn forget_gradient(tensor: &Tensor) {
    // SAFETY: the handle is alive throughout.
    check(unsafe { ffi::pliant_forget_gradient(handle(tensor)) });
}

/// f32 in 0..1 of bytes, of the same shape: `bytes / 255`, to the bit, in one pass over memory.
pub fn scaled_observations(bytes: &Tensor) -> Tensor {
    if bytes.device() != Device::Cpu || bytes.kind() != Kind::Uint8 {
        return bytes.to_kind(Kind::Float) / 255.0;
    }
    // SAFETY: the handle is alive throughout; the shim checks kind and device.
    made(|result| unsafe { ffi::pliant_scaled_observations(handle(bytes), result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_are_scaled_to_the_bit() {
        let count = 7 * 4 * 61 * 53;
        let bytes = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(256);
        let bytes = bytes.to_kind(Kind::Uint8).reshape([7, 4, 61, 53]);
        assert!(scaled_observations(&bytes).equal(&(bytes.to_kind(Kind::Float) / 255.0)));
        let turned = bytes.transpose(2, 3);
        let expected = turned.to_kind(Kind::Float) / 255.0;
        assert!(scaled_observations(&turned).equal(&expected), "not contiguous");
        let floats = Tensor::from_slice(&[51.0f32]);
        assert_eq!(scaled_observations(&floats).double_value(&[0]), f64::from(51.0f32 / 255.0));
    }

    #[test]
    fn a_forgotten_gradient_is_not_added_to() {
        let x = Tensor::from_slice(&[2.0f32]).set_requires_grad(true);
        let gradient = || {
            (&x * 3.0).sum(Kind::Float).backward();
            x.grad().double_value(&[0])
        };
        assert_eq!([gradient(), gradient()], [3.0, 6.0]);
        forget_gradient(&x);
        assert!(!x.grad().defined());
        assert_eq!(gradient(), 3.0);
    }
}
