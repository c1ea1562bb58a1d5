//! Targets of temporal-difference learning, as functions of their arguments.

use pliant_core::head::select_action;
use tch::Tensor;

/// Double Q-learning targets (van Hasselt et al., 2016): the online network selects the next action,
/// the target network values it: `r_t + discount_t * q_t_value[argmax q_t_selector]`.
///
/// `q_t_*`: f32 `[batch, actions]`; `r_t`, `discount_t`: f32 `[batch]`. Returns f32 `[batch]`; no
/// gradient flows through it. The TD error is this minus `q_tm1[a_tm1]`.
pub fn double_q_target(
    r_t: &Tensor,
    discount_t: &Tensor,
    q_t_value: &Tensor,
    q_t_selector: &Tensor,
) -> Tensor {
    let a_t = q_t_selector.argmax(1, false);
    (r_t + discount_t * select_action(q_t_value, &a_t)).detach()
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
        let target = double_q_target(&r_t, &discount_t, &q_t_value, &q_t_selector);
        let target = Vec::<f32>::try_from(&target).expect("f32");
        assert_eq!(target, [1.0 + 0.5 * 20.0, 2.0, 3.0 + 0.25 * 60.0, 4.0 + 0.5 * 70.0]);
    }

    #[test]
    fn no_gradient_flows_through_the_target() {
        let q_t = Tensor::from_slice(&[1.0f32, 2.0]).reshape([1, 2]).set_requires_grad(true);
        let one = Tensor::from_slice(&[1.0f32]).set_requires_grad(true);
        assert!(!double_q_target(&one, &one, &q_t, &q_t).requires_grad());
    }
}
