//! The number format that updates compute in.

use pliant_torch_ext::autocast;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::{Error, Result};

/// The number format of the passes that are learned from. Parameters, gradients, moments, losses and
/// targets are f32 in any case; acting, evaluating and measuring are not in bf16.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32 throughout: the reference.
    #[default]
    F32,
    /// f32 numbers that a GPU multiplies in TF32: on tensor cores, with 10 bits of mantissa. Of all linear maps
    /// and convolutions, in acting, evaluating and measuring too. For GPUs since Ampere; the CPU has none.
    Tf32,
    /// Linear maps and convolutions in bfloat16, as PyTorch's autocast has them: the range of f32 with 8
    /// bits of mantissa. For processors that compute in it (AMX, AVX512-BF16, GPUs since Ampere); it is emulated
    /// elsewhere.
    Bf16,
}

impl Precision {
    /// Tells the process how GPUs multiply; once, before anything is computed.
    ///
    /// # Errors
    /// A device that cannot compute so.
    pub fn settle(self, device: Device) -> Result<()> {
        if self == Self::Tf32 && !device.is_cuda() {
            let text = "run.precision is tf32, which is for GPUs, but the run computes on the CPU, expected f32 or bf16 (--set run.precision=f32)";
            return Err(Error::Invalid(text.to_owned()));
        }
        autocast::allow_tf32(self == Self::Tf32);
        Ok(())
    }

    /// Computes in this precision, in this thread.
    pub fn compute<T>(self, device: Device, work: impl FnOnce() -> T) -> T {
        match self {
            Self::F32 | Self::Tf32 => work(),
            Self::Bf16 => autocast::bf16(device, work),
        }
    }

    /// As it is written in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}
