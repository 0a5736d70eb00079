//! What GRU and LSTM share: their weights, what they read, and its gradients.

mod input;

pub(super) use input::{Gates, Inputs, LayerInput, TokenIds, with_inputs};

use super::dropout::dropout;
use super::linear::linear;
use super::packing::Packing;
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// The weights of one layer, with PyTorch's names and shapes: a GRU has the gates r, z, n,
/// an LSTM i, f, g, o.
#[derive(Debug, Clone)]
pub struct RecurrentWeights {
    /// `[gates * hidden, input]`
    pub weight_ih: Tensor,
    /// `[gates * hidden, hidden]`
    pub weight_hh: Tensor,
    /// `[gates * hidden]`
    pub bias_ih: Tensor,
    /// `[gates * hidden]`
    pub bias_hh: Tensor,
}

/// What a stack of recurrent layers reads at each packed row.
#[derive(Debug, Clone, Copy)]
pub enum SequenceInput<'a> {
    /// One vector for each row: `[rows, input_size]`.
    Rows(&'a Tensor),
    /// A token's embedding, followed by values that are constant over the sequence.
    ///
    /// Cheaper than the same as [`Rows`](Self::Rows): the first layer multiplies
    /// the embedding and the constants once, instead of every row.
    Tokens {
        /// One token for each row, as [`Packing::pack`] makes them.
        ids: &'a [u32],
        /// `[vocabulary, embedding]`
        embedding: &'a Tensor,
        /// `[batch, input_size - embedding]` in the caller's order; absent if
        /// the embedding is the whole input.
        constant: Option<&'a Tensor>,
    },
}

/// Units dropped between the layers while training.
#[derive(Debug)]
pub struct LayerDropout<'a> {
    /// The share of units dropped.
    pub rate: f64,
    /// Where the masks come from.
    pub generator: &'a mut ChaCha8Rng,
}

/// The weights of all layers, from PyTorch's names `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, ….
pub(super) fn layers(
    gates: usize,
    input_size: usize,
    hidden_size: usize,
    layers: usize,
    vb: &VarBuilder,
) -> Result<Vec<RecurrentWeights>> {
    if input_size == 0 || hidden_size == 0 || layers == 0 {
        bail!("{layers} recurrent layers from {input_size} to {hidden_size} have no weights")
    }
    let layer = |layer| {
        let input = if layer == 0 { input_size } else { hidden_size };
        RecurrentWeights::new(layer, gates, input, hidden_size, vb)
    };
    (0..layers).map(layer).collect()
}

impl RecurrentWeights {
    fn new(
        layer: usize,
        gates: usize,
        input: usize,
        hidden: usize,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let bound = 1.0 / (hidden as f64).sqrt();
        let uniform = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let rows = gates * hidden;
        Ok(Self {
            weight_ih: vb.get_with_hints((rows, input), &format!("weight_ih_l{layer}"), uniform)?,
            weight_hh: vb.get_with_hints(
                (rows, hidden),
                &format!("weight_hh_l{layer}"),
                uniform,
            )?,
            bias_ih: vb.get_with_hints(rows, &format!("bias_ih_l{layer}"), uniform)?,
            bias_hh: vb.get_with_hints(rows, &format!("bias_hh_l{layer}"), uniform)?,
        })
    }

    /// A copy on the CPU, in `f32`, apart from any graph.
    pub(super) fn local(&self) -> Result<Self> {
        Ok(Self {
            weight_ih: local(&self.weight_ih)?,
            weight_hh: local(&self.weight_hh)?,
            bias_ih: local(&self.bias_ih)?,
            bias_hh: local(&self.bias_hh)?,
        })
    }

    /// What the first layer reads.
    ///
    /// # Errors
    ///
    /// A shape does not fit, or an id is not in the vocabulary.
    pub(super) fn first_input(
        &self,
        packing: &Packing,
        input: SequenceInput<'_>,
    ) -> Result<LayerInput> {
        let (_, width) = self.weight_ih.dims2()?;
        match input {
            SequenceInput::Rows(rows) => {
                check_shape("input rows", rows, packing.rows(), width)?;
                Ok(self.dense(rows.clone()))
            }
            SequenceInput::Tokens {
                ids,
                embedding,
                constant,
            } => {
                check_ids(packing, ids, embedding)?;
                if let Some(constant) = constant {
                    let (_, width) = constant.dims2()?;
                    check_shape("constant inputs", constant, packing.batch(), width)?;
                }
                let (table, constant) = self.token_projections(embedding, constant)?;
                Ok(LayerInput::Tokens {
                    ids: Arc::new(ids.to_vec()),
                    table,
                    constant,
                })
            }
        }
    }

    /// What a layer above the first reads: the rows of the layer below, after dropout.
    ///
    /// # Errors
    ///
    /// The dropout's rate is not one.
    pub(super) fn next_input(
        &self,
        rows: Tensor,
        between: &mut Option<LayerDropout<'_>>,
    ) -> Result<LayerInput> {
        Ok(self.dense(match between {
            Some(between) => dropout(&rows, between.rate, between.generator)?,
            None => rows,
        }))
    }

    fn dense(&self, rows: Tensor) -> LayerInput {
        LayerInput::Rows {
            rows,
            weight: self.weight_ih.clone(),
            bias: self.bias_ih.clone(),
        }
    }

    /// The input projections of each token, with the bias, `[vocabulary, gates * hidden]`, and
    /// those of the constant values, `[batch, gates * hidden]`.
    fn token_projections(
        &self,
        embedding: &Tensor,
        constant: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let (_, input) = self.weight_ih.dims2()?;
        let (_, width) = embedding.dims2()?;
        let constants = match constant {
            Some(constant) => constant.dims2()?.1,
            None => 0,
        };
        if width + constants != input {
            bail!("embeddings of {width} and {constants} constants for inputs of {input}")
        }
        let weight = self.weight_ih.narrow(1, 0, width)?;
        let table = linear(embedding, &weight, Some(&self.bias_ih))?;
        let constant = match constant {
            Some(constant) => {
                let weight = self.weight_ih.narrow(1, width, constants)?;
                Some(linear(constant, &weight, None)?)
            }
            None => None,
        };
        Ok((table, constant))
    }
}

/// On the CPU, in `f32`, apart from any graph.
pub(super) fn local(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.detach().to_device(&Device::Cpu)?;
    tensor.to_dtype(DType::F32)?.contiguous()
}

/// Refuses a tensor that is not `[rows, width]`.
pub(super) fn check_shape(what: &str, tensor: &Tensor, rows: usize, width: usize) -> Result<()> {
    let found = tensor.dims2()?;
    if found != (rows, width) {
        bail!("{what} of shape {found:?}, expected ({rows}, {width})")
    }
    Ok(())
}

fn check_ids(packing: &Packing, ids: &[u32], embedding: &Tensor) -> Result<()> {
    let (vocabulary, _) = embedding.dims2()?;
    if ids.len() != packing.rows() {
        bail!("{} token ids for {} packed rows", ids.len(), packing.rows())
    }
    if let Some(row) = ids.iter().position(|&id| id as usize >= vocabulary) {
        bail!(
            "token id {} at row {row}, the vocabulary has {vocabulary}",
            ids[row]
        )
    }
    Ok(())
}
