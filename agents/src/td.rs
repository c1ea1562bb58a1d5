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
