//! Gated recurrent units (Cho et al. 2014), in PyTorch's form and with its names.

mod backward;
mod forward;
mod input;
mod layer;
mod plain;
#[cfg(test)]
mod tests;
mod token_model;
mod weights;

use super::packing::Packing;
use atlas_core::random::Dropout;
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use input::LayerInput;
use std::sync::Arc;
use weights::{LayerWeights, check_shape};

pub use token_model::{GruState, GruTokenModel};

/// A stack of GRU layers in one direction, with the weights of PyTorch's `nn.GRU`.
///
/// `h' = (1 - z) n + z h` with `r, z = σ(W x + b + U h + c)` and
/// `n = tanh(W x + b + r (U h + c))`.
///
/// On the CPU in `f32` and `f64` it runs fused kernels; elsewhere it is composed of
/// candle's operations, with the same result up to rounding. On the CPU a
/// sequence's states do not depend, to the last bit, on what else is in the batch
/// or on the number of threads.
#[derive(Debug, Clone)]
pub struct Gru {
    layers: Vec<LayerWeights>,
    input_size: usize,
    hidden_size: usize,
}

/// What a [`Gru`] reads at each packed row.
#[derive(Debug, Clone, Copy)]
pub enum GruInput<'a> {
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
    pub masks: &'a mut Dropout,
}

/// What a [`Gru`] computes.
#[derive(Debug, Clone)]
pub struct GruOutput {
    /// The last layer's state at each row, `[rows, hidden]`.
    pub rows: Tensor,
    /// Each layer's state at the end of each sequence, `[batch, hidden]` in the caller's order.
    pub last: Vec<Tensor>,
}

impl Gru {
    /// Takes the weights `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`,
    /// `weight_ih_l1`, … from `vb`; those that it makes are uniform within
    /// `±1 / sqrt(hidden_size)`, as PyTorch's.
    ///
    /// # Errors
    ///
    /// A size is zero, or `vb` does not have the weights in these shapes.
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        layers: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        if input_size == 0 || hidden_size == 0 || layers == 0 {
            bail!("{layers} recurrent layers from {input_size} to {hidden_size} have no weights")
        }
        let layer = |layer| {
            let input = if layer == 0 { input_size } else { hidden_size };
            LayerWeights::new(layer, input, hidden_size, &vb)
        };
        Ok(Self {
            layers: (0..layers).map(layer).collect::<Result<_>>()?,
            input_size,
            hidden_size,
        })
    }

    /// Runs all layers over all sequences.
    ///
    /// `initial` has each layer's states before the first step, `[batch, hidden]` in
    /// the caller's order (one tensor may serve several layers); without it they are zero.
    /// Where nothing that it reads requires gradients, nothing is kept for them.
    /// The graph that it makes otherwise can be walked backward once.
    ///
    /// # Errors
    ///
    /// A shape, dtype or device does not fit, or an id is not in the vocabulary.
    pub fn forward(
        &self,
        packing: &Arc<Packing>,
        input: GruInput<'_>,
        initial: Option<&[Tensor]>,
        dropout: Option<LayerDropout<'_>>,
    ) -> Result<GruOutput> {
        self.forward_by(run, packing, input, initial, dropout)
    }

    fn forward_by(
        &self,
        run: RunLayer,
        packing: &Arc<Packing>,
        input: GruInput<'_>,
        initial: Option<&[Tensor]>,
        mut dropout: Option<LayerDropout<'_>>,
    ) -> Result<GruOutput> {
        if let Some(initial) = initial {
            self.check_initial(initial, packing.batch())?;
        }
        let mut last = Vec::with_capacity(self.layers.len());
        let mut rows: Option<Tensor> = None;
        for (index, weights) in self.layers.iter().enumerate() {
            let entering = match (rows, &mut dropout) {
                (None, _) => weights.first_input(packing, input)?,
                (Some(rows), None) => weights.dense_input(rows),
                (Some(rows), Some(LayerDropout { rate, masks })) => {
                    weights.dense_input(masks.apply(&rows, *rate)?)
                }
            };
            let states = initial.map(|initial| &initial[index]);
            let output = run(packing, entering, states, weights)?;
            last.push(packing.last(&output)?);
            rows = Some(output);
        }
        match rows {
            Some(rows) => Ok(GruOutput { rows, last }),
            None => bail!("a GRU without layers"),
        }
    }

    /// Refuses initial states unless there are some for each layer, `[batch, hidden]`.
    fn check_initial(&self, initial: &[Tensor], batch: usize) -> Result<()> {
        if initial.len() != self.layers.len() {
            bail!(
                "initial states of {} layers for a GRU of {}",
                initial.len(),
                self.layers.len()
            )
        }
        for states in initial {
            check_shape("initial states", states, batch, self.hidden_size)?;
        }
        Ok(())
    }
}

/// A way to run one layer.
type RunLayer = fn(&Arc<Packing>, LayerInput, Option<&Tensor>, &LayerWeights) -> Result<Tensor>;

/// Runs one layer with what its device and dtype allow.
fn run(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&Tensor>,
    weights: &LayerWeights,
) -> Result<Tensor> {
    let (weight, bias) = (&weights.weight_hh, &weights.bias_hh);
    match weight.dtype() {
        DType::F32 if weight.device().is_cpu() => {
            layer::run::<f32>(packing, input, initial, weight, bias)
        }
        DType::F64 if weight.device().is_cpu() => {
            layer::run::<f64>(packing, input, initial, weight, bias)
        }
        _ => plain::run(packing, input, initial, weights),
    }
}
