//! Heads: how a network's outputs are read as Q-values, and the loss against a target.

mod categorical;

use std::fmt;

pub use categorical::{Categorical, Encoding, Support};
use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor, no_grad};

/// The kinds of output layer. The agent does not know which it has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Head {
    /// One output per action: its Q-value.
    #[default]
    Scalar,
    /// The logits of a distribution over a fixed support, for each action; its mean is the Q-value.
    Categorical(Categorical),
}

/// How a scalar temporal-difference error becomes a loss.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TdLoss {
    /// `0.5 x^2` within 1, `|x| - 0.5` beyond: its gradient is the TD error clipped to -1..1, as in
    /// DQN Zoo (Mnih et al., 2015).
    #[default]
    Huber,
    /// `0.5 x^2`: the gradient is the TD error itself (the MDP agents of Lyle et al., 2023).
    Squared,
}

impl TdLoss {
    /// The loss of each TD error; same shape.
    pub fn apply(self, td_error: &Tensor) -> Tensor {
        let zeros = td_error.zeros_like();
        match self {
            Self::Huber => td_error.huber_loss(&zeros, Reduction::None, 1.0),
            Self::Squared => td_error.square() * 0.5,
        }
    }
}

/// What an action's value should be.
#[derive(Debug)]
pub struct Target {
    /// The Q-value, f32 `[batch]`.
    pub value: Tensor,
    /// The distribution over the support, f32 `[batch, bins]`; only of a categorical head.
    pub distribution: Option<Tensor>,
    /// The share of each transition's target that lay outside the support and was moved to its nearest
    /// end, f32 `[batch]`; only of a categorical head.
    pub outside: Option<Tensor>,
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Categorical(Categorical { support, encoding }) = self else {
            return write!(formatter, "one output per action");
        };
        let targets = match encoding {
            Encoding::TwoHot => "two-hot",
            Encoding::HlGauss { .. } => "Gaussian",
            Encoding::Distributional => "distributional",
        };
        let Support { min, max, bins } = support;
        write!(formatter, "{targets} targets on {bins} bins from {min} to {max}")
    }
}

impl Head {
    /// Outputs the network needs for each action.
    pub fn outputs_per_action(&self) -> i64 {
        match self {
            Self::Scalar => 1,
            Self::Categorical(categorical) => categorical.support.bins,
        }
    }

    /// Q-values, f32 `[batch, actions]`, of outputs f32 `[batch, actions * outputs_per_action]`.
    pub fn q_values(&self, outputs: &Tensor) -> Tensor {
        match self {
            Self::Scalar => outputs.shallow_clone(),
            Self::Categorical(categorical) => categorical.means(&categorical.logits(outputs)),
        }
    }

    /// The one-step target `r_t + discount_t * q_t[a_t]`, where `outputs_t` f32 `[batch, outputs]` belong
    /// to the next state; `r_t`, `discount_t`: f32 `[batch]`; `a_t`: i64 `[batch]`. No gradient flows
    /// through it.
    pub fn target(
        &self,
        r_t: &Tensor,
        discount_t: &Tensor,
        outputs_t: &Tensor,
        a_t: &Tensor,
    ) -> Target {
        match self {
            Self::Scalar => {
                let value = (r_t + discount_t * select_action(outputs_t, a_t)).detach();
                Target { value, distribution: None, outside: None }
            }
            Self::Categorical(categorical) => {
                no_grad(|| categorical.target(r_t, discount_t, outputs_t, a_t))
            }
        }
    }

    /// The loss of each transition, f32 `[batch]`, where `outputs` f32 `[batch, outputs]` belong to
    /// `s_tm1`, `a_tm1` is i64 `[batch]` and `target` is what this head made of the next state. A
    /// categorical head's loss is the cross-entropy; `td_loss` is the scalar head's.
    pub fn loss(
        &self,
        outputs: &Tensor,
        a_tm1: &Tensor,
        target: &Target,
        td_loss: TdLoss,
    ) -> Tensor {
        match (self, &target.distribution) {
            (Self::Categorical(categorical), Some(distribution)) => {
                categorical.cross_entropy(outputs, a_tm1, distribution)
            }
            _ => td_loss.apply(&(&target.value - select_action(outputs, a_tm1))),
        }
    }
}

/// `values[i, actions[i]]` of f32 `[batch, actions]` and i64 `[batch]`: f32 `[batch]`.
pub fn select_action(values: &Tensor, actions: &Tensor) -> Tensor {
    values.gather(1, &actions.unsqueeze(1), false).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor).expect("a float vector")
    }

    #[test]
    fn huber_gradient_is_the_td_error_clipped_to_one() {
        let errors = [-3.0f32, -1.0, -0.25, 0.0, 0.5, 1.0, 7.0];
        let td_error = Tensor::from_slice(&errors).set_requires_grad(true);
        let loss = TdLoss::Huber.apply(&td_error);
        assert_eq!(numbers(&loss), [2.5, 0.5, 0.03125, 0.0, 0.125, 0.5, 6.5]);
        loss.sum(tch::Kind::Float).backward();
        assert_eq!(numbers(&td_error.grad()), [-1.0, -1.0, -0.25, 0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn squared_gradient_is_the_td_error() {
        let td_error = Tensor::from_slice(&[-3.0f32, 0.5]).set_requires_grad(true);
        let loss = TdLoss::Squared.apply(&td_error);
        assert_eq!(numbers(&loss), [4.5, 0.125]);
        loss.sum(tch::Kind::Float).backward();
        assert_eq!(numbers(&td_error.grad()), [-3.0, 0.5]);
    }

    #[test]
    fn scalar_loss_touches_the_taken_action_alone() {
        let outputs = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
        let outputs = outputs.set_requires_grad(true);
        let a_tm1 = Tensor::from_slice(&[1i64, 0]);
        let value = Tensor::from_slice(&[2.5f32, 1.0]);
        let target = Target { value, distribution: None, outside: None };
        let loss = Head::Scalar.loss(&outputs, &a_tm1, &target, TdLoss::Huber);
        assert_eq!(numbers(&loss), [0.125, 1.5]);
        loss.sum(tch::Kind::Float).backward();
        assert_eq!(numbers(&outputs.grad().reshape([4])), [0.0, -0.5, 1.0, 0.0]);
    }

    #[test]
    fn a_target_by_hand_takes_no_gradient() {
        let outputs_t = Tensor::from_slice(&[10.0f32, 20.0, 30.0, 40.0]).reshape([2, 2]);
        let outputs_t = outputs_t.set_requires_grad(true);
        let r_t = Tensor::from_slice(&[1.0f32, 2.0]);
        let discount_t = Tensor::from_slice(&[0.5f32, 0.0]);
        let a_t = Tensor::from_slice(&[1i64, 0]);
        let target = Head::Scalar.target(&r_t, &discount_t, &outputs_t, &a_t);
        assert_eq!(numbers(&target.value), [11.0, 2.0]);
        assert!(!target.value.requires_grad());
    }
}
