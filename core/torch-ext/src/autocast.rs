//! Computing in less than f32 where it is safe.

use tch::Device;

use crate::ffi::{self, check};

/// Runs `work` with PyTorch's autocast to bfloat16 for this device, in this thread: linear maps and
/// convolutions compute in bfloat16 (8 bits of mantissa, the range of f32), reductions and losses in f32.
/// Parameters and their gradients stay f32.
///
/// The cast of a parameter is kept until the outermost call ends: within one, what needs gradients must
/// come before what is under [`tch::no_grad`].
pub fn bf16<T>(device: Device, work: impl FnOnce() -> T) -> T {
    let _on = Autocast::switched(device, true);
    work()
}

/// Runs `work` in f32 within [`bf16`].
pub fn full<T>(device: Device, work: impl FnOnce() -> T) -> T {
    let _off = Autocast::switched(device, false);
    work()
}

/// Whether GPUs may multiply f32 numbers in TF32 (10 bits of mantissa, tensor cores), in the whole process. By
/// libtorch's default convolutions may, products of matrices may not.
pub fn allow_tf32(allowed: bool) {
    // SAFETY: no pointer is passed.
    check(unsafe { ffi::pliant_allow_tf32(allowed) });
}

/// Autocast as it was told, as long as this lives.
struct Autocast {
    is_cuda: bool,
    enabled: bool,
    before: bool,
}

impl Autocast {
    fn switched(device: Device, enabled: bool) -> Self {
        let is_cuda = device.is_cuda();
        Self { is_cuda, enabled, before: switch(is_cuda, enabled) }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        switch(self.is_cuda, self.before);
        if self.enabled && !self.before {
            // SAFETY: nothing is passed.
            check(unsafe { ffi::pliant_forget_casts() });
        }
    }
}

/// What it was before.
fn switch(is_cuda: bool, enabled: bool) -> bool {
    let mut before = false;
    // SAFETY: the place for the result is alive throughout.
    check(unsafe { ffi::pliant_autocast(is_cuda, enabled, &raw mut before) });
    before
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn linear_maps_are_in_bfloat16_and_gradients_in_f32() {
        let weight = Tensor::randn([8, 8], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let input = Tensor::randn([4, 8], (Kind::Float, Device::Cpu));
        let output = bf16(Device::Cpu, || input.linear::<Tensor>(&weight, None));
        assert_eq!(output.kind(), Kind::BFloat16);
        output.to_kind(Kind::Float).square().sum(Kind::Float).backward();
        assert_eq!(weight.grad().kind(), Kind::Float);
        assert_eq!(input.linear::<Tensor>(&weight, None).kind(), Kind::Float, "switched off again");
    }

    #[test]
    fn a_parameter_that_changed_is_cast_anew() {
        let weight = Tensor::ones([1, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let output = || bf16(Device::Cpu, || weight.matmul(&weight).double_value(&[0, 0]));
        assert_eq!(output(), 1.0);
        let _ = tch::no_grad(|| weight.shallow_clone().fill_(3.0));
        assert_eq!(output(), 9.0);
    }

    #[test]
    fn it_ends_with_a_panic_too_and_may_be_nested() {
        let caught = std::panic::catch_unwind(|| bf16(Device::Cpu, || panic!("on purpose")));
        assert!(caught.is_err());
        let one = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
        let kind = || one.matmul(&one).kind();
        assert_eq!(kind(), Kind::Float);
        bf16(Device::Cpu, || {
            bf16(Device::Cpu, || assert_eq!(kind(), Kind::BFloat16));
            assert_eq!(kind(), Kind::BFloat16, "still on outside the inner one");
            full(Device::Cpu, || assert_eq!(kind(), Kind::Float));
            assert_eq!(kind(), Kind::BFloat16);
        });
    }
}
