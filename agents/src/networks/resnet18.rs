//! ResNet-18.

mod block;

use std::sync::Arc;

use block::{BatchNorm, Block, Convolution, Norm};

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
    parts::Normalization,
    residual::check_residual_plan,
    settings::{check_width, scaled},
    tail::{Tail, TailRecipe},
};

/// ResNet-18 (He et al., 2016): four stages of two blocks of two 3x3 convolutions, with 64, 128, 256
/// and 512 channels. A planned normalisation takes the place of batch normalisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet18Config {
    /// Multiplies the channels of every layer.
    pub width: f64,
    /// The first layer.
    pub stem: Stem,
    /// Batch normalisation after every convolution (momentum 0.1, eps 1e-5): over the batch while
    /// learning, by running statistics while acting and valuing targets.
    pub batch_norm: bool,
    /// Between linear maps.
    pub activation: Activation,
    /// How parameters are first drawn.
    pub initialization: Initialization,
    /// One bias for all actions rather than one for each.
    pub shared_output_bias: bool,
}

impl Default for ResNet18Config {
    fn default() -> Self {
        Self {
            width: 1.0,
            stem: Stem::Small,
            batch_norm: true,
            activation: Activation::Relu,
            initialization: Initialization::HeNormal,
            shared_output_bias: false,
        }
    }
}

/// The first layer of a ResNet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// A 3x3 convolution, as is usual on MNIST and CIFAR-10.
    #[default]
    Small,
    /// A 7x7 convolution of stride 2 and max-pooling, as on ImageNet: 16 times less to compute.
    Large,
}

/// ResNet-18 with its settings.
#[derive(Debug)]
pub struct ResNet18(ResNet18Config);

impl ResNet18 {
    /// Checks the settings.
    pub fn build(config: ResNet18Config) -> Result<Arc<dyn Architecture>> {
        check_width(config.width)?;
        Ok(Arc::new(Self(config)))
    }
}

impl Architecture for ResNet18 {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let config = &self.0;
        let maker = Maker::new(spec, variables, config.initialization, config.activation);
        let mut builder = Builder { maker, batch_norm: config.batch_norm, hidden: Vec::new() };
        let mut channels = scaled(64, config.width);
        let (kernel, stride) = match config.stem {
            Stem::Small => (3, 1),
            Stem::Large => (7, 2),
        };
        let shape = Shape::Convolution {
            channels: spec.observation[0],
            units: channels,
            kernel,
            stride,
            padding: kernel / 2,
        };
        let stem = builder.convolution("stem", shape);
        builder.describe("stem", "stem", channels, true);
        let mut blocks = Vec::new();
        for (stage, base) in [64, 128, 256, 512].into_iter().enumerate() {
            for number in 1..=2 {
                let name = format!("stage{}/block{number}", stage + 1);
                let stride = if stage > 0 && number == 1 { 2 } else { 1 };
                let units = scaled(base, config.width);
                blocks.push(builder.block(&name, channels, units, stride));
                channels = units;
            }
        }
        let Builder { mut maker, mut hidden, .. } = builder;
        let recipe = TailRecipe { dense: &[], shared_bias: config.shared_output_bias };
        let tail = Tail::make(&mut maker, recipe, channels, &mut hidden);
        let activation = Arc::clone(maker.activation());
        let pools = config.stem == Stem::Large;
        Ok(Box::new(ResNet { stem, pools, blocks, activation, tail, hidden }))
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        check_residual_plan(plan, self.0.activation)
    }
}

struct Builder<'a, 's> {
    maker: Maker<'a, 's>,
    batch_norm: bool,
    hidden: Vec<HiddenLayer>,
}

impl Builder<'_, '_> {
    fn convolution(&mut self, name: &str, shape: Shape) -> Convolution {
        let norm = self.maker.norm(name, shape.units());
        let is_plain = norm.is_none() && !self.batch_norm;
        let map = self.maker.map(name, shape, is_plain);
        let norm = match norm {
            Some(norm) => Norm::Planned(norm),
            None if self.batch_norm => {
                Norm::Batch(BatchNorm::make(&mut self.maker, name, shape.units()))
            }
            None => Norm::None,
        };
        Convolution { map, norm }
    }

    /// Adds the hidden layer `name`, which the convolution `map` produces.
    fn describe(&mut self, name: &str, map: &str, units: i64, is_residual: bool) {
        let norm = self.maker.plan().norm;
        let parts: &[&str] = match norm {
            Some(norm) => &[&["weight"], Normalization::parts_of(norm)].concat(),
            None if self.batch_norm => {
                &["weight", "norm_scale", "norm_offset", "running_mean", "running_variance"]
            }
            None => &["weight", "bias"],
        };
        let described = self.maker.describe(map, units, parts);
        self.hidden.push(HiddenLayer { name: name.to_owned(), is_residual, ..described });
    }

    fn block(&mut self, name: &str, channels: i64, units: i64, stride: i64) -> Block {
        let part = |part: &str| format!("{name}/{part}");
        let shape = |channels, kernel, stride| Shape::Convolution {
            channels,
            units,
            kernel,
            stride,
            padding: kernel / 2,
        };
        let reads = |builder: &mut Self, layer: &str| {
            let weight = builder.maker.name(layer, "weight");
            builder.hidden.last_mut().expect("the stem came first").outgoing.push(weight);
        };
        reads(self, &part("conv1"));
        let first = self.convolution(&part("conv1"), shape(channels, 3, stride));
        let shortcut = (stride != 1 || channels != units).then(|| {
            reads(self, &part("shortcut"));
            self.convolution(&part("shortcut"), shape(channels, 1, stride))
        });
        self.describe(&part("conv1"), &part("conv1"), units, false);
        reads(self, &part("conv2"));
        let second = self.convolution(&part("conv2"), shape(units, 3, 1));
        self.describe(name, &part("conv2"), units, true);
        Block { first, second, shortcut }
    }
}

/// Its hidden layers are the stem, and of each block the inner one and the output.
#[derive(Debug)]
struct ResNet {
    stem: Convolution,
    pools: bool,
    blocks: Vec<Block>,
    activation: Arc<dyn ActivationFunction>,
    tail: Tail,
    hidden: Vec<HiddenLayer>,
}

impl Network for ResNet {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mapped = self.stem.forward(observations, pass);
        let mut stream = self.activation.apply(&mapped);
        pass.record(&stream);
        if self.pools {
            stream = stream.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        }
        for block in &self.blocks {
            stream = block.forward(&stream, self.activation.as_ref(), pass);
        }
        let features = stream.mean_dim([2i64, 3].as_slice(), false, stream.kind());
        self.tail.forward(&features, pass)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &self.hidden
    }

    fn prefers_channels_last(&self) -> bool {
        true
    }
}
