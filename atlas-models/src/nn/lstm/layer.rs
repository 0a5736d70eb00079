//! One LSTM layer as a differentiable operation on the CPU.

use super::backward::Backward as BackwardSteps;
use super::forward::{Forward, GATES};
use super::{LayerOutput, LstmState};
use crate::nn::graph::{self, Backward, read};
use crate::nn::lanes::{Isa, Real};
use crate::nn::outer::outer_product;
use crate::nn::packing::Packing;
use crate::nn::panels::{Columns, Panels};
use crate::nn::recurrent::{Gates, LayerInput, RecurrentWeights, TokenIds, with_inputs};
use crate::nn::reduce::add_columns;
use crate::nn::shared::{Blocks, Shared, each_group};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs the layer.
///
/// # Errors
///
/// A tensor is not one of `T` on the CPU.
pub(super) fn run<T: Real>(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&LstmState>,
    weights: &RecurrentWeights,
) -> Result<LayerOutput> {
    let (_, hidden) = weights.weight_hh.dims2()?;
    let (rows, batch) = (packing.rows(), packing.batch());
    let mut inputs = input.tensors();
    inputs.extend([&weights.weight_hh, &weights.bias_hh]);
    if let Some(initial) = initial {
        inputs.extend([&initial.hidden, &initial.cell]);
    }
    let keep = graph::tracks(&inputs);
    let sorted = [
        packing.sort_states::<T>(initial.map(|states| &states.hidden), hidden)?,
        packing.sort_states::<T>(initial.map(|states| &states.cell), hidden)?,
    ];
    let steps = forward(packing, &input, &sorted, weights, keep)?;
    // One tensor carries the states of all rows, then the final cells.
    let mut output = steps.states;
    for (sequence, &length) in packing.lengths().iter().enumerate() {
        if let Some(row) = packing.row(sequence, length - 1) {
            output.extend_from_slice(&steps.cells[row * hidden..(row + 1) * hidden]);
        }
    }
    let shape = (rows + batch, hidden);
    let output = if keep {
        let operation = Layer {
            packing: packing.clone(),
            tokens: input.token_ids(),
            kept: Mutex::new(Some(Kept {
                gates: steps.gates,
                cells: steps.cells,
                initial: sorted,
            })),
        };
        graph::record(&inputs, output, shape, operation)?
    } else {
        Tensor::from_vec(output, shape, &Device::Cpu)?
    };
    Ok(LayerOutput {
        rows: output.narrow(0, 0, rows)?,
        cell: output.narrow(0, rows, batch)?,
    })
}

struct Steps<T> {
    /// `[rows, hidden]`, with room for the final cells.
    states: Vec<T>,
    /// `[rows, hidden]`
    cells: Vec<T>,
    /// `[rows, 4 * hidden]`, or nothing.
    gates: Vec<T>,
}

fn forward<T: Real>(
    packing: &Packing,
    input: &LayerInput,
    initial: &[Vec<T>; 2],
    weights: &RecurrentWeights,
    keep: bool,
) -> Result<Steps<T>> {
    let (rows, isa) = (packing.rows(), Isa::detect());
    let (_, hidden) = weights.weight_hh.dims2()?;
    let stride = GATES * hidden;
    let recurrent = read(&weights.weight_hh, |weight: &[T]| {
        Panels::transposed(isa, weight, stride, Columns::Gates(GATES))
    })?;
    let mut gates = match keep || input.is_dense() {
        true => vec![T::zero(); rows * stride],
        false => Vec::new(),
    };
    input.project(&mut gates, 0, stride)?;
    let buffer = (!gates.is_empty()).then(|| Gates {
        elements: Shared::new(&mut gates),
        stride,
        projections: 0,
        keep,
    });
    let mut states = Vec::with_capacity((rows + packing.batch()) * hidden);
    states.resize(rows * hidden, T::zero());
    let mut cells = vec![T::zero(); rows * hidden];
    let output = [Shared::new(&mut states), Shared::new(&mut cells)];
    let blocks = Blocks::of(packing.batch(), recurrent.block_rows());
    with_inputs(input, |inputs| {
        read(&weights.bias_hh, |bias: &[T]| {
            each_group(blocks.groups, |group| {
                isa.run(Forward {
                    hidden,
                    batch_sizes: packing.batch_sizes(),
                    offsets: packing.offsets(),
                    order: packing.order(),
                    weight: &recurrent,
                    bias,
                    inputs,
                    initial: [&initial[0], &initial[1]],
                    gates: buffer,
                    output,
                    group,
                    blocks,
                });
            });
        })
    })?;
    Ok(Steps {
        states,
        cells,
        gates,
    })
}

