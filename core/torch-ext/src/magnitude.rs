//! The size of many tensors together.

use tch::Tensor;

use crate::ffi::{self, Handle, handle, made};

/// The root of the sum of all squares of floating-point tensors that lie on one device: an f64 scalar tensor
/// there, for which nobody waits. In one pass over memory on the CPU, and on CUDA where there are
/// [kernels](crate::fused::why_no_kernels).
///
/// NaN or infinite if one of the numbers is; infinite too if squares are too large for f32, from 1.8e19.
pub fn magnitude(tensors: &[Tensor]) -> Tensor {
    let handles: Vec<Handle> = tensors.iter().map(handle).collect();
    // SAFETY: the handles are alive throughout, and as many as the count says.
    made(|result| unsafe { ffi::pliant_magnitude(handles.len() as i64, handles.as_ptr(), result) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// Sizes that fill no vector, one that fills several pieces, one that lies otherwise in memory.
    fn tensors() -> Vec<Tensor> {
        let numbers = Tensor::arange(70_001, (Kind::Float, Device::Cpu)).remainder(7.0) - 3.0;
        let turned = numbers.narrow(0, 0, 60).reshape([5, 12]).transpose(0, 1);
        vec![numbers.narrow(0, 0, 33).copy(), Tensor::from_slice(&[-2.0f32]), numbers, turned]
    }

    #[test]
    fn it_is_the_norm_of_all_numbers() {
        for count in 1..=4 {
            let tensors = &tensors()[..count];
            let flat: Vec<Tensor> = tensors.iter().map(|one| one.reshape([-1])).collect();
            let expected = Tensor::cat(&flat, 0).to_kind(Kind::Double).norm().double_value(&[]);
            let found = magnitude(tensors).double_value(&[]);
            assert!((found / expected - 1.0).abs() < 1e-6, "{found}, expected {expected}");
        }
        assert_eq!(magnitude(&[]).double_value(&[]), 0.0);
    }

    /// In the first number, in the last, in a full vector and in what is left of one.
    #[test]
    fn one_number_that_is_not_finite_shows_wherever_it_stands() {
        for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in [0, 31, 32, 40_000, 69_999, 70_000] {
                let tensors = tensors();
                let _ = tensors[2].narrow(0, place, 1).fill_(poison);
                let found = magnitude(&tensors).double_value(&[]);
                assert!(!found.is_finite(), "{poison} at {place}");
                assert_eq!(found.is_nan(), poison.is_nan());
            }
        }
    }

    #[test]
    fn tensors_of_other_kinds_are_measured_by_libtorch() {
        let tensors = [Tensor::from_slice(&[3.0f64]), Tensor::from_slice(&[4.0f32])];
        assert_eq!(magnitude(&tensors).double_value(&[]), 5.0);
        let tensors = [Tensor::from_slice(&[f64::NAN]), Tensor::from_slice(&[4.0f32])];
        assert!(magnitude(&tensors).double_value(&[]).is_nan());
    }
}
