//! Single tensors: gradients, observations.

use tch::{Device, Kind, Tensor};

use crate::ffi::{self, Handle, check, handle, made};

/// Drops a tensor's gradient. The next backward pass then leaves its own there, where after
/// [`Tensor::zero_grad`] it would add to the zeros: two passes over memory less.
pub fn forget_gradient(tensor: &Tensor) {
    // SAFETY: the handle is alive throughout.
    check(unsafe { ffi::pliant_forget_gradient(handle(tensor)) });
}

/// Puts `gradient` in the place of a tensor's gradient.
pub fn set_gradient(tensor: &Tensor, gradient: &Tensor) {
    // SAFETY: both handles are alive throughout.
    check(unsafe { ffi::pliant_set_gradient(handle(tensor), handle(gradient)) });
}

/// A copy in page-locked memory, from which a GPU copies by itself. Needs a GPU.
pub fn page_locked(tensor: &Tensor) -> Tensor {
    // SAFETY: the handle is alive throughout.
    made(|result| unsafe { ffi::pliant_page_locked(handle(tensor), result) })
}

/// Adds to `words` where tensors lie and how many numbers they have; `with_gradients` also of their gradients, 0
/// where there is none.
pub fn places<'a>(
    tensors: impl Iterator<Item = &'a Tensor>,
    with_gradients: bool,
    words: &mut Vec<u64>,
) {
    let handles: Vec<Handle> = tensors.map(handle).collect();
    let (start, each) = (words.len(), if with_gradients { 4 } else { 2 });
    words.resize(start + each * handles.len(), 0);
    let (count, place) = (handles.len() as i64, words[start..].as_mut_ptr());
    // SAFETY: the handles are alive throughout, and there are as many words as are written.
    check(unsafe { ffi::pliant_places(count, handles.as_ptr(), with_gradients, place) });
}

/// Copies values of the same number. Between a device and [page-locked](page_locked) memory nobody waits
/// for it: what is copied must stay as it is until something that was launched later has been read.
pub fn copy_without_waiting(to: &mut Tensor, from: &Tensor) {
    // SAFETY: both handles are alive throughout.
    check(unsafe { ffi::pliant_copy_without_waiting(handle(to), handle(from)) });
}

/// f32 in 0..1 of bytes, of the same shape: `bytes / 255`, to the bit, in one pass over memory.
pub fn scaled_observations(bytes: &Tensor) -> Tensor {
    if bytes.device() != Device::Cpu || bytes.kind() != Kind::Uint8 {
        let is_bytes = bytes.kind() == Kind::Uint8; // f32 comes of them in the same pass
        return if is_bytes { bytes / 255.0 } else { bytes.to_kind(Kind::Float) / 255.0 };
    }
    // SAFETY: the handle is alive throughout; the shim checks kind and device.
    made(|result| unsafe { ffi::pliant_scaled_observations(handle(bytes), result) })
}

/// The same of images `[n, channels, height, width]`, with the channels last in memory, which convolutions
/// are quicker with on the CPU. To all who read it by index it is the same tensor.
pub fn scaled_channels_last(bytes: &Tensor) -> Tensor {
    if bytes.device() != Device::Cpu || bytes.kind() != Kind::Uint8 {
        let scaled = scaled_observations(bytes);
        return scaled.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    }
    // SAFETY: the handle is alive throughout; the shim checks shape, kind and device.
    made(|result| unsafe { ffi::pliant_scaled_channels_last(handle(bytes), result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// u8 `[n, channels, height, width]`.
    fn bytes(size: [i64; 4]) -> Tensor {
        let numbers = Tensor::arange(size.iter().product::<i64>(), (Kind::Int64, Device::Cpu));
        numbers.remainder(256).to_kind(Kind::Uint8).reshape(size)
    }

    #[test]
    fn observations_are_scaled_to_the_bit() {
        let bytes = bytes([7, 4, 61, 53]);
        assert!(scaled_observations(&bytes).equal(&(bytes.to_kind(Kind::Float) / 255.0)));
        let turned = bytes.transpose(2, 3);
        let expected = turned.to_kind(Kind::Float) / 255.0;
        assert!(scaled_observations(&turned).equal(&expected), "not contiguous");
        let floats = Tensor::from_slice(&[51.0f32]);
        assert_eq!(scaled_observations(&floats).double_value(&[0]), f64::from(51.0f32 / 255.0));
    }

    #[test]
    fn observations_with_channels_last_are_the_same_to_the_bit() {
        for channels in [1, 2, 3, 4, 5, 12] {
            // Areas of one place, of less than is interleaved at a time, and of more.
            for [height, width] in [[1, 1], [12, 11], [61, 53]] {
                let bytes = bytes([7, channels, height, width]);
                let expected = bytes.to_kind(Kind::Float) / 255.0;
                let strides = [channels * height * width, 1, channels * width, channels];
                let last = scaled_channels_last(&bytes);
                assert!(last.equal(&expected), "{channels} channels, {height}x{width}");
                assert_eq!(last.stride(), strides);
                let turned = scaled_channels_last(&bytes.transpose(2, 3));
                assert!(turned.equal(&expected.transpose(2, 3)), "not contiguous");
                let floats = scaled_channels_last(&bytes.to_kind(Kind::Float));
                assert!(floats.equal(&expected), "floats");
            }
        }
    }

    #[test]
    #[should_panic(expected = "libtorch: expected bytes [n, channels, height, width]")]
    fn what_has_no_channels_is_a_panic_with_the_shims_text() {
        let _ = scaled_channels_last(&Tensor::from_slice(&[1u8]));
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