/// What the way forward leaves for the way back.
struct Kept<T> {
    /// `[rows, 4 * hidden]`
    gates: Vec<T>,
    /// `[rows, hidden]`
    cells: Vec<T>,
    /// The states and cells before the first step, `[batch, hidden]`, sorted.
    initial: [Vec<T>; 2],
}

struct Layer<T> {
    packing: Arc<Packing>,
    tokens: TokenIds,
    kept: Mutex<Option<Kept<T>>>,
}

impl<T: Real> Backward for Layer<T> {
    fn name(&self) -> &'static str {
        "lstm-layer"
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        wanted: &[bool],
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(kept) = kept else {
            bail!("the activations of an LSTM layer serve one backward pass, and are gone")
        };
        read(output, |output: &[T]| {
            read(gradient, |gradient: &[T]| {
                self.gradients(inputs, wanted, kept, output, gradient)
            })?
        })?
    }
}

impl<T: Real> Layer<T> {
    fn gradients(
        &self,
        inputs: &[Tensor],
        wanted: &[bool],
        mut kept: Kept<T>,
        output: &[T],
        gradient: &[T],
    ) -> Result<Vec<Option<Tensor>>> {
        let packing = &*self.packing;
        let (rows, batch) = (packing.rows(), packing.batch());
        // The weights follow the layer's input.
        let entering = match &self.tokens {
            None => 3,
            Some((_, constant)) => 1 + usize::from(*constant),
        };
        let (_, hidden) = inputs[entering].dims2()?;
        let stride = GATES * hidden;
        let carry = self.steps(&inputs[entering], &mut kept, gradient)?;
        let gates = &kept.gates;
        let mut sums = vec![T::zero(); stride];
        add_columns(gates, stride, &mut sums);
        let mut gradients = LayerInput::gradients(
            &self.tokens,
            packing,
            inputs,
            wanted,
            (gates, 0, stride),
            &sums,
        )?;
        let tensor = |elements: Vec<T>, shape: &[usize]| {
            Tensor::from_vec(elements, shape, &Device::Cpu).map(Some)
        };
        gradients.push(match wanted[entering] {
            true => {
                let states = &output[..rows * hidden];
                let before = packing.states_before(&kept.initial[0], states, hidden);
                let mut gradient = vec![T::zero(); stride * hidden];
                outer_product(
                    rows,
                    (gates, 0, stride, stride),
                    (&before, hidden),
                    &mut gradient,
                );
                tensor(gradient, &[stride, hidden])?
            }
            false => None,
        });
        gradients.push(tensor(sums, &[stride])?);
        if inputs.len() > entering + 2 {
            for carry in carry {
                gradients.push(tensor(packing.unsort(&carry, hidden), &[batch, hidden])?);
            }
        }
        Ok(gradients)
    }

    /// Turns the activations into their gradients; gives those of the initial states and
    /// cells, sorted. `gradient` is that of all states, then of the final cells.
    fn steps(&self, weight: &Tensor, kept: &mut Kept<T>, gradient: &[T]) -> Result<[Vec<T>; 2]> {
        let packing = &*self.packing;
        let (_, hidden) = weight.dims2()?;
        let isa = Isa::detect();
        let right = read(weight, |weight: &[T]| {
            Panels::new(
                isa,
                GATES * hidden,
                hidden,
                Columns::Plain,
                |row, column| weight[row * hidden + column],
            )
        })?;
        let (gradient, last) = gradient.split_at(packing.rows() * hidden);
        let mut states = vec![T::zero(); packing.batch() * hidden];
        let mut cells = Vec::with_capacity(last.len());
        for &sequence in packing.order() {
            cells.extend_from_slice(&last[sequence * hidden..(sequence + 1) * hidden]);
        }
        let carry = [Shared::new(&mut states), Shared::new(&mut cells)];
        let gates = Shared::new(&mut kept.gates);
        let blocks = Blocks::of(packing.batch(), right.block_rows());
        each_group(blocks.groups, |group| {
            isa.run(BackwardSteps {
                hidden,
                batch_sizes: packing.batch_sizes(),
                offsets: packing.offsets(),
                weight: &right,
                initial: &kept.initial[1],
                cells: &kept.cells,
                gradient,
                gates,
                carry,
                group,
                blocks,
            });
        });
        Ok([states, cells])
    }
}
