//! A small GPT whose output layer is its embedding, as candle would have it, and what training and
//! Atlas need to know of it.

use atlas_core::candle_core::{D, DType, Device, Result as CandleResult, Tensor};
use atlas_core::candle_nn::{Embedding, Linear, Module, VarBuilder, embedding, linear, loss, ops};
use atlas_core::nn::LayerNorm;
use atlas_core::prelude::*;
use atlas_core::random::permutation;

use super::activation;

/// Continues a text, byte by byte.
#[derive(AtlasModel)]
#[atlas(name = "gpt", version = 1, golden = logits_of_a_text, validate = heads_fit)]
pub struct Gpt {
    /// Tokens that it sees at once.
    #[param(default = 16, min = 2)]
    pub context: usize,
    /// Different tokens.
    #[param(default = 32, min = 2)]
    pub tokens: usize,
    /// Width of a token's vector.
    #[param(default = 16, min = 1)]
    pub width: usize,
    /// Heads of attention.
    #[param(default = 2, min = 1)]
    pub heads: usize,
    /// Blocks of attention and perceptron.
    #[param(default = 2, min = 1)]
    pub blocks: usize,
    /// Share of units that training leaves out.
    #[param(default = 0.1, min = 0.0, max = 0.9)]
    pub dropout: f64,

    #[network]
    pub net: Net,
}

fn heads_fit(params: &GptParams) -> Result<(), &'static str> {
    if params.width.is_multiple_of(params.heads) {
        Ok(())
    } else {
        Err("`width` is a multiple of `heads`")
    }
}

/// The logits of a fixed sequence: an activation, an epsilon or a mask that changes, changes them.
fn logits_of_a_text(model: &Gpt) -> Result<Tensor> {
    let ids: Vec<u32> = (0..model.context as u32)
        .map(|at| at * 7 % model.tokens as u32)
        .collect();
    let ids = Tensor::new(ids, model.net.device())?.unsqueeze(0)?;
    model.net.logits(&ids, 0.0, &mut Step::evaluation())
}

/// The network.
pub struct Net {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// The weight of `tokens`, by the same name: one tensor.
    output: Tensor,
}

struct Block {
    norms: [LayerNorm; 2],
    attention: Linear,
    projection: Linear,
    widen: Linear,
    narrow: Linear,
    heads: usize,
}

impl Net {
    fn new(params: &GptParams, vb: VarBuilder) -> CandleResult<Self> {
        let &GptParams {
            context,
            tokens,
            width,
            heads,
            ..
        } = params;
        let block = |number| {
            let vb = vb.pp("blocks").pp(number);
            Ok(Block {
                norms: [
                    LayerNorm::new(width, 1e-5, vb.pp("norm1"))?,
                    LayerNorm::new(width, 1e-5, vb.pp("norm2"))?,
                ],
                attention: linear(width, 3 * width, vb.pp("attention"))?,
                projection: linear(width, width, vb.pp("projection"))?,
                widen: linear(width, 4 * width, vb.pp("widen"))?,
                narrow: linear(4 * width, width, vb.pp("narrow"))?,
                heads,
            })
        };
        Ok(Self {
            tokens: embedding(tokens, width, vb.pp("tokens"))?,
            positions: embedding(context, width, vb.pp("positions"))?,
            blocks: (0..params.blocks).map(block).collect::<CandleResult<_>>()?,
            norm: LayerNorm::new(width, 1e-5, vb.pp("norm"))?,
            output: vb.pp("tokens").get((tokens, width), "weight")?,
        })
    }

    fn device(&self) -> &Device {
        self.output.device()
    }

    /// Ids `[batch, length]` to logits `[batch, length, tokens]`.
    pub fn logits(&self, ids: &Tensor, dropout: f64, step: &mut Step) -> Result<Tensor> {
        let (_, length) = ids.dims2()?;
        let places = Tensor::arange(0, length as u32, ids.device())?;
        let hidden = self.tokens.forward(ids)?;
        let mut hidden = hidden.broadcast_add(&self.positions.forward(&places)?)?;
        let mask = mask(length, hidden.dtype(), ids.device())?;
        for block in &self.blocks {
            hidden = block.forward(&step.dropout(&hidden, dropout)?, &mask)?;
        }
        let hidden = self.norm.forward(&hidden)?;
        Ok(hidden.broadcast_matmul(&self.output.t()?)?)
    }
}

/// 0 where a token may be looked at, and a large negative number where it comes later.
fn mask(length: usize, dtype: DType, device: &Device) -> CandleResult<Tensor> {
    let later = |(row, column)| if column > row { -1e4f32 } else { 0.0 };
    let places = (0..length).flat_map(|row| (0..length).map(move |column| (row, column)));
    let mask: Vec<f32> = places.map(later).collect();
    Tensor::from_vec(mask, (length, length), device)?.to_dtype(dtype)
}

impl Block {
    fn forward(&self, x: &Tensor, mask: &Tensor) -> CandleResult<Tensor> {
        let x = (x + self.attend(&self.norms[0].forward(x)?, mask)?)?;
        let hidden = activation(&self.widen.forward(&self.norms[1].forward(&x)?)?)?;
        x + self.narrow.forward(&hidden)?
    }

    fn attend(&self, x: &Tensor, mask: &Tensor) -> CandleResult<Tensor> {
        let (batch, length, width) = x.dims3()?;
        let size = width / self.heads;
        let all = self.attention.forward(x)?;
        let head = |which: usize| {
            let part = all.narrow(D::Minus1, which * width, width)?;
            let part = part.reshape((batch, length, self.heads, size))?;
            part.transpose(1, 2)?.contiguous()
        };
        let (query, key, value) = (head(0)?, head(1)?, head(2)?);
        let scores = (query.matmul(&key.t()?.contiguous()?)? / (size as f64).sqrt())?;
        let weights = ops::softmax(&scores.broadcast_add(mask)?, D::Minus1)?;
        let mixed = weights.matmul(&value)?.transpose(1, 2)?;
        self.projection
            .forward(&mixed.reshape((batch, length, width))?)
    }
}

/// Token ids, one more than the model sees at once: each is to be predicted from those before it.
pub type Example = Vec<u32>;

impl Objective for Gpt {
    type Input = Example;

    fn loss(&self, batch: &[&Example], step: &mut Step) -> Result<Loss> {
        let ids: Vec<u32> = batch.iter().flat_map(|ids| ids.iter().copied()).collect();
        let length = self.context + 1;
        let ids = Tensor::from_vec(ids, (batch.len(), length), self.net.device())?;
        let inputs = ids.narrow(1, 0, self.context)?.contiguous()?;
        let targets = ids.narrow(1, 1, self.context)?.flatten_all()?;
        let logits = self.net.logits(&inputs, self.dropout, step)?;
        let total = loss::cross_entropy(&logits.flatten_to(1)?, &targets)?;
        Ok(Loss {
            total,
            parts: Vec::new(),
        })
    }
}

/// Sequences of the default parameters that count up in steps of 1 to 3.
pub fn data(count: u64) -> Vec<Example> {
    let GptParams {
        context, tokens, ..
    } = GptParams::default();
    let draw = |number: u64| {
        let order = permutation(tokens, number);
        let (start, by) = (order[0] as u32, order[1] as u32 % 3 + 1);
        let ids = (0..=context as u32).map(|at| (start + at * by) % tokens as u32);
        ids.collect()
    };
    (0..count).map(draw).collect()
}
