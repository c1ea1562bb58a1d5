//! Targets of temporal-difference learning, as functions of their arguments.

use pliant_core::head::{Head, Target};
use tch::Tensor;

/// Double Q-learning targets (van Hasselt et al., 2016): the online network selects the next action,
/// the target network values it: `r_t + discount_t * q_t_value[argmax q_t_selector]`, or what a
/// categorical head makes of its distribution.
///
/// `outputs_t_*`: f32 `[batch, outputs]` of the target and of the online network; `r_t`, `discount_t`:
/// f32 `[batch]`. No gradient flows through it. The TD error is its value minus `q_tm1[a_tm1]`.
pub fn double_q_target(
    head: &Head,
    r_t: &Tensor,
    discount_t: &Tensor,
    outputs_t_value: &Tensor,
    outputs_t_selector: &Tensor,
) -> Target {
    let a_t = head.q_values(outputs_t_selector).argmax(1, false);
    head.target(r_t, discount_t, outputs_t_value, &a_t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_q_targets_by_hand() {
        let rows = |values: &[f32]| Tensor::from_slice(values).reshape([4, 2]);
        // The online network picks actions 1, 0, 1 and, of two equal, the first.
        let q_t_selector = rows(&[1.0, 2.0, 3.0, 0.0, 0.0, 5.0, 7.0, 7.0]);
        let q_t_value = rows(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]);
        let r_t = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]);
        // A running episode, a terminated one, one that was cut off, another running one.
        let discount_t = Tensor::from_slice(&[0.5f32, 0.0, 0.25, 0.5]);
        let target = double_q_target(&Head::Scalar, &r_t, &discount_t, &q_t_value, &q_t_selector);
        let target = Vec::<f32>::try_from(&target.value).expect("f32");
        assert_eq!(target, [1.0 + 0.5 * 20.0, 2.0, 3.0 + 0.25 * 60.0, 4.0 + 0.5 * 70.0]);
    }

    #[test]
    fn no_gradient_flows_through_the_target() {
        let q_t = Tensor::from_slice(&[1.0f32, 2.0]).reshape([1, 2]).set_requires_grad(true);
        let one = Tensor::from_slice(&[1.0f32]).set_requires_grad(true);
        let target = double_q_target(&Head::Scalar, &one, &one, &q_t, &q_t);
        assert!(!target.value.requires_grad());
    }
}
