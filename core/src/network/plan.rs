//! What interventions may change before a network is built.

use std::{fmt, sync::Arc};

use super::ActivationFunction;
use crate::head::Head;

/// What interventions may change before a network is built. A network that has no place for
/// something planned refuses it ([`Architecture::supports`](super::Architecture::supports)).
#[derive(Clone, Debug, Default)]
pub struct NetworkPlan {
    /// Normalisation of every hidden layer.
    pub norm: Option<Norm>,
    /// In the place of the network's own activation.
    pub activation: Option<PlannedActivation>,
    /// How outputs are read as Q-values and compared with targets.
    pub head: Head,
    /// Layers whose weights are divided by their spectral norm.
    pub spectral: Vec<SpectralNorm>,
    /// Who puts an optimiser in the place of the configured one.
    pub optimizer: Option<&'static str>,
    /// Further linear outputs of the features, trained by whoever planned them.
    pub auxiliary: Vec<AuxiliaryHead>,
    /// Plasticity injection may take place later.
    pub expects_injection: bool,
    /// Plasticity injection has taken place.
    pub is_injected: bool,
}

impl NetworkPlan {
    /// Plans a normalisation. An error if there is one already.
    pub fn set_norm(&mut self, norm: Norm) -> Result<(), String> {
        if let Some(present) = &self.norm {
            return Err(format!("the network already has a {present}"));
        }
        self.norm = Some(norm);
        Ok(())
    }

    /// Plans an activation. An error if there is one already.
    pub fn set_activation(&mut self, activation: PlannedActivation) -> Result<(), String> {
        if let Some(present) = &self.activation {
            let function = &present.function;
            return Err(format!("the network's activation is already planned: {function:?}"));
        }
        self.activation = Some(activation);
        Ok(())
    }

    /// Plans a head other than the scalar one. An error if there is one already.
    pub fn set_head(&mut self, head: Head) -> Result<(), String> {
        if self.head != Head::Scalar {
            return Err(format!("the network already has a head with {}", self.head));
        }
        self.head = head;
        Ok(())
    }

    /// Plans an optimiser in the place of the configured one. An error if there is one already.
    pub fn set_optimizer(&mut self, kind: &'static str) -> Result<(), String> {
        match self.optimizer.replace(kind) {
            None => Ok(()),
            Some(present) => Err(format!("`{present}` already takes the optimiser's place")),
        }
    }

    /// What the weight of this layer is divided by, if it was planned.
    pub fn spectral_norm_of(&self, layer: &str) -> Option<&SpectralNorm> {
        self.spectral.iter().find(|norm| norm.layers.iter().any(|name| name == layer))
    }

    /// The name of the first thing planned that changes a network's layers (anything but the head).
    pub fn first_change(&self) -> Option<&'static str> {
        let changes = [
            (self.norm.is_some(), "a normalisation"),
            (self.activation.is_some(), "another activation"),
            (!self.spectral.is_empty(), "spectral normalisation"),
            (!self.auxiliary.is_empty(), "auxiliary heads"),
            (self.expects_injection || self.is_injected, "plasticity injection"),
        ];
        changes.into_iter().find_map(|(is_planned, name)| is_planned.then_some(name))
    }
}

/// Normalisation of every hidden layer: over all units of one observation (of a convolution: over
/// channels, rows and columns).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// What is divided by.
    pub kind: NormKind,
    /// Where it stands.
    pub position: NormPosition,
    /// Whether each unit (of a convolution: each channel) has a learned scale, and with
    /// [`NormKind::Layer`] an offset.
    pub affine: bool,
    /// Added to the variance, or to the mean square.
    pub eps: f64,
}

impl fmt::Display for Norm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NormKind::Layer => "layer normalisation",
            NormKind::RootMeanSquare => "root-mean-square normalisation",
        };
        let place = match self.position {
            NormPosition::BeforeActivation => "before",
            NormPosition::AfterActivation => "after",
        };
        write!(formatter, "{kind} {place} the activation (eps {})", self.eps)
    }
}

/// What a normalisation takes away and divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// The mean, and the standard deviation (Ba et al., 2016).
    Layer,
    /// Nothing, and the root mean square (Zhang & Sennrich, 2019).
    RootMeanSquare,
}

/// Where a normalisation stands.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NormPosition {
    /// Between the linear map and the activation.
    #[default]
    BeforeActivation,
    /// After the activation.
    AfterActivation,
}

/// An activation in the place of the network's own.
#[derive(Clone, Debug)]
pub struct PlannedActivation {
    /// The function.
    pub function: Arc<dyn ActivationFunction>,
    /// Layers get as many units as leave their number of outputs as it was, where the function has
    /// several outputs per unit.
    pub keeps_outputs: bool,
}

/// Weights that are divided by their largest singular value.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralNorm {
    /// Names of layers, or `first`, `first_dense`, `last_hidden`, `all` (every layer but the output).
    pub layers: Vec<String>,
    /// The spectral norm that the weights then have.
    pub norm: f64,
    /// Power iterations after each update.
    pub iterations: u32,
}

/// Linear outputs of the features that the output layer reads: variables `name/weight`
/// `[outputs, features]` and `name/bias` `[outputs]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuxiliaryHead {
    /// Its name.
    pub name: String,
    /// Its outputs.
    pub outputs: i64,
}
