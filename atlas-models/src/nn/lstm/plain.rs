//! One LSTM layer composed of candle's operations, for any device and dtype.

use super::forward::GATES;
use super::{LayerOutput, LstmState};
use crate::nn::packing::Packing;
use crate::nn::recurrent::{LayerInput, RecurrentWeights};
use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use std::sync::Arc;

/// As [`super::layer::run`].
///
/// # Errors
///
/// What candle's operations refuse.
pub(super) fn run(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&LstmState>,
    weights: &RecurrentWeights,
) -> Result<LayerOutput> {
    let weight = &weights.weight_hh;
    let (_, hidden) = weight.dims2()?;
    let projections = input.projections(packing)?;
    let sorted = |states: Option<&Tensor>| packing.sorted(states, hidden, weight);
    let mut state = sorted(initial.map(|states| &states.hidden))?;
    let mut cell = sorted(initial.map(|states| &states.cell))?;
    let recurrent = weight.t()?;
    let (mut states, mut cells) = (Vec::new(), Vec::new());
    for (&active, &offset) in packing.batch_sizes().iter().zip(packing.offsets()) {
        if state.dim(0)? != active {
            state = state.narrow(0, 0, active)?;
            cell = cell.narrow(0, 0, active)?;
        }
        let x = projections.narrow(0, offset, active)?;
        let h = state.matmul(&recurrent)?.broadcast_add(&weights.bias_hh)?;
        let gates = (x + h)?.chunk(GATES, 1)?;
        let (i, f) = (sigmoid(&gates[0])?, sigmoid(&gates[1])?);
        let (g, o) = (gates[2].tanh()?, sigmoid(&gates[3])?);
        cell = ((f * &cell)? + (i * g)?)?;
        state = (o * cell.tanh()?)?;
        states.push(state.clone());
        cells.push(cell.clone());
    }
    Ok(LayerOutput {
        rows: Tensor::cat(&states, 0)?,
        cell: packing.last(&Tensor::cat(&cells, 0)?)?,
    })
}
