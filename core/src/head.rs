//! Heads: how a network's outputs are read as Q-values, and the loss against a target.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

/// The kinds of output layer. The agent does not know which it has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Head {
    /// One output per action: its Q-value.
    #[default]
    Scalar,
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

impl Head {
    /// Outputs the network needs.
    pub fn outputs(&self, actions: i64) -> i64 {
        match self {
            Self::Scalar => actions,
        }
    }

    /// Q-values, f32 `[batch, actions]`, of outputs f32 `[batch, outputs]`.
    pub fn q_values(&self, outputs: &Tensor) -> Tensor {
        match self {
            Self::Scalar => outputs.shallow_clone(),
        }
    }

    /// The loss of each transition, f32 `[batch]`, where `outputs` f32 `[batch, outputs]` belong to
    /// `s_tm1`, `a_tm1` is i64 `[batch]` and `target` f32 `[batch]` is what the Q-value should be.
    /// No gradient flows through the target.
    pub fn loss(
        &self,
        outputs: &Tensor,
        a_tm1: &Tensor,
        target: &Tensor,
        td_loss: TdLoss,
    ) -> Tensor {
        match self {
            Self::Scalar => td_loss.apply(&(target.detach() - select_action(outputs, a_tm1))),
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
        let target = Tensor::from_slice(&[2.5f32, 1.0]).set_requires_grad(true);
        let loss = Head::Scalar.loss(&outputs, &a_tm1, &target, TdLoss::Huber);
        assert_eq!(numbers(&loss), [0.125, 1.5]);
        loss.sum(tch::Kind::Float).backward();
        assert_eq!(numbers(&outputs.grad().reshape([4])), [0.0, -0.5, 1.0, 0.0]);
        assert!(!target.grad().defined(), "no gradient flows through the target");
    }
}
