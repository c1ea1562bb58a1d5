//! The vision transformer.

mod block;

use std::sync::Arc;

use block::{Block, TokenNorm};

use pliant_core::{
    error::{Error, Result},
    network::{
        Activation, Architecture, HiddenLayer, Network, NetworkPlan, NetworkSpec, Pass, Traced,
    },
    tch::Tensor,
    variables::{Init, VariableSource},
};
use serde::{Deserialize, Serialize};

use super::{
    Initialization,
    maker::{Maker, Shape},
    parts::{Map, Parameter, rescaled},
    settings::{check_side, check_units},
    tail::{Tail, TailRecipe},
};

/// A vision transformer (Dosovitskiy et al., 2021) of the size in Lyle et al. (2023): patches by a
/// convolution, a class token, learned positions, blocks that normalise first, and the class token
/// as features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    /// Side of a patch in pixels; what is left of the last row and column is not seen.
    pub patch: u32,
    /// Width of the model: features of a token.
    pub width: u32,
    /// Units of a block's feed-forward layer.
    pub feed_forward: u32,
    /// Transformer blocks.
    pub depth: u32,
    /// Attention heads, a divisor of `width`. The paper does not state them.
    pub heads: u32,
    /// Share of values dropped while learning: of the embedded patches, of the attention's and the
    /// feed-forward layer's outputs and of its units.
    pub dropout: f64,
    /// Of the feed-forward layers.
    pub activation: Activation,
    /// How parameters are first drawn; positions and class token are normal with deviation 0.02.
    pub initialization: Initialization,
    /// One bias for all actions rather than one for each.
    pub shared_output_bias: bool,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            patch: 3,
            width: 256,
            feed_forward: 1024,
            depth: 1,
            heads: 8,
            dropout: 0.1,
            activation: Activation::Gelu,
            initialization: Initialization::GlorotUniform,
            shared_output_bias: false,
        }
    }
}

/// A vision transformer with its settings.
#[derive(Debug)]
pub struct Vit(VitConfig);

impl Vit {
    /// Checks the settings.
    pub fn build(config: VitConfig) -> Result<Arc<dyn Architecture>> {
        let VitConfig { patch, width, feed_forward, depth, heads, dropout, .. } = config;
        for (key, value) in [("patch", patch), ("width", width), ("feed_forward", feed_forward)] {
            check_units(key, value)?;
        }
        for (key, value) in [("depth", depth), ("heads", heads)] {
            if !(1..=256).contains(&value) {
                return Err(Error::Invalid(format!("`{key}` is {value}, expected 1 to 256")));
            }
        }
        if width % heads != 0 {
            return Err(Error::Invalid(format!(
                "`heads` is {heads}, expected a divisor of the `width` of {width}"
            )));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::Invalid(format!(
                "`dropout` is {dropout}, expected at least 0 and below 1"
            )));
        }
        Ok(Arc::new(Self(config)))
    }
}

impl Architecture for Vit {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let config = &self.0;
        let [patch, width] = [config.patch, config.width].map(i64::from);
        let [channels, rows, columns] = spec.observation;
        check_side("vit", spec.observation, patch)?;
        let mut maker = Maker::new(spec, variables, config.initialization, config.activation);
        let shape =
            Shape::Convolution { channels, units: width, kernel: patch, stride: patch, padding: 0 };
        let patches = maker.map("patch", shape, true);
        let tokens = (rows / patch) * (columns / patch) + 1;
        let small = Init::Normal { std: 0.02 };
        let class = maker.parameter("class_token", &[1, 1, width], small);
        let positions = maker.parameter("positions", &[1, tokens, width], small);
        let mut hidden = vec![HiddenLayer {
            is_residual: true,
            copies: 1,
            bound: None,
            is_rectified: false,
            ..maker.describe("patch", width, &["weight", "bias"])
        }];
        let blocks = (1..=config.depth)
            .map(|number| Block::make(&mut maker, &format!("block{number}"), config, &mut hidden))
            .collect();
        let norm = TokenNorm::make(&mut maker, "norm", width);
        let described = HiddenLayer {
            name: "class_token".to_owned(),
            units: width,
            copies: 1,
            bound: None,
            is_rectified: false,
            is_residual: true,
            incoming: norm.names.to_vec(),
            outgoing: Vec::new(),
        };
        hidden.push(described);
        let recipe = TailRecipe { dense: &[], shared_bias: config.shared_output_bias };
        let tail = Tail::make(&mut maker, recipe, width, &mut hidden);
        let dropout = config.dropout;
        Ok(Box::new(VitNetwork { patches, class, positions, blocks, norm, dropout, tail, hidden }))
    }

    fn supports(&self, plan: &NetworkPlan) -> Result<(), String> {
        match plan.norm {
            Some(_) => Err("a vision transformer already has layer normalisation".to_owned()),
            None => Ok(()),
        }
    }
}

/// Its hidden layers are the embedded patches, the feed-forward layers and the class token at the end.
#[derive(Debug)]
struct VitNetwork {
    patches: Map,
    class: Parameter,
    positions: Parameter,
    blocks: Vec<Block>,
    norm: TokenNorm,
    dropout: f64,
    tail: Tail,
    hidden: Vec<HiddenLayer>,
}

impl VitNetwork {
    /// The class token and the patches f32 `[batch, width, patches]`, each with its position:
    /// f32 `[batch, 1 + patches, width]`.
    fn embed(&self, patches: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let class = self.class.tensor.expand([patches.size()[0], -1, -1], false);
        let (variable, output) = (self.class.name.clone(), class.shallow_clone());
        pass.trace(Traced::Elementwise { variable, view: vec![1, -1], factor: None, output });
        let tokens = Tensor::cat(&[class, patches.transpose(1, 2)], 1);
        let view = &self.positions.tensor.size()[1..];
        rescaled(&tokens, None, Some(&self.positions), view, pass)
    }
}

impl Network for VitNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let patches = self.patches.apply(observations, pass).flatten(2, -1);
        pass.record(&patches);
        let tokens = self.embed(&patches, pass);
        let mut tokens = pass.dropout(&tokens, self.dropout);
        for block in &self.blocks {
            tokens = block.forward(&tokens, pass);
        }
        let features = self.norm.apply(&tokens, pass).select(1, 0);
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
