//! Networks: what they compute, what interventions may change before they are built, and what can
//! be read from them.

mod activation;
mod layers;
mod model;
mod pass;
mod plan;
mod spectral;
mod trace;
mod units;

use std::fmt;

pub use activation::{Activation, ActivationFunction};
pub use model::{Model, SETTLED};
pub use pass::{Pass, Taps};
pub use plan::{
    AuxiliaryHead, NetworkPlan, Norm, NormKind, NormPosition, PlannedActivation, SpectralNorm,
};
use pliant_envs::env::EnvSpec;
pub use pliant_torch_ext::linear;
pub use spectral::{PowerIteration, spectral_buffer};
use tch::Tensor;
pub use trace::Traced;

use crate::{error::Result, plugin::panic_text, variables::VariableSource};

/// A hidden layer: its name and the variables around it, as interventions and probes address them.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenLayer {
    /// Name, for tags.
    pub name: String,
    /// Units: neurons of a dense layer, channels of a convolution. The first dimension of every
    /// incoming variable.
    pub units: i64,
    /// Outputs per unit (see [`ActivationFunction::copies`]).
    pub copies: i64,
    /// The greatest size that a unit's output can have, where the activation sets one.
    pub bound: Option<f64>,
    /// Whether an output above 0 is linear (see [`ActivationFunction::is_rectifier`]).
    pub is_rectified: bool,
    /// Whether the units also reach later layers past the outgoing weights, by a skip connection: such
    /// a unit cannot be cut off by them.
    pub is_residual: bool,
    /// Names of the variables that produce it, the running statistics of a normalisation among them: the
    /// weight first, then bias, scale, offset.
    pub incoming: Vec<String>,
    /// Names of the weights that read it.
    pub outgoing: Vec<String>,
}

/// A function from observations to outputs, with its layers open to inspection.
pub trait Network: Send {
    /// `observations`: f32 `[batch, channels, height, width]` in 0..1. Returns f32 `[batch, outputs]`.
    /// Leaves what each hidden layer's activation gave with [`Pass::record`], in order, and what the output layer
    /// reads with [`Pass::record_features`].
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor;

    /// True if a forward pass does the same operations on the same tensors each time: on a GPU it is then written down
    /// once, as a CUDA graph, and launched from then on without being called. False for a network that depends on
    /// anything but values in its variables and observations (a field that changes from pass to pass, a number
    /// read from a tensor), which is then computed operation by operation. Draws by [`Pass`] need not be told.
    fn is_recordable(&self) -> bool {
        true
    }

    /// [`Self::forward`], with the text of its panic as an error. Not to be overridden: it is compiled
    /// where the network is, so that no panic leaves the network for a loaded plug-in that called it
    /// (see [`plugin`](crate::plugin)).
    fn forward_caught(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, String> {
        panic_text(|| self.forward(observations, pass))
    }

    /// The hidden layers, from input to output.
    fn hidden(&self) -> &[HiddenLayer];

    /// True if on a CPU it is quicker with observations whose channels are last in memory, as a network
    /// that begins with a convolution is. By index they are the same `[batch, channels, height, width]`.
    ///
    /// Such a network must not convolve with a kernel of 1x1 and a stride above 1 where it may have fewer
    /// than 16 channels: oneDNN (3.10, in libtorch 2.11) then corrupts memory. Take every n-th row and
    /// column and a stride of 1.
    fn prefers_channels_last(&self) -> bool {
        false
    }
}

/// The sizes and plan a network is built for.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// Channels (of the whole stack), height, width of an observation.
    pub observation: [i64; 3],
    /// Number of actions.
    pub actions: i64,
    /// What the interventions asked for.
    pub plan: NetworkPlan,
}

impl NetworkSpec {
    /// The network an environment needs.
    pub fn new(env: &EnvSpec, plan: NetworkPlan) -> Self {
        let channels = env.frame.channels * env.frame_stack;
        Self {
            observation: [channels as i64, env.frame.height as i64, env.frame.width as i64],
            actions: env.actions.len() as i64,
            plan,
        }
    }

    /// Number of network outputs, `[actions, outputs per action]` in this order.
    pub fn outputs(&self) -> i64 {
        self.actions * self.plan.head.outputs_per_action()
    }
}

/// A kind of network with its settings: builds the same structure every time it is asked.
pub trait Architecture: fmt::Debug + Send + Sync {
    /// Builds a network whose variables all come from `variables`. An error if the settings do not
    /// fit the observations.
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>>;

    /// An error if the network has no place for something that was planned. Every network takes every
    /// head; unless this is overridden, it takes nothing else.
    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        plan.first_change()
            .map_or(Ok(()), |change| Err(format!("this network has no place for {change}")))
    }
}
