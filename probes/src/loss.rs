//! Losses of a batch whose gradients and curvature are looked at.

use pliant_core::{
    learner::Learner,
    network::Taps,
    probe::{Subject, Transitions},
    seeds::Stream,
    tch::{Kind, Tensor},
};
use serde::{Deserialize, Serialize};

/// Which loss.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// `(f(x) - stop_gradient(f(x)) + eps)^2` with eps from N(0, 1), summed over actions (Lyle et al.,
    /// 2023, figure 2): as if targets were noise around the present predictions.
    #[default]
    Probe,
    /// The agent's own.
    Primary,
}

/// How the noise of [`LossKind::Probe`] is drawn. The paper does not say.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// For each action, the same for all transitions: gradients of two transitions then point the same way
    /// where their predictions move together.
    #[default]
    Shared,
    /// For each action of each transition: signs mean nothing then.
    Each,
}

impl Noise {
    /// An error if noise is set, but none of the losses draws any.
    pub(crate) fn check(noise: Option<Self>, losses: &[LossKind]) -> Result<(), String> {
        if noise.is_none() || losses.contains(&LossKind::Probe) {
            return Ok(());
        }
        Err("`noise` is set, but only the loss probe has any: expected that loss, or no `noise`"
            .to_owned())
    }
}

impl LossKind {
    /// For tags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Primary => "primary",
        }
    }

    /// The loss of each transition, f32 `[batch]`, of `learner` (the subject's or a fork of it).
    pub fn losses(
        self,
        subject: &Subject<'_>,
        learner: &Learner,
        batch: &Transitions,
        noise: (Noise, &mut Stream),
        taps: Option<&mut Taps>,
    ) -> Tensor {
        match self {
            Self::Primary => subject.data.losses(learner, batch, taps),
            Self::Probe => {
                let online = &learner.online;
                let q = online.head().q_values(&online.forward(&batch.s_tm1, taps));
                let [size, actions] = [q.size()[0], q.size()[1]];
                let (noise, stream) = noise;
                let shape = [if noise == Noise::Each { size } else { 1 }, actions];
                let eps = stream.normal(&shape, 1.0).to_device(q.device());
                let error = &q - q.detach() + eps;
                error.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
            }
        }
    }
}
