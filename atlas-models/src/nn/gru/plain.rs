//! One GRU layer composed of candle's operations, for any device and dtype.

use super::LayerWeights;
use super::input::LayerInput;
use crate::nn::packing::Packing;
use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;
use std::sync::Arc;

/// Runs the layer: the states of every row, `[rows, hidden]`.
///
/// # Errors
///
/// What candle's operations refuse.
pub(super) fn run(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&Tensor>,
    weights: &LayerWeights,
) -> Result<Tensor> {
    let (weight, bias) = (&weights.weight_hh, &weights.bias_hh);
    let (_, hidden) = weight.dims2()?;
    let mut inputs = Vec::with_capacity(packing.steps());
    split(
        input.projections(packing)?,
        packing.batch_sizes(),
        &mut inputs,
    )?;
    let mut state = packing.sort(initial, hidden, weight)?;
    let recurrent = weight.t()?;
    let mut states = Vec::with_capacity(packing.steps());
    for (x, &active) in inputs.iter().zip(packing.batch_sizes()) {
        if state.dim(0)? != active {
            state = state.narrow(0, 0, active)?;
        }
        let h = state.matmul(&recurrent)?.broadcast_add(bias)?;
        let part = |gates: &Tensor, gate: usize| gates.narrow(1, gate * hidden, hidden);
        let r = sigmoid(&(part(x, 0)? + part(&h, 0)?)?)?;
        let z = sigmoid(&(part(x, 1)? + part(&h, 1)?)?)?;
        let n = (part(x, 2)? + (r * part(&h, 2)?)?)?.tanh()?;
        state = (&n + (z * (&state - &n)?)?)?;
        states.push(state.clone());
    }
    Tensor::cat(&states, 0)
}

/// The rows of each step. They are halved until a step is left: the gradient of a part is as large
/// as what it is a part of, so that parts of the whole would take a time quadratic in the steps.
fn split(rows: Tensor, batch_sizes: &[usize], steps: &mut Vec<Tensor>) -> Result<()> {
    if batch_sizes.len() <= 1 {
        steps.push(rows);
        return Ok(());
    }
    let (first, second) = batch_sizes.split_at(batch_sizes.len() / 2);
    let (middle, rest) = (first.iter().sum(), second.iter().sum());
    split(rows.narrow(0, 0, middle)?, first, steps)?;
    split(rows.narrow(0, middle, rest)?, second, steps)
}
