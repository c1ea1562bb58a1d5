//! Single tensors: gradients, observations, memory formats.

use tch::{Device, Kind, Tensor};

use crate::ffi::{self, check, handle, made};

/// Drops a tensor's gradient. The next backward pass then leaves its own there, where after
/// [`Tensor::zero_grad`] it would add to the zeros: two passes over memory less.
pub fn forget_gradient(tensor: &Tensor) {
    // SAFETY: the handle is alive throughout.
    check(unsafe { ffi::pliant_forget_gradient(handle(tensor)) });
}

/// f32 in 0..1 of bytes, of the same shape: `bytes / 255`, to the bit. With `is_channels_last`, images
/// u8 `[n, channels, height, width]` lie with their channels last in memory.
pub fn scaled_observations(bytes: &Tensor, is_channels_last: bool) -> Tensor {
    if bytes.device() != Device::Cpu || bytes.kind() != Kind::Uint8 || bytes.dim() != 4 {
        let scaled = bytes.to_kind(Kind::Float) / 255.0;
        return if is_channels_last { channels_last(&scaled) } else { scaled };
    }
    // SAFETY: the handle is alive throughout; the shim checks shape, kind and device.
    made(|result| unsafe {
        ffi::pliant_scaled_observations(handle(bytes), is_channels_last, result)
    })
}

/// The same numbers `[n, channels, height, width]` with the channels last in memory, which
/// convolutions are quicker with.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    // SAFETY: the handle is alive throughout.
    made(|result| unsafe { ffi::pliant_channels_last(handle(tensor), result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_are_scaled_to_the_bit_in_either_format() {
        for channels in [1i64, 3, 4, 5] {
            let count = 7 * channels * 12 * 11;
            let bytes = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(256);
            let bytes = bytes.to_kind(Kind::Uint8).reshape([7, channels, 12, 11]);
            let expected = bytes.to_kind(Kind::Float) / 255.0;
            let planes = scaled_observations(&bytes, false);
            assert!(planes.equal(&expected) && planes.is_contiguous());
            let last = scaled_observations(&bytes, true);
            assert!(last.equal(&expected), "{channels} channels");
            if channels > 1 {
                assert_eq!(last.stride(), [channels * 132, 1, channels * 11, channels]);
            }
        }
    }

    #[test]
    fn other_shapes_and_kinds_are_scaled_too() {
        let bytes = Tensor::from_slice(&[0u8, 51, 255]);
        assert_eq!(
            Vec::<f32>::try_from(scaled_observations(&bytes, false)).expect("f32"),
            [0.0, 0.2, 1.0]
        );
        let sliced = Tensor::from_slice(&[0u8, 255, 51, 255]).reshape([1, 1, 2, 2]).transpose(2, 3);
        let expected = sliced.to_kind(Kind::Float) / 255.0;
        assert!(scaled_observations(&sliced, false).equal(&expected), "not contiguous");
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

    #[test]
    #[should_panic(expected = "libtorch: required rank 4 tensor")]
    fn what_libtorch_refuses_is_a_panic_with_its_text() {
        let _ = channels_last(&Tensor::from_slice(&[1.0f32]));
    }
}
