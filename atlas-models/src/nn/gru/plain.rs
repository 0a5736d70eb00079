//! One GRU layer composed of candle's operations, for any device and dtype.

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
    initial: Option<&Tensor>,
    weights: &RecurrentWeights,
) -> Result<Tensor> {
    let (weight, bias) = (&weights.weight_hh, &weights.bias_hh);
    let (_, hidden) = weight.dims2()?;
    let projections = input.projections(packing)?;
    let mut state = packing.sorted(initial, hidden, weight)?;
    let recurrent = weight.t()?;
    let mut states = Vec::with_capacity(packing.steps());
    for (&active, &offset) in packing.batch_sizes().iter().zip(packing.offsets()) {
        if state.dim(0)? != active {
            state = state.narrow(0, 0, active)?;
        }
        let x = projections.narrow(0, offset, active)?;
        let h = state.matmul(&recurrent)?.broadcast_add(bias)?;
        let part = |gates: &Tensor, gate: usize| gates.narrow(1, gate * hidden, hidden);
        let r = sigmoid(&(part(&x, 0)? + part(&h, 0)?)?)?;
        let z = sigmoid(&(part(&x, 1)? + part(&h, 1)?)?)?;
        let n = (part(&x, 2)? + (r * part(&h, 2)?)?)?.tanh()?;
        state = (&n + (z * (&state - &n)?)?)?;
        states.push(state.clone());
    }
    Tensor::cat(&states, 0)
}
