//! Transformers that read and write tokens (Vaswani et al., "Attention Is All You Need", 2017), with
//! normalised inputs of their layers (Xiong et al. 2020).

use std::sync::Arc;

use atlas_core::prelude::*;
use atlas_core::random::Dropout;
use candle_core::{Module, Tensor};
use candle_nn::{Embedding, VarBuilder};

use super::tokens::pack_whole;
use super::{Reader, Writer};
use crate::chem::{Smiles, Tokens, Vocabulary};
use crate::nn::{
    self, Decoding, LayerDropout, Linear, Packing, TransformerLayers, TransformerTokenModel,
};

/// A transformer that reads or writes.
#[derive(Params, Clone, Debug, PartialEq)]
#[atlas(validate = check_heads)]
pub struct TransformerParams {
    /// Width of the layers, a multiple of the heads.
    #[param(default = 256, min = 1, max = 65_536)]
    pub hidden_size: usize,
    /// Layers.
    #[param(default = 4, min = 1, max = 64)]
    pub layers: usize,
    /// Heads of the attention.
    #[param(default = 8, min = 1, max = 1024)]
    pub heads: usize,
    /// Units between the two linear maps of a layer.
    #[param(default = 1024, min = 1, max = 65_536)]
    pub feed_forward_size: usize,
    /// Share of units dropped from what each half of a layer adds, in training.
    #[param(default = 0.0, min = 0.0, max = 0.95)]
    pub dropout: f64,
}

fn check_heads(params: &TransformerParams) -> Result<(), String> {
    let TransformerParams {
        hidden_size, heads, ..
    } = params;
    if hidden_size.is_multiple_of(*heads) {
        Ok(())
    } else {
        Err(format!(
            "a hidden_size of {hidden_size} to be a multiple of the {heads} heads"
        ))
    }
}

/// Layers over embedded tokens.
struct Transformer {
    embedding: Embedding,
    layers: TransformerLayers,
    params: TransformerParams,
}

impl Transformer {
    fn new(
        params: &TransformerParams,
        vocabulary: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        let TransformerParams {
            hidden_size,
            layers,
            heads,
            feed_forward_size,
            ..
        } = *params;
        Ok(Self {
            embedding: candle_nn::embedding(vocabulary, hidden_size, vb.pp("embedding"))?,
            layers: TransformerLayers::new(hidden_size, heads, layers, feed_forward_size, vb)?,
            params: params.clone(),
        })
    }

    /// The last layer's rows, `[rows, hidden]`; `constant` `[batch, hidden]` is added to every token
    /// of its sequence.
    fn run(
        &self,
        packing: &Packing,
        ids: &[u32],
        constant: Option<&Tensor>,
        causal: bool,
        step: &mut Step,
    ) -> Result<Tensor> {
        let mut masks = Dropout::seeded(step.next_seed());
        let rate = self.params.dropout;
        let dropout = (step.is_training() && rate > 0.0).then_some(LayerDropout {
            rate,
            masks: &mut masks,
        });
        let rows = nn::embed_tokens(packing, ids, self.embedding.embeddings(), constant)?;
        Ok(self.layers.forward(packing, &rows, causal, dropout)?)
    }
}

/// Reads tokens, all of a molecule at once: the mean of the last layer's rows.
pub struct TransformerReader(Transformer);

impl Reader for TransformerReader {
    type Params = TransformerParams;
    type Molecule = Tokens;

    fn new(
        params: &TransformerParams,
        vocabulary: usize,
        _longest: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        Transformer::new(params, vocabulary, vb).map(Self)
    }

    fn width(&self) -> usize {
        self.0.params.hidden_size
    }

    fn prepare(&self, molecule: &Smiles, vocabulary: &Vocabulary) -> Result<Tokens> {
        vocabulary.encode(molecule).map_err(Error::other)
    }

    fn read(&self, batch: &[Tokens], step: &mut Step) -> Result<Tensor> {
        let (packing, ids) = pack_whole(batch)?;
        let rows = self.0.run(&packing, &ids, None, false, step)?;
        Ok(packing.mean(&rows)?)
    }
}

/// Writes tokens: a linear map of the latent is added to every token.
pub struct TransformerWriter {
    transformer: Transformer,
    constant: Linear,
    logits: Linear,
}

impl Writer for TransformerWriter {
    type Params = TransformerParams;

    fn new(
        params: &TransformerParams,
        vocabulary: usize,
        latent: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        let width = params.hidden_size;
        Ok(Self {
            transformer: Transformer::new(params, vocabulary, vb.clone())?,
            constant: Linear::new(latent, width, vb.pp("latent"))?,
            logits: Linear::new(width, vocabulary, vb.pp("logits"))?,
        })
    }

    fn logits(
        &self,
        latents: &Tensor,
        packing: &Arc<Packing>,
        inputs: &[u32],
        step: &mut Step,
    ) -> Result<Tensor> {
        let constant = self.constant.forward(latents)?;
        let rows = self
            .transformer
            .run(packing, inputs, Some(&constant), true, step)?;
        Ok(self.logits.forward(&rows)?)
    }

    fn write(&self, latents: &Tensor, decoding: &Decoding<'_>) -> Result<Vec<Vec<u32>>> {
        let Transformer {
            embedding, layers, ..
        } = &self.transformer;
        let constant = self.constant.forward(latents)?;
        let model = TransformerTokenModel::new(layers, embedding.embeddings(), &self.logits)?;
        let state = model.start(latents.dim(0)?, Some(&constant))?;
        Ok(nn::decode(&model, &state, decoding)?)
    }
}
