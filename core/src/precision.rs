//! The number format that updates compute in.

use pliant_torch_ext::autocast;
use serde::{Deserialize, Serialize};
use tch::Device;

/// The number format of the passes that are learned from. Parameters, gradients, moments, losses and
/// targets are f32 in any case, and so is acting, evaluating and measuring.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32 throughout: the reference.
    #[default]
    F32,
    /// Linear maps and convolutions in bfloat16, as PyTorch's autocast has them: the range of f32 with 8
    /// bits of mantissa. For processors that compute in it (AMX, AVX512-BF16, GPUs since Ampere); it is emulated
    /// elsewhere.
    Bf16,
}

impl Precision {
    /// Computes in this precision, in this thread.
    pub fn compute<T>(self, device: Device, work: impl FnOnce() -> T) -> T {
        match self {
            Self::F32 => work(),
            Self::Bf16 => autocast::bf16(device, work),
        }
    }

    /// As it is written in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
