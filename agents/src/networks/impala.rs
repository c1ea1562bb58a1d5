//! The residual network of IMPALA.

use std::sync::Arc;

use pliant_core::{
    error::Result,
    network::{
        Activation, ActivationFunction, Architecture, HiddenLayer, Network, NetworkPlan,
        NetworkSpec, Pass,
    },
    tch::Tensor,
    variables::VariableSource,
};
use serde::{Deserialize, Serialize};

use super::{
    Initialization,
    maker::{Maker, Shape},
    parts::{Layer, Map, Normalization},
    residual::{check_residual_plan, half},
    settings::{check_width, scaled},
    tail::{Tail, TailRecipe},
};

/// The residual network of IMPALA (Espeholt et al., 2018): three sections of a 3x3 convolution,
/// max-pooling and two residual blocks, with 16, 32 and 32 channels, and a dense layer of 256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImpalaConfig {
    /// Multiplies the channels of every section (the dense layer stays as it is).
    pub width: f64,
    /// Units of the dense layer.
    pub dense: u32,
    /// Between linear maps.
    pub activation: Activation,
    /// How parameters are first drawn.
    pub initialization: Initialization,
    /// One bias for all actions rather than one for each.
    pub shared_output_bias: bool,
}

impl Default for ImpalaConfig {
    fn default() -> Self {
        Self {
            width: 1.0,
            dense: 256,
            activation: Activation::Relu,
            initialization: Initialization::UniformFanIn,
            shared_output_bias: false,
        }
    }
}

/// The network of IMPALA with its settings.
#[derive(Debug)]
pub struct Impala(ImpalaConfig);

impl Impala {
    /// Checks the settings.
    pub fn build(config: ImpalaConfig) -> Result<Arc<dyn Architecture>> {
        check_width(config.width)?;
        super::settings::check_units("dense", config.dense)?;
        Ok(Arc::new(Self(config)))
    }
}

impl Architecture for Impala {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let ImpalaConfig { width, dense, activation, initialization, shared_output_bias } = self.0;
        let mut maker = Maker::new(spec, variables, initialization, activation);
        let [mut channels, mut rows, mut columns] = spec.observation;
        let (mut sections, mut hidden) = (Vec::new(), Vec::new());
        for (index, units) in [16, 32, 32].into_iter().enumerate() {
            let units = scaled(units, width);
            let name = format!("section{}", index + 1);
            sections.push(Section::make(&mut maker, &name, channels, units, &mut hidden));
            (channels, rows, columns) = (units, half(rows), half(columns));
        }
        let last = maker.describe("section3/block2/conv2", channels, &["weight", "bias"]);
        hidden.push(HiddenLayer { name: "section3".to_owned(), is_residual: true, ..last });
        let recipe = TailRecipe {
            dense: &[("dense".to_owned(), i64::from(dense))],
            shared_bias: shared_output_bias,
        };
        let tail = Tail::make(&mut maker, recipe, channels * rows * columns, &mut hidden);
        let activation = Arc::clone(maker.activation());
        Ok(Box::new(ImpalaNetwork { sections, activation, tail, hidden }))
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        check_residual_plan(plan, self.0.activation)
    }
}

/// A convolution with a normalisation, and no activation.
#[derive(Debug)]
struct Convolution {
    map: Map,
    norm: Option<Normalization>,
}

impl Convolution {
    fn make(maker: &mut Maker<'_, '_>, name: &str, channels: i64, units: i64) -> Self {
        let map = maker.map(name, three_by_three(channels, units), true);
        Self { map, norm: maker.norm(name, units) }
    }

    fn forward(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mapped = self.map.apply(input, pass);
        match &self.norm {
            None => mapped,
            Some(norm) => norm.apply(&mapped, pass),
        }
    }
}

fn three_by_three(channels: i64, units: i64) -> Shape {
    Shape::Convolution { channels, units, kernel: 3, stride: 1, padding: 1 }
}

/// `x + conv2(act(conv1(act(x))))`.
#[derive(Debug)]
struct Block {
    first: Layer,
    second: Convolution,
}

#[derive(Debug)]
struct Section {
    convolution: Convolution,
    blocks: Vec<Block>,
}

impl Section {
    fn make(
        maker: &mut Maker<'_, '_>,
        name: &str,
        channels: i64,
        units: i64,
        hidden: &mut Vec<HiddenLayer>,
    ) -> Self {
        let convolution = Convolution::make(maker, &format!("{name}/conv"), channels, units);
        let mut block = |number: usize| {
            let part = |part: &str| format!("{name}/block{number}/{part}");
            let first = maker.layer(&part("conv1"), three_by_three(units, units));
            let mut described = maker.describe_layer(&part("conv1"), &first, units);
            described.outgoing.push(maker.name(&part("conv2"), "weight"));
            hidden.push(described);
            Block { first, second: Convolution::make(maker, &part("conv2"), units, units) }
        };
        Self { convolution, blocks: vec![block(1), block(2)] }
    }

    fn forward(
        &self,
        input: &Tensor,
        activation: &dyn ActivationFunction,
        pass: &mut Pass<'_>,
    ) -> Tensor {
        let mapped = self.convolution.forward(input, pass);
        let mut stream = mapped.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        for block in &self.blocks {
            let inner = block.first.forward(&activation.apply(&stream), pass);
            stream = &stream + block.second.forward(&inner, pass);
        }
        stream
    }
}

/// Its hidden layers are the inner ones of the blocks, the activated output of the last section, and
/// the dense layer.
#[derive(Debug)]
struct ImpalaNetwork {
    sections: Vec<Section>,
    activation: Arc<dyn ActivationFunction>,
    tail: Tail,
    hidden: Vec<HiddenLayer>,
}

impl Network for ImpalaNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut stream = observations.shallow_clone();
        for section in &self.sections {
            stream = section.forward(&stream, self.activation.as_ref(), pass);
        }
        let features = self.activation.apply(&stream);
        pass.record(&features);
        self.tail.forward(&features, pass)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &self.hidden
    }

    fn prefers_channels_last(&self) -> bool {
        true
    }
}
