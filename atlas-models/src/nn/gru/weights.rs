//! The weights of a layer.

use super::GruInput;
use super::forward::GATES;
use super::input::LayerInput;
use crate::nn::arranged::local;
use crate::nn::embedding::check_ids;
use crate::nn::linear::linear;
use crate::nn::packing::Packing;
use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

/// The weights of one layer, with PyTorch's names and shapes and its gates r, z, n.
#[derive(Debug, Clone)]
pub(super) struct LayerWeights {
    /// `[3 * hidden, input]`
    pub(super) weight_ih: Tensor,
    /// `[3 * hidden, hidden]`
    pub(super) weight_hh: Tensor,
    /// `[3 * hidden]`
    pub(super) bias_ih: Tensor,
    /// `[3 * hidden]`
    pub(super) bias_hh: Tensor,
}

impl LayerWeights {
    pub(super) fn new(layer: usize, input: usize, hidden: usize, vb: &VarBuilder) -> Result<Self> {
        let bound = 1.0 / (hidden as f64).sqrt();
        let uniform = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let rows = GATES * hidden;
        let matrix = |name: &str, width: usize| {
            vb.get_with_hints((rows, width), &format!("{name}_l{layer}"), uniform)
        };
        let vector = |name: &str| vb.get_with_hints(rows, &format!("{name}_l{layer}"), uniform);
        Ok(Self {
            weight_ih: matrix("weight_ih", input)?,
            weight_hh: matrix("weight_hh", hidden)?,
            bias_ih: vector("bias_ih")?,
            bias_hh: vector("bias_hh")?,
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
    pub(super) fn first_input(&self, packing: &Packing, input: GruInput<'_>) -> Result<LayerInput> {
        let (_, input_size) = self.weight_ih.dims2()?;
        let (ids, embedding, constant) = match input {
            GruInput::Rows(rows) => {
                check_shape("input rows", rows, packing.rows(), input_size)?;
                return Ok(self.dense_input(rows.clone()));
            }
            GruInput::Tokens {
                ids,
                embedding,
                constant,
            } => (ids, embedding, constant),
        };
        check_ids(packing, ids, embedding)?;
        let (_, width) = embedding.dims2()?;
        let mut constants = 0;
        if let Some(constant) = constant {
            constants = constant.dims2()?.1;
            check_shape("constant inputs", constant, packing.batch(), constants)?;
        }
        if width + constants != input_size {
            bail!("embeddings of {width} and {constants} constants for inputs of {input_size}")
        }
        let constant = match constant {
            Some(constant) => Some(linear(constant, &self.constant_weight(width)?, None)?),
            None => None,
        };
        Ok(LayerInput::Tokens {
            ids: ids.to_vec(),
            table: self.token_table(embedding)?,
            constant,
        })
    }

    /// The input projections of each token, with the bias, `[vocabulary, 3 * hidden]`.
    pub(super) fn token_table(&self, embedding: &Tensor) -> Result<Tensor> {
        let (_, width) = embedding.dims2()?;
        let weight = self.weight_ih.narrow(1, 0, width)?;
        linear(embedding, &weight, Some(&self.bias_ih))
    }

    /// The weight of what follows an embedding of `width` in the input, `[3 * hidden, constants]`.
    pub(super) fn constant_weight(&self, width: usize) -> Result<Tensor> {
        let (_, input_size) = self.weight_ih.dims2()?;
        self.weight_ih.narrow(1, width, input_size - width)
    }

    /// What a layer reads of dense rows.
    pub(super) fn dense_input(&self, rows: Tensor) -> LayerInput {
        LayerInput::Rows {
            rows,
            weight: self.weight_ih.clone(),
            bias: self.bias_ih.clone(),
        }
    }
}

/// Refuses a tensor that is not `[rows, width]`.
pub(super) fn check_shape(what: &str, tensor: &Tensor, rows: usize, width: usize) -> Result<()> {
    let found = tensor.dims2()?;
    if found != (rows, width) {
        bail!("{what} of shape {found:?}, expected ({rows}, {width})")
    }
    Ok(())
}
