//! Settings that networks share.

use pliant_core::{
    error::{Error, Result},
    variables::Init,
};
use serde::{Deserialize, Serialize};

/// How weights and biases are first drawn.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Initialization {
    /// Weights and biases uniform within `1 / sqrt(fan_in)`: DQN Zoo and PyTorch.
    #[default]
    UniformFanIn,
    /// Weights normal with variance `1 / fan_in`, biases 0 (LeCun et al., 1998).
    LecunNormal,
    /// Weights normal with variance `2 / fan_in`, biases 0 (He et al., 2015).
    HeNormal,
    /// Weights uniform within `sqrt(6 / (fan_in + fan_out))`, biases 0 (Glorot & Bengio, 2010):
    /// Dopamine.
    GlorotUniform,
}

impl Initialization {
    /// Of a weight whose units read `fan_in` values each and whose inputs reach `fan_out`.
    pub(super) fn weight(self, fan_in: i64, fan_out: i64) -> Init {
        let (fan_in, fan_out) = (fan_in as f64, fan_out as f64);
        match self {
            Self::UniformFanIn => Init::Uniform { bound: 1.0 / fan_in.sqrt() },
            Self::LecunNormal => Init::Normal { std: 1.0 / fan_in.sqrt() },
            Self::HeNormal => Init::Normal { std: (2.0 / fan_in).sqrt() },
            Self::GlorotUniform => Init::Uniform { bound: (6.0 / (fan_in + fan_out)).sqrt() },
        }
    }

    /// Of the biases beside such a weight.
    pub(super) fn bias(self, fan_in: i64) -> Init {
        match self {
            Self::UniformFanIn => Init::fan_in(fan_in),
            Self::LecunNormal | Self::HeNormal | Self::GlorotUniform => Init::Zeros,
        }
    }
}

/// An error unless a width multiplier can be used.
pub(super) fn check_width(width: f64) -> Result<()> {
    if width > 0.0 && width <= 64.0 {
        return Ok(());
    }
    Err(Error::Invalid(format!("`width` is {width}, expected a number above 0 and at most 64")))
}

/// An error unless a number of units or pixels can be used.
pub(super) fn check_units(key: &str, value: u32) -> Result<()> {
    if (1..=65_536).contains(&value) {
        return Ok(());
    }
    Err(Error::Invalid(format!("`{key}` is {value}, expected 1 to 65536")))
}

/// `base` units times the width multiplier, at least one.
pub(super) fn scaled(base: i64, width: f64) -> i64 {
    ((base as f64 * width).round() as i64).max(1)
}

/// An error unless an observation `[channels, height, width]` has at least `side` rows and columns.
pub(super) fn check_side(network: &str, observation: [i64; 3], side: i64) -> Result<()> {
    let [_, height, width] = observation;
    if height.min(width) >= side {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "`{network}` needs observations of at least {side}x{side} pixels, these have \
         {height}x{width}"
    )))
}
