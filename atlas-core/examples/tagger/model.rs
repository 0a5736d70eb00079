//! A bidirectional LSTM that tags words, as candle has it, and what training and Atlas need to know
//! of it.

use atlas_core::candle_core::{Device, Result as CandleResult, Tensor};
use atlas_core::candle_nn::rnn::{Direction, LSTM, LSTMConfig, RNN, lstm};
use atlas_core::candle_nn::{Embedding, Linear, Module, VarBuilder, embedding, linear, loss};
use atlas_core::prelude::*;
use atlas_core::random::permutation;

use super::activation;

/// Tags each word of a sentence.
#[derive(AtlasModel)]
#[atlas(name = "tagger", version = 1, golden = tags_of_a_sentence)]
pub struct Tagger {
    /// Different words.
    #[param(default = 20, min = 2)]
    pub words: usize,
    /// Different tags.
    #[param(default = 3, min = 2)]
    pub tags: usize,
    /// Width of a word's vector and of the state in each direction.
    #[param(default = 12, min = 1)]
    pub width: usize,

    #[network]
    pub net: Net,
}

/// The logits of the tags of a fixed sentence.
fn tags_of_a_sentence(model: &Tagger) -> CandleResult<Tensor> {
    let words: Vec<u32> = (0..7).map(|at| at * 5 % model.words as u32).collect();
    model
        .net
        .logits(&Tensor::new(words, model.net.device())?.unsqueeze(0)?)
}

/// An LSTM in each direction over the vectors of words, a hidden layer, and one for the tags.
pub struct Net {
    words: Embedding,
    directions: [LSTM; 2],
    hidden: Linear,
    tags: Linear,
}

impl Net {
    fn new(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Self> {
        let &TaggerParams { words, tags, width } = params;
        let direction = |direction| {
            let config = LSTMConfig {
                direction,
                ..Default::default()
            };
            lstm(width, width, config, vb.pp("lstm"))
        };
        Ok(Self {
            words: embedding(words, width, vb.pp("words"))?,
            directions: [
                direction(Direction::Forward)?,
                direction(Direction::Backward)?,
            ],
            hidden: linear(2 * width, width, vb.pp("hidden"))?,
            tags: linear(width, tags, vb.pp("tags"))?,
        })
    }

    fn device(&self) -> &Device {
        self.words.embeddings().device()
    }

    /// Words `[batch, length]` to logits `[batch, length, tags]`.
    pub fn logits(&self, words: &Tensor) -> CandleResult<Tensor> {
        let vectors = self.words.forward(words)?;
        let [forward, backward] = &self.directions;
        let ahead = states(forward, &vectors)?;
        let back = states(backward, &vectors.flip(&[1])?)?.flip(&[1])?;
        let hidden = self.hidden.forward(&Tensor::cat(&[ahead, back], 2)?)?;
        self.tags.forward(&activation(&hidden)?)
    }
}

/// The states of a direction, `[batch, length, width]`.
fn states(direction: &LSTM, inputs: &Tensor) -> CandleResult<Tensor> {
    direction.states_to_tensor(&direction.seq(&inputs.contiguous()?)?)
}

/// Words of a sentence, and the tag of each.
pub type Example = (Vec<u32>, Vec<u32>);

impl Objective for Tagger {
    type Input = Example;

    fn loss(&self, batch: &[&Example], _: &mut Step) -> Result<Loss> {
        let rows = |ids: Vec<u32>| {
            let length = ids.len() / batch.len();
            Tensor::from_vec(ids, (batch.len(), length), self.net.device())
        };
        let words = rows(batch.iter().flat_map(|(words, _)| words.clone()).collect())?;
        let tags = rows(batch.iter().flat_map(|(_, tags)| tags.clone()).collect())?;
        let logits = self.net.logits(&words)?.flatten_to(1)?;
        let total = loss::cross_entropy(&logits, &tags.flatten_all()?)?;
        Ok(Loss {
            total,
            parts: Vec::new(),
        })
    }
}

/// Sentences of six words; the tag of a word says whether the one after it is greater, less or
/// absent.
pub fn data(count: u64) -> Vec<Example> {
    let draw = |number: u64| {
        let order = permutation(TaggerParams::default().words, number);
        let words: Vec<u32> = order[..6].iter().map(|word| *word as u32).collect();
        let next = words.windows(2).map(|pair| u32::from(pair[1] > pair[0]));
        let tags = next.chain([2]).collect();
        (words, tags)
    };
    (0..count).map(draw).collect()
}
