//! Gated recurrent units that read and write tokens, as in the variational autoencoder of MOSES
//! (Polykarpov et al., "Molecular Sets", 2020).

use std::sync::Arc;

use atlas_core::prelude::*;
use atlas_core::random::Dropout;
use candle_core::{Module, Tensor};
use candle_nn::{Embedding, VarBuilder};

use super::tokens::framed;
use super::{Reader, Writer};
use crate::chem::{END, START, Smiles, Tokens, Vocabulary};
use crate::nn::{
    self, Decoding, Gru, GruInput, GruOutput, GruTokenModel, LayerDropout, Linear, Packing,
};

/// A GRU that reads.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct GruReaderParams {
    /// Width of a token's embedding.
    #[param(default = 64, min = 1, max = 65_536)]
    pub embedding_size: usize,
    /// Units of each layer.
    #[param(default = 256, min = 1, max = 65_536)]
    pub hidden_size: usize,
    /// Layers.
    #[param(default = 1, min = 1, max = 64)]
    pub layers: usize,
    /// Whether as many layers read from the end to the start, too.
    #[param(default = false)]
    pub bidirectional: bool,
    /// Share of units dropped between layers in training.
    #[param(default = 0.0, min = 0.0, max = 0.95)]
    pub dropout: f64,
}

/// A GRU that writes.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct GruWriterParams {
    /// Width of a token's embedding.
    #[param(default = 64, min = 1, max = 65_536)]
    pub embedding_size: usize,
    /// Units of each layer.
    #[param(default = 512, min = 1, max = 65_536)]
    pub hidden_size: usize,
    /// Layers.
    #[param(default = 3, min = 1, max = 64)]
    pub layers: usize,
    /// Share of units dropped between layers in training.
    #[param(default = 0.0, min = 0.0, max = 0.95)]
    pub dropout: f64,
}

/// Runs layers with dropout between them in training.
fn run(
    gru: &Gru,
    dropout: f64,
    packing: &Arc<Packing>,
    input: GruInput<'_>,
    initial: Option<&[Tensor]>,
    step: &mut Step,
) -> Result<GruOutput> {
    let mut masks = Dropout::seeded(step.next_seed());
    let between = (step.is_training() && dropout > 0.0).then_some(LayerDropout {
        rate: dropout,
        masks: &mut masks,
    });
    Ok(gru.forward(packing, input, initial, between)?)
}

/// Reads tokens, one after the other: the last layer's states after the last token. With
/// `bidirectional` those of a second stack of layers, which reads from the end, follow.
pub struct GruReader {
    embedding: Embedding,
    gru: Gru,
    reverse: Option<Gru>,
    params: GruReaderParams,
}

impl Reader for GruReader {
    type Params = GruReaderParams;
    type Molecule = Tokens;

    fn new(
        params: &GruReaderParams,
        vocabulary: usize,
        _longest: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        let embedding_size = params.embedding_size;
        let gru = |name: &str| {
            Gru::new(
                embedding_size,
                params.hidden_size,
                params.layers,
                vb.pp(name),
            )
        };
        Ok(Self {
            embedding: candle_nn::embedding(vocabulary, embedding_size, vb.pp("embedding"))?,
            gru: gru("gru")?,
            reverse: params
                .bidirectional
                .then(|| gru("gru_reverse"))
                .transpose()?,
            params: params.clone(),
        })
    }

    fn width(&self) -> usize {
        self.params.hidden_size * if self.reverse.is_some() { 2 } else { 1 }
    }

    fn prepare(&self, molecule: &Smiles, vocabulary: &Vocabulary) -> Result<Tokens> {
        vocabulary.encode(molecule).map_err(Error::other)
    }

    fn read(&self, batch: &[Tokens], step: &mut Step) -> Result<Tensor> {
        let lengths: Vec<usize> = batch.iter().map(|tokens| tokens.len() + 2).collect();
        let packing = Arc::new(Packing::new(&lengths)?);
        let mut sequences: Vec<Vec<u32>> = batch
            .iter()
            .map(|tokens| framed(Some(START), tokens, Some(END)))
            .collect();
        let mut last = Vec::new();
        for gru in [Some(&self.gru), self.reverse.as_ref()]
            .into_iter()
            .flatten()
        {
            let input = GruInput::Tokens {
                ids: &packing.pack(&sequences)?,
                embedding: self.embedding.embeddings(),
                constant: None,
            };
            let output = run(gru, self.params.dropout, &packing, input, None, step)?;
            last.extend(output.last.into_iter().last());
            sequences.iter_mut().for_each(|tokens| tokens.reverse());
        }
        Ok(Tensor::cat(&last, 1)?)
    }
}

/// Writes tokens: its layers see the latent at every step, and start from a linear map of it.
pub struct GruWriter {
    embedding: Embedding,
    hidden: Linear,
    gru: Gru,
    logits: Linear,
    params: GruWriterParams,
}

impl GruWriter {
    /// What each layer starts from, `[batch, hidden]`.
    fn initial(&self, latents: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![self.hidden.forward(latents)?; self.params.layers])
    }
}

impl Writer for GruWriter {
    type Params = GruWriterParams;

    fn new(
        params: &GruWriterParams,
        vocabulary: usize,
        latent: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        let (embedding_size, hidden) = (params.embedding_size, params.hidden_size);
        let input = embedding_size + latent;
        Ok(Self {
            embedding: candle_nn::embedding(vocabulary, embedding_size, vb.pp("embedding"))?,
            hidden: Linear::new(latent, hidden, vb.pp("hidden"))?,
            gru: Gru::new(input, hidden, params.layers, vb.pp("gru"))?,
            logits: Linear::new(hidden, vocabulary, vb.pp("logits"))?,
            params: params.clone(),
        })
    }

    fn logits(
        &self,
        latents: &Tensor,
        packing: &Arc<Packing>,
        inputs: &[u32],
        step: &mut Step,
    ) -> Result<Tensor> {
        let initial = self.initial(latents)?;
        let input = GruInput::Tokens {
            ids: inputs,
            embedding: self.embedding.embeddings(),
            constant: Some(latents),
        };
        let dropout = self.params.dropout;
        let output = run(&self.gru, dropout, packing, input, Some(&initial), step)?;
        Ok(self.logits.forward(&output.rows)?)
    }

    fn write(&self, latents: &Tensor, decoding: &Decoding<'_>) -> Result<Vec<Vec<u32>>> {
        let initial = self.initial(latents)?;
        let model = GruTokenModel::new(&self.gru, self.embedding.embeddings(), &self.logits)?;
        let state = model.start(latents.dim(0)?, Some(&initial), Some(latents))?;
        Ok(nn::decode(&model, &state, decoding)?)
    }
}
