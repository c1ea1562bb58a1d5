//! Kinds of network.

mod cnn;
mod impala;
mod maker;
mod mlp;
mod nature;
mod parts;
mod residual;
mod resnet18;
mod sequential;
mod settings;
mod tail;
#[cfg(test)]
mod tests;
mod vit;

pub use cnn::{Cnn, CnnConfig};
pub use impala::{Impala, ImpalaConfig};
pub use mlp::{Mlp, MlpConfig};
pub use nature::{Nature, NatureConfig};
pub use resnet18::{ResNet18, ResNet18Config, Stem};
pub use settings::Initialization;
pub use vit::{Vit, VitConfig};
