//! Makes the parts of networks, with their variables under names that everyone can rely on.

use std::sync::Arc;

use pliant_core::{
    network::{
        Activation, ActivationFunction, HiddenLayer, NetworkPlan, NetworkSpec, NormPosition,
        spectral_buffer,
    },
    tch::Tensor,
    variables::{Init, VariableSource},
};

use super::{
    Initialization,
    parts::{Form, Layer, Map, Normalization, Output, Parameter, Spectral, Weight},
};

/// Makes maps, normalisations and layers. A layer `name` has the variables `name/weight`, `name/bias`
/// and, if it is normalised with learned scales, `name/norm_scale` and `name/norm_offset`.
pub(super) struct Maker<'a, 's> {
    spec: &'a NetworkSpec,
    variables: &'a mut VariableSource<'s>,
    initialization: Initialization,
    activation: Arc<dyn ActivationFunction>,
    /// Units are divided by the activation's outputs per unit.
    keeps_outputs: bool,
    /// Stands before every name.
    prefix: &'static str,
    /// What is made takes no gradients.
    is_frozen: bool,
}

/// Where a linear map reads and what it makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `[units, inputs]`.
    Dense { inputs: i64, units: i64 },
    /// Square kernels.
    Convolution { channels: i64, units: i64, kernel: i64, stride: i64, padding: i64 },
}

impl<'a, 's> Maker<'a, 's> {
    /// The plan's activation wins over the network's own.
    pub(super) fn new(
        spec: &'a NetworkSpec,
        variables: &'a mut VariableSource<'s>,
        initialization: Initialization,
        activation: Activation,
    ) -> Self {
        let planned = spec.plan.activation.clone();
        let keeps_outputs = planned.as_ref().is_some_and(|planned| planned.keeps_outputs);
        let activation =
            planned.map_or_else(|| Arc::new(activation) as Arc<_>, |planned| planned.function);
        let (prefix, is_frozen) = ("", false);
        Self { spec, variables, initialization, activation, keeps_outputs, prefix, is_frozen }
    }

    /// What is made from now on has names that begin with `prefix`, and takes gradients or not.
    pub(super) fn within(&mut self, prefix: &'static str, is_frozen: bool) {
        (self.prefix, self.is_frozen) = (prefix, is_frozen);
    }

    pub(super) fn plan(&self) -> &NetworkPlan {
        &self.spec.plan
    }

    pub(super) fn activation(&self) -> &Arc<dyn ActivationFunction> {
        &self.activation
    }

    /// Outputs of each unit.
    pub(super) fn copies(&self) -> i64 {
        self.activation.copies()
    }

    /// Units of a layer that would have `base`.
    pub(super) fn units(&self, base: i64) -> i64 {
        if self.keeps_outputs { (base / self.copies()).max(1) } else { base }
    }

    /// A parameter, or a buffer where what is made is frozen.
    pub(super) fn variable(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        if self.is_frozen {
            self.variables.buffer(&name, shape, init)
        } else {
            self.variables.variable(&name, shape, init)
        }
    }

    /// [`Self::variable`] with its full name.
    pub(super) fn parameter(&mut self, name: &str, shape: &[i64], init: Init) -> Parameter {
        let tensor = self.variable(name, shape, init);
        Parameter { name: format!("{}{name}", self.prefix), tensor }
    }

    pub(super) fn buffer(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.variables.buffer(&format!("{}{name}", self.prefix), shape, init)
    }

    /// A linear map with a bias per unit, or without.
    pub(super) fn map(&mut self, name: &str, shape: Shape, has_bias: bool) -> Map {
        let (size, fan_in, fan_out) = shape.sizes();
        let init = self.initialization;
        let parameter =
            self.parameter(&format!("{name}/weight"), &size, init.weight(fan_in, fan_out));
        let bias = has_bias
            .then(|| self.parameter(&format!("{name}/bias"), &size[..1], init.bias(fan_in)));
        let weight = Weight { parameter, spectral: self.spectral(name, size[0]) };
        let form = match shape {
            Shape::Dense { .. } => Form::Dense,
            Shape::Convolution { stride, padding, .. } => Form::Convolution { stride, padding },
        };
        Map { weight, bias, form }
    }

