//! A block of the transformer.

use std::sync::Arc;

use pliant_core::{
    network::{ActivationFunction, HiddenLayer, Pass},
    tch::{Kind, Tensor},
    variables::Init,
};

use super::VitConfig;
use crate::networks::{
    maker::{Maker, Shape},
    parts::{Map, Parameter, rescaled},
};

/// Layer normalisation of each token.
#[derive(Debug)]
pub(super) struct TokenNorm {
    scale: Parameter,
    offset: Parameter,
    pub names: [String; 2],
}

impl TokenNorm {
    pub fn make(maker: &mut Maker<'_, '_>, name: &str, width: i64) -> Self {
        let names = ["norm_scale", "norm_offset"].map(|part| format!("{name}/{part}"));
        let scale = maker.parameter(&names[0], &[width], Init::Ones);
        let offset = maker.parameter(&names[1], &[width], Init::Zeros);
        Self { scale, offset, names }
    }

    /// f32 `[batch, tokens, width]`.
    pub fn apply(&self, input: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let (scale, offset) = (&self.scale, &self.offset);
        let shape = scale.tensor.size();
        if !pass.is_traced() {
            return input.layer_norm(shape, Some(&scale.tensor), Some(&offset.tensor), 1e-5, true);
        }
        let none = None::<&Tensor>;
        let normalised = input.layer_norm(shape, none, none, 1e-5, true);
        rescaled(&normalised, Some(scale), Some(offset), &[-1], pass)
    }
}

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.
#[derive(Debug)]
pub(super) struct Block {
    attention_norm: TokenNorm,
    /// `[3 * width, width]`: queries, keys and values.
    attention_in: Map,
    attention_out: Map,
    feed_forward_norm: TokenNorm,
    feed_forward_in: Map,
    feed_forward_out: Map,
    activation: Arc<dyn ActivationFunction>,
    heads: i64,
    dropout: f64,
}

impl Block {
    pub fn make(
        maker: &mut Maker<'_, '_>,
        name: &str,
        config: &VitConfig,
        hidden: &mut Vec<HiddenLayer>,
    ) -> Self {
        let [width, feed_forward, heads] =
            [config.width, config.feed_forward, config.heads].map(i64::from);
        let units = maker.units(feed_forward);
        let part = |part: &str| format!("{name}/{part}");
        let dense = |inputs, units| Shape::Dense { inputs, units };
        let attention_norm = TokenNorm::make(maker, &part("attention"), width);
        let attention_in = maker.map(&part("attention_in"), dense(width, 3 * width), true);
        let attention_out = maker.map(&part("attention_out"), dense(width, width), true);
        let feed_forward_norm = TokenNorm::make(maker, &part("feed_forward"), width);
        let feed_forward_in = maker.map(&part("feed_forward_in"), dense(width, units), true);
        let mut described = maker.describe(&part("feed_forward_in"), units, &["weight", "bias"]);
        let read = units * maker.copies();
        let feed_forward_out = maker.map(&part("feed_forward_out"), dense(read, width), true);
        described.outgoing.push(maker.name(&part("feed_forward_out"), "weight"));
        if let Some(stream) = hidden.iter_mut().find(|layer| layer.name == "patch") {
            stream.outgoing.push(maker.name(&part("attention_in"), "weight"));
            stream.outgoing.push(maker.name(&part("feed_forward_in"), "weight"));
        }
        hidden.push(described);
        Self {
            attention_norm,
            attention_in,
            attention_out,
            feed_forward_norm,
            feed_forward_in,
            feed_forward_out,
            activation: Arc::clone(maker.activation()),
            heads,
            dropout: config.dropout,
        }
    }

    /// f32 `[batch, tokens, width]` to the same.
    pub fn forward(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let attended = self.attend(&self.attention_norm.apply(tokens, pass), pass);
        let tokens = tokens + pass.dropout(&attended, self.dropout);
        let fed = self.feed_forward(&self.feed_forward_norm.apply(&tokens, pass), pass);
        tokens + pass.dropout(&fed, self.dropout)
    }

    /// Softmax attention with `1 / sqrt(width / heads)` (Vaswani et al., 2017, equation 1).
    fn attend(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let [batch, count, width] = three(tokens);
        let size = width / self.heads;
        let by_head =
            |part: &Tensor| part.reshape([batch, count, self.heads, size]).transpose(1, 2);
        let mapped = self.attention_in.apply_to_tokens(tokens, pass).chunk(3, -1);
        let [queries, keys, values] = [0, 1, 2].map(|part| by_head(&mapped[part]));
        let scores = queries.matmul(&keys.transpose(-2, -1)) / (size as f64).sqrt();
        let mixed = scores.softmax(-1, Kind::Float).matmul(&values);
        let joined = mixed.transpose(1, 2).reshape([batch, count, width]);
        self.attention_out.apply_to_tokens(&joined, pass)
    }

    fn feed_forward(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        // Units come second wherever they are activated or recorded.
        let mapped = self.feed_forward_in.apply_to_tokens(tokens, pass).transpose(1, 2);
        let activated = self.activation.apply(&mapped);
        pass.record(&activated);
        let kept = pass.dropout(&activated.transpose(1, 2), self.dropout);
        self.feed_forward_out.apply_to_tokens(&kept, pass)
    }
}

fn three(tensor: &Tensor) -> [i64; 3] {
    let size = tensor.size();
    [size[0], size[1], size[2]]
}
