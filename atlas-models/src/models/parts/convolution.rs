//! A convolution that reads tokens, as in chemical_vae (Gómez-Bombarelli et al., "Automatic Chemical
//! Design Using a Data-Driven Continuous Representation of Molecules", 2018).

use atlas_core::prelude::*;
use candle_core::{Module, Tensor};
use candle_nn::{Embedding, VarBuilder};

use super::Reader;
use super::tokens::pack_whole;
use crate::chem::{Smiles, Tokens, Vocabulary};
use crate::nn::{Convolution, Linear};

/// A convolution that reads.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct ConvolutionReaderParams {
    /// Width of a token's embedding.
    #[param(default = 32, min = 1, max = 65_536)]
    pub embedding_size: usize,
    /// Filters of each layer, from the tokens on.
    #[param(default = vec![9, 9, 10], len = 1..=64, min = 1, max = 65_536)]
    pub filters: Vec<usize>,
    /// Tokens that each layer's filters span.
    #[param(default = vec![9, 9, 11], len = 1..=64, min = 1, max = 1024)]
    pub kernels: Vec<usize>,
    /// Units of the layer behind them.
    #[param(default = 436, min = 1, max = 65_536)]
    pub hidden_size: usize,
    /// Share of those units dropped in training.
    #[param(default = 0.0, min = 0.0, max = 0.95)]
    pub dropout: f64,
}

/// Reads tokens by layers of filters, all places of whose last layer a linear map joins: so it
/// knows no molecule longer than `longest` tokens. After each layer comes `tanh`.
pub struct ConvolutionReader {
    embedding: Embedding,
    layers: Vec<Convolution>,
    hidden: Linear,
    params: ConvolutionReaderParams,
    longest: usize,
}

impl Reader for ConvolutionReader {
    type Params = ConvolutionReaderParams;
    type Molecule = Tokens;

    fn new(
        params: &ConvolutionReaderParams,
        vocabulary: usize,
        longest: usize,
        vb: VarBuilder,
    ) -> candle_core::Result<Self> {
        let ConvolutionReaderParams {
            filters, kernels, ..
        } = params;
        if filters.len() != kernels.len() {
            candle_core::bail!(
                "`reader.filters` has {} layers, `reader.kernels` {}",
                filters.len(),
                kernels.len()
            )
        }
        let mut width = params.embedding_size;
        let mut layers = Vec::with_capacity(filters.len());
        for (index, (&filters, &kernel)) in filters.iter().zip(kernels).enumerate() {
            let vb = vb.pp(format!("convolutions.{index}"));
            layers.push(Convolution::new(width, filters, kernel, vb)?);
            width = filters;
        }
        // Start and end are read, too.
        let places = longest + 2;
        Ok(Self {
            embedding: candle_nn::embedding(vocabulary, params.embedding_size, vb.pp("embedding"))?,
            layers,
            hidden: Linear::new(places * width, params.hidden_size, vb.pp("hidden"))?,
            params: params.clone(),
            longest,
        })
    }

    fn width(&self) -> usize {
        self.params.hidden_size
    }

    fn prepare(&self, molecule: &Smiles, vocabulary: &Vocabulary) -> Result<Tokens> {
        let tokens = vocabulary.encode(molecule).map_err(Error::other)?;
        if tokens.len() > self.longest {
            return Err(Error::new(format_args!(
                "{} tokens; the model reads `longest` = {} at most",
                tokens.len(),
                self.longest
            )));
        }
        Ok(tokens)
    }

    fn read(&self, batch: &[Tokens], step: &mut Step) -> Result<Tensor> {
        let (packing, ids) = pack_whole(batch)?;
        let embedding = self.embedding.embeddings();
        let mut rows: Option<Tensor> = None;
        for layer in &self.layers {
            let output = match &rows {
                None => layer.forward_tokens(&packing, &ids, embedding)?,
                Some(rows) => layer.forward(&packing, rows)?,
            };
            rows = Some(output.tanh()?);
        }
        let rows = rows.ok_or_else(|| Error::new("the reader has no layer"))?;
        let places = packing.pad(&rows, self.longest + 2)?.flatten_from(1)?;
        let hidden = self.hidden.forward(&places)?.tanh()?;
        step.dropout(&hidden, self.params.dropout)
    }
}