    fn spectral(&mut self, name: &str, units: i64) -> Option<Spectral> {
        let full_name = format!("{}{name}", self.prefix);
        let norm = self.spec.plan.spectral_norm_of(&full_name)?.norm;
        let init = Init::Normal { std: 1.0 };
        Some(Spectral { u: self.buffer(&spectral_buffer(name), &[units], init), norm })
    }

    /// The plan's normalisation of this many channels, if there is one.
    pub(super) fn norm(&mut self, name: &str, channels: i64) -> Option<Normalization> {
        let norm = self.spec.plan.norm?;
        Some(Normalization::new(norm, name, channels, self))
    }

    /// Linear map, activation, and the plan's normalisation before or after it.
    pub(super) fn layer(&mut self, name: &str, shape: Shape) -> Layer {
        let map = self.map(name, shape, true);
        let units = shape.units();
        let channels = match self.spec.plan.norm.map(|norm| norm.position) {
            Some(NormPosition::AfterActivation) => units * self.copies(),
            _ => units,
        };
        let norm = self.norm(name, channels);
        Layer { map, norm, activation: Arc::clone(&self.activation) }
    }

    /// The description of such a layer; what reads it is not known yet.
    pub(super) fn describe(&self, name: &str, units: i64, parts: &[&str]) -> HiddenLayer {
        HiddenLayer {
            name: format!("{}{name}", self.prefix),
            units,
            copies: self.copies(),
            bound: self.activation.bound(),
            is_rectified: self.activation.is_rectifier(),
            is_residual: false,
            incoming: parts.iter().map(|part| self.name(name, part)).collect(),
            outgoing: Vec::new(),
        }
    }

    /// The description of a layer made by [`Self::layer`].
    pub(super) fn describe_layer(&self, name: &str, layer: &Layer, units: i64) -> HiddenLayer {
        let norm = layer.norm.as_ref().map_or(&[][..], Normalization::parts);
        self.describe(name, units, &[&["weight", "bias"], norm].concat())
    }

    /// The full name of a layer's variable.
    pub(super) fn name(&self, layer: &str, part: &str) -> String {
        format!("{}{layer}/{part}", self.prefix)
    }

    /// The linear output layer `output` on this many features, with one bias for each action's outputs or
    /// the same for all actions.
    pub(super) fn output(&mut self, features: i64, shared_bias: bool) -> Output {
        let outputs = self.spec.outputs();
        let per_action = self.spec.plan.head.outputs_per_action();
        let map = self.map("output", Shape::Dense { inputs: features, units: outputs }, false);
        let biases = if shared_bias { per_action } else { outputs };
        let init = self.initialization.bias(features);
        let bias = self.parameter("output/bias", &[biases], init);
        let repeats = outputs / biases;
        Output { map, bias, repeats }
    }

    /// The variables of the plan's auxiliary heads.
    pub(super) fn auxiliary_heads(&mut self, features: i64) {
        for head in &self.spec.plan.auxiliary.clone() {
            let shape = Shape::Dense { inputs: features, units: head.outputs };
            self.map(&head.name, shape, true);
        }
    }
}

impl Shape {
    pub(super) fn units(self) -> i64 {
        match self {
            Self::Dense { units, .. } | Self::Convolution { units, .. } => units,
        }
    }

    /// The weight's size, values that each unit reads, units that read each value.
    fn sizes(self) -> (Vec<i64>, i64, i64) {
        match self {
            Self::Dense { inputs, units } => (vec![units, inputs], inputs, units),
            Self::Convolution { channels, units, kernel, .. } => {
                let area = kernel * kernel;
                (vec![units, channels, kernel, kernel], channels * area, units * area)
            }
        }
    }
}
