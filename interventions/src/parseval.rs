//! Parseval regularisation.

use pliant_core::{
    error::Result,
    intervention::{Hook, Intervention},
    learner::Learner,
    ranges::{not_negative, positive},
    schedule::{HasSchedule, Scheduled, UpdateWindow},
    seeds::Stream,
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    redraw::check_weights,
    schedule::{InWindow, Penalty, sum},
};

/// Parseval regularisation (Cisse et al., 2017; Chung et al., 2024): for the weight of every
/// hidden layer, as a matrix W [units, inputs * area], `coefficient * |W W^T - scale * I|^2` (Frobenius)
/// is added to the loss. Where there are more units than inputs, whose rows cannot all be orthogonal,
/// W^T W takes its place. Weights that `spectral_norm` divides are left out. Target network and moments are not touched, but moments see the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParsevalConfig {
    /// Strength.
    pub coefficient: f64,
    /// The squared length that rows are drawn to.
    pub scale: f64,
}

impl Default for ParsevalConfig {
    fn default() -> Self {
        Self { coefficient: 1e-3, scale: 1.0 }
    }
}

impl HasSchedule for ParsevalConfig {
    type Schedule = UpdateWindow;

    fn default_schedule() -> UpdateWindow {
        UpdateWindow::always()
    }
}

/// Keeps weights near orthogonal.
#[derive(Debug)]
pub struct Parseval(ParsevalConfig);

impl Parseval {
    /// Checks the settings.
    pub fn build(config: Scheduled<ParsevalConfig>) -> Result<Box<dyn Intervention>, String> {
        not_negative("coefficient", config.config.coefficient)?;
        positive("scale", config.config.scale)?;
        Ok(InWindow::boxed(Self(config.config), config.schedule))
    }
}

/// `|W W^T - scale * I|^2` of a weight `[units, ..]`.
fn distance(weight: &Tensor, scale: f64) -> Tensor {
    let matrix = weight.flatten(1, -1);
    let [rows, columns] = [matrix.size()[0], matrix.size()[1]];
    let wide = if rows > columns { matrix.transpose(0, 1) } else { matrix };
    let gram = wide.matmul(&wide.transpose(0, 1));
    let identity = Tensor::eye(rows.min(columns), (Kind::Float, weight.device()));
    (gram - identity * scale).square().sum(Kind::Float)
}

impl Penalty for Parseval {
    fn after_build(&mut self, learner: &mut Learner, _stream: &mut Stream) -> Result<(), String> {
        check_weights(&learner.online)
    }

    fn term(&mut self, learner: &Learner, _hook: &mut Hook<'_>) -> Result<Tensor> {
        let distances = crate::hidden_weights(&learner.online)
            .into_iter()
            .filter(|(name, _)| !crate::is_divided(&learner.online, name))
            .map(|(_, weight)| distance(&weight, self.0.scale));
        Ok(sum(distances, learner) * self.0.coefficient)
    }
}

pliant_core::stateless!(Parseval);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let weight = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 2.0]).reshape([2, 2]);
        // W W^T = [[1, 1], [1, 5]], minus I: 0 + 1 + 1 + 16.
        assert_eq!(distance(&weight, 1.0).double_value(&[]), 18.0);
        // Three units of two inputs: W^T W = [[2, 0], [0, 1]], minus 3 I: -1 and -2.
        let tall = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0, 0.0, 1.0]).reshape([3, 2]);
        assert_eq!(distance(&tall, 3.0).double_value(&[]), 5.0);
    }
}
