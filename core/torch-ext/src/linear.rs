//! Linear maps.

use std::ptr;

use tch::Tensor;

use crate::ffi::{self, handle, made};

/// `input` `[n, inputs]` times `weight` `[outputs, inputs]` transposed, plus `bias` `[outputs]`: what
/// [`Tensor::linear`] computes but for rounding, with gradients of any order. In f32 on the CPU by oneDNN, elsewhere
/// by that itself.
pub fn linear(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let bias = bias.map_or(ptr::null_mut(), handle);
    // SAFETY: the handles are alive throughout; a null bias is none.
    made(|result| unsafe { ffi::pliant_linear(handle(input), handle(weight), bias, result) })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// Numbers from -1 to 1 that do not repeat.
    fn numbers(size: [i64; 2], step: f64) -> Tensor {
        let count = size[0] * size[1];
        let angles = Tensor::arange(count, (Kind::Double, Device::Cpu)) * step;
        angles.sin().reshape(size).to_kind(Kind::Float)
    }

    fn learned(tensor: &Tensor) -> Tensor {
        tensor.detach().copy().set_requires_grad(true)
    }

    /// Output, gradients of a loss, and those of the sum of their squares.
    fn derivatives(
        map: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Tensor,
        kind: Kind,
        [input, weight, bias]: &[Tensor; 3],
    ) -> Vec<Tensor> {
        let inputs = [input, weight, bias].map(|tensor| learned(&tensor.to_kind(kind)));
        let output = map(&inputs[0], &inputs[1], Some(&inputs[2]));
        let loss = output.pow_tensor_scalar(3).sum(kind);
        let first = Tensor::run_backward(&[loss], &inputs, true, true);
        let squares = first.iter().map(|gradient| gradient.square().sum(kind));
        let second = Tensor::run_backward(&[squares.sum::<Tensor>()], &inputs, false, false);
        [vec![output.detach()], first, second].into_iter().flatten().collect()
    }

    fn of_libtorch(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        input.matmul(&weight.tr()) + bias.expect("the trials have one")
    }

    #[test]
    fn outputs_and_gradients_of_two_orders_are_those_of_f64() {
        for [n, inputs, outputs] in
            [[1, 1, 1], [5, 7, 3], [32, 100, 65], [33, 17, 128], [80, 40, 30]]
        {
            let tensors = [
                numbers([n, inputs], 0.7),
                numbers([outputs, inputs], 1.3),
                numbers([1, outputs], 0.9).reshape([outputs]),
            ];
            let ours = derivatives(linear, Kind::Float, &tensors);
            let exact = derivatives(of_libtorch, Kind::Double, &tensors);
            for (index, (ours, exact)) in ours.iter().zip(&exact).enumerate() {
                let size = exact.abs().max().double_value(&[]);
                let error = (ours - exact).abs().max().double_value(&[]);
                assert!(
                    error <= 3e-6 * size,
                    "{index} of {n}x{inputs}x{outputs}: {error} of {size}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_learned_has_no_gradient_and_no_bias_is_none() {
        let (input, weight) = (numbers([4, 6], 0.7), numbers([3, 6], 1.3));
        let output = linear(&input, &weight, None);
        assert!(!output.requires_grad());
        assert!(output.allclose(&input.linear(&weight, None::<&Tensor>), 1e-6, 1e-6, false));
        let frozen = learned(&weight);
        let output = linear(&input, &frozen, None);
        output.sum(Kind::Float).backward();
        assert!(!input.grad().defined());
        assert_eq!(frozen.grad().size(), [3, 6]);
        let under = tch::no_grad(|| linear(&input, &frozen, None));
        assert!(!under.requires_grad());
    }

    #[test]
    fn other_kinds_and_shapes_are_left_to_libtorch() {
        let (input, weight) = (numbers([4, 6], 0.7), numbers([3, 6], 1.3));
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let output = linear(&double(&input), &double(&weight), None);
        assert_eq!(output.kind(), Kind::Double);
        let empty = linear(&Tensor::zeros([0, 6], (Kind::Float, Device::Cpu)), &weight, None);
        assert_eq!(empty.size(), [0, 3]);
        let tokens = linear(&input.reshape([2, 2, 6]), &weight, None);
        assert_eq!(tokens.size(), [2, 2, 3]);
        // Expanded, and every other column: with gradients.
        let row = learned(&input.narrow(0, 0, 1));
        let expanded = linear(&row.expand([5, 6], false), &learned(&weight), None);
        expanded.sum(Kind::Float).backward();
        assert!(row.grad().allclose(
            &(weight.sum_dim_intlist([0i64].as_slice(), true, Kind::Float) * 5.0),
            1e-5,
            1e-5,
            false
        ));
        let wide = numbers([4, 12], 0.7);
        let strided = linear(
            &wide.slice(1, None, None, 2),
            &weight,
            Some(&numbers([1, 6], 1.0).reshape([6]).slice(0, None, None, 2)),
        );
        assert_eq!(strided.size(), [4, 3]);
    }
}
