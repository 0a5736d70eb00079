//! Gated recurrent units (Cho et al. 2014), in PyTorch's form and with its names.

mod backward;
mod forward;
mod layer;
mod plain;
mod stepper;
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

pub use stepper::{GruDecoder, GruState, GruStepper};

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
    layers: Vec<RecurrentWeights>,
    input_size: usize,
    hidden_size: usize,
}

/// What a [`Gru`] reads at each packed row.
pub type GruInput<'a> = SequenceInput<'a>;

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
        between: Option<LayerDropout<'_>>,
    ) -> Result<GruOutput> {
        self.forward_by(run, packing, input, initial, between)
    }

    fn forward_by(
        &self,
        run: RunLayer,
        packing: &Arc<Packing>,
        input: GruInput<'_>,
        initial: Option<&[Tensor]>,
        mut between: Option<LayerDropout<'_>>,
    ) -> Result<GruOutput> {
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
            last.push(packing.last(&output)?);
            rows = Some(output);
        }
        match rows {
            Some(rows) => Ok(GruOutput { rows, last }),
            None => bail!("a GRU without layers"),
        }
    }

    fn check_initial(&self, packing: &Packing, initial: Option<&[Tensor]>) -> Result<()> {
        let Some(initial) = initial else {
            return Ok(());
        };
        if initial.len() != self.layers.len() {
            bail!(
                "initial states of {} layers for a GRU of {}",
                initial.len(),
                self.layers.len()
            )
        }
        for states in initial {
            check_shape("initial states", states, packing.batch(), self.hidden_size)?;
        }
        Ok(())
    }
}

/// A way to run one layer.
type RunLayer = fn(&Arc<Packing>, LayerInput, Option<&Tensor>, &RecurrentWeights) -> Result<Tensor>;

/// Runs one layer with what its device and dtype allow.
fn run(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&Tensor>,
    weights: &RecurrentWeights,
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
