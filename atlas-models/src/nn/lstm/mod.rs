//! Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al.
//! 2000), in PyTorch's form and with its names.

mod backward;
mod forward;
mod layer;
mod plain;
#[cfg(test)]
mod tests;

use super::packing::Packing;
use super::recurrent::{
    self, LayerDropout, LayerInput, RecurrentWeights, SequenceInput, check_shape,
};
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use forward::GATES;
use std::sync::Arc;

/// A stack of LSTM layers in one direction, with the weights of PyTorch's `nn.LSTM`.
///
/// `c' = f c + i g` and `h' = o tanh(c')`, with `i, f, o = σ(W x + b + U h + c)` and
/// `g = tanh(W x + b + U h + c)`.
///
/// It runs as [`Gru`](super::Gru) does, with the same guarantees.
#[derive(Debug, Clone)]
pub struct Lstm {
    layers: Vec<RecurrentWeights>,
    input_size: usize,
    hidden_size: usize,
}

/// What a layer of an [`Lstm`] remembers of each sequence, `[batch, hidden]` in the caller's order.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// The states, which the layer above sees.
    pub hidden: Tensor,
    /// The cells.
    pub cell: Tensor,
}

/// What an [`Lstm`] computes.
#[derive(Debug, Clone)]
pub struct LstmOutput {
    /// The last layer's state at each row, `[rows, hidden]`.
    pub rows: Tensor,
    /// What each layer remembers at the end of each sequence.
    pub last: Vec<LstmState>,
}

/// What one layer computes.
struct LayerOutput {
    /// `[rows, hidden]`
    rows: Tensor,
    /// The final cells, `[batch, hidden]` in the caller's order.
    cell: Tensor,
}

impl Lstm {
    /// Takes the weights `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`,
    /// `weight_ih_l1`, … from `vb`; those that it makes are uniform within
    /// `±1 / sqrt(hidden_size)`, as PyTorch's.
    ///
    /// # Errors
    ///
    /// A size is zero, or `vb` has not the weights in these shapes.
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        layers: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            layers: recurrent::layers(GATES, input_size, hidden_size, layers, &vb)?,
            input_size,
            hidden_size,
        })
    }

    /// The weights of each layer.
    pub fn layers(&self) -> &[RecurrentWeights] {
        &self.layers
    }

    /// The width of the first layer's input.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// The width of the states.
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// Runs all layers over all sequences; see [`Gru::forward`](super::Gru::forward).
    ///
    /// # Errors
    ///
    /// A shape, dtype or device does not fit, or an id is not in the vocabulary.
    pub fn forward(
        &self,
        packing: &Arc<Packing>,
        input: SequenceInput<'_>,
        initial: Option<&[LstmState]>,
        between: Option<LayerDropout<'_>>,
    ) -> Result<LstmOutput> {
        self.forward_by(run, packing, input, initial, between)
    }

    fn forward_by(
        &self,
        run: RunLayer,
        packing: &Arc<Packing>,
        input: SequenceInput<'_>,
        initial: Option<&[LstmState]>,
        mut between: Option<LayerDropout<'_>>,
    ) -> Result<LstmOutput> {
        self.check_initial(packing, initial)?;
        let mut last = Vec::with_capacity(self.layers.len());
        let mut rows: Option<Tensor> = None;
        for (index, weights) in self.layers.iter().enumerate() {
            let entering = match rows {
                None => weights.first_input(packing, input)?,
                Some(rows) => weights.next_input(rows, &mut between)?,
            };
            let states = initial.map(|initial| &initial[index]);
            let output = run(packing, entering, states, weights)?;
            last.push(LstmState {
                hidden: packing.last(&output.rows)?,
                cell: output.cell,
            });
            rows = Some(output.rows);
        }
        match rows {
            Some(rows) => Ok(LstmOutput { rows, last }),
            None => bail!("an LSTM without layers"),
        }
    }

    fn check_initial(&self, packing: &Packing, initial: Option<&[LstmState]>) -> Result<()> {
        let Some(initial) = initial else {
            return Ok(());
        };
        let (found, layers) = (initial.len(), self.layers.len());
        if found != layers {
            bail!("initial states of {found} layers for an LSTM of {layers}")
        }
        for states in initial {
            let (batch, width) = (packing.batch(), self.hidden_size);
            check_shape("initial states", &states.hidden, batch, width)?;
            check_shape("initial cells", &states.cell, batch, width)?;
        }
        Ok(())
    }
}

/// A way to run one layer.
type RunLayer =
    fn(&Arc<Packing>, LayerInput, Option<&LstmState>, &RecurrentWeights) -> Result<LayerOutput>;

/// Runs one layer with what its device and dtype allow.
fn run(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&LstmState>,
    weights: &RecurrentWeights,
) -> Result<LayerOutput> {
    let weight = &weights.weight_hh;
    match weight.dtype() {
        DType::F32 if weight.device().is_cpu() => {
            layer::run::<f32>(packing, input, initial, weights)
        }
        DType::F64 if weight.device().is_cpu() => {
            layer::run::<f64>(packing, input, initial, weights)
        }
        _ => plain::run(packing, input, initial, weights),
    }
}
