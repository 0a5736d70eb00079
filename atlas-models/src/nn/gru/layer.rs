//! One GRU layer as a differentiable operation on the CPU.

use super::backward::Backward as BackwardSteps;
use super::forward::{Forward, GATES};
use crate::nn::graph::{self, Backward, read};
use crate::nn::lanes::{Isa, Real};
use crate::nn::outer::outer_product;
use crate::nn::packing::Packing;
use crate::nn::panels::{Columns, Panels};
use crate::nn::recurrent::{Gates, LayerInput, TokenIds, with_inputs};
use crate::nn::reduce::add_columns;
use crate::nn::shared::{Blocks, Shared, each_group};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs the layer: the states of every row, `[rows, hidden]`.
///
/// # Errors
///
/// A tensor is not a contiguous CPU tensor of `T`.
pub(super) fn run<T: Real>(
    packing: &Arc<Packing>,
    input: LayerInput,
    initial: Option<&Tensor>,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Tensor> {
    let (_, hidden) = weight.dims2()?;
    let mut inputs = input.tensors();
    inputs.extend([weight, bias]);
    inputs.extend(initial);
    let keep = graph::tracks(&inputs);
    let sorted = packing.sort_states::<T>(initial, hidden)?;
    let initial = Initial {
        states: &sorted,
        is_zero: initial.is_none(),
    };
    let (output, gates) = forward(packing, &input, initial, weight, bias, keep)?;
    let shape = (packing.rows(), hidden);
    if !keep {
        return Tensor::from_vec(output, shape, &Device::Cpu);
    }
    let operation = Layer {
        packing: packing.clone(),
        tokens: input.token_ids(),
        kept: Mutex::new(Some(Kept {
            gates,
            initial: sorted,
        })),
    };
    graph::record(&inputs, output, shape, operation)
}

/// The states before the first step.
#[derive(Clone, Copy)]
struct Initial<'a, T> {
    /// `[batch, hidden]`, sorted.
    states: &'a [T],
    is_zero: bool,
}

/// The states, and the buffer of the gates as the way back needs it.
fn forward<T: Real>(
    packing: &Packing,
    input: &LayerInput,
    initial: Initial<'_, T>,
    weight: &Tensor,
    bias: &Tensor,
    keep: bool,
) -> Result<(Vec<T>, Vec<T>)> {
    let (rows, isa) = (packing.rows(), Isa::detect());
    let (_, hidden) = weight.dims2()?;
    let recurrent = read(weight, |weight: &[T]| {
        Panels::transposed(isa, weight, GATES * hidden, Columns::Gates(GATES))
    })?;
    let (stride, projections) = match keep {
        true => (4 * hidden, hidden),
        false => (GATES * hidden, 0),
    };
    let mut gates = match keep || input.is_dense() {
        true => vec![T::zero(); rows * stride],
        false => Vec::new(),
    };
    input.project(&mut gates, projections, stride)?;
    let mut output = vec![T::zero(); rows * hidden];
    let buffer = (!gates.is_empty()).then(|| Gates {
        elements: Shared::new(&mut gates),
        stride,
        projections,
        keep,
    });
    let states = Shared::new(&mut output);
    let blocks = Blocks::of(packing.batch(), recurrent.block_rows());
    with_inputs(input, |inputs| {
        read(bias, |bias: &[T]| {
            each_group(blocks.groups, |group| {
                isa.run(Forward {
                    hidden,
                    batch_sizes: packing.batch_sizes(),
                    offsets: packing.offsets(),
                    order: packing.order(),
                    weight: &recurrent,
                    bias,
                    inputs,
                    initial: initial.states,
                    from_zero: initial.is_zero,
                    gates: buffer,
                    output: states,
                    group,
                    blocks,
                });
            });
        })
    })?;
    Ok((output, gates))
}

/// What the way forward leaves for the way back.
struct Kept<T> {
    /// `[rows, 4 * hidden]`
    gates: Vec<T>,
    /// `[batch, hidden]`, sorted.
    initial: Vec<T>,
}

struct Layer<T> {
    packing: Arc<Packing>,
    tokens: TokenIds,
    kept: Mutex<Option<Kept<T>>>,
}

impl<T: Real> Backward for Layer<T> {
    fn name(&self) -> &'static str {
        "gru-layer"
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
            bail!("the activations of a GRU layer serve one backward pass, and are gone")
        };
        read(output, |output: &[T]| {
            read(gradient, |gradient: &[T]| {
                self.gradients(inputs, wanted, kept, output, gradient)
            })?
        })?
    }
}

impl<T: Real> Layer<T> {
    /// How many of the operation's inputs are the layer's input; the weights follow.
    fn entering(&self) -> usize {
        match &self.tokens {
            None => 3,
            Some((_, constant)) => 1 + usize::from(*constant),
        }
    }

    fn gradients(
        &self,
        inputs: &[Tensor],
        wanted: &[bool],
        kept: Kept<T>,
        output: &[T],
        gradient: &[T],
    ) -> Result<Vec<Option<Tensor>>> {
        let packing = &*self.packing;
        let (rows, batch) = (packing.rows(), packing.batch());
        let entering = self.entering();
        let weight = &inputs[entering];
        let (_, hidden) = weight.dims2()?;
        let stride = 4 * hidden;
        let Kept { mut gates, initial } = kept;
        let carry = self.steps(weight, &initial, output, gradient, &mut gates)?;

        let mut sums = vec![T::zero(); stride];
        add_columns(&gates, stride, &mut sums);
        let mut gradients = LayerInput::gradients(
            &self.tokens,
            packing,
            inputs,
            wanted,
            (&gates, hidden, stride),
            &sums[hidden..],
        )?;
        let tensor = |elements: Vec<T>, shape: &[usize]| {
            Tensor::from_vec(elements, shape, &Device::Cpu).map(Some)
        };
        gradients.push(match wanted[entering] {
            true => {
                let before = packing.states_before(&initial, output, hidden);
                let gradient = recurrent_gradient(rows, hidden, &gates, &before);
                tensor(gradient, &[3 * hidden, hidden])?
            }
            false => None,
        });
        // The columns are those of n's recurrent part, r and z; the bias has r, z, n.
        let bias = [&sums[hidden..3 * hidden], &sums[..hidden]].concat();
        gradients.push(tensor(bias, &[3 * hidden])?);
        if inputs.len() > entering + 2 {
            gradients.push(tensor(packing.unsort(&carry, hidden), &[batch, hidden])?);
        }
        Ok(gradients)
    }

    /// Turns the activations in `gates` into their gradients; gives the gradient of the
    /// initial states, sorted.
    fn steps(
        &self,
        weight: &Tensor,
        initial: &[T],
        output: &[T],
        gradient: &[T],
        gates: &mut [T],
    ) -> Result<Vec<T>> {
        let packing = &*self.packing;
        let (_, hidden) = weight.dims2()?;
        let isa = Isa::detect();
        let right = read(weight, |weight: &[T]| {
            Panels::new(isa, 3 * hidden, hidden, Columns::Plain, |row, column| {
                // The gates' gradients are in the order n, r, z.
                let row = (row + 2 * hidden) % (3 * hidden);
                weight[row * hidden + column]
            })
        })?;
        let mut carry = vec![T::zero(); packing.batch() * hidden];
        let blocks = Blocks::of(packing.batch(), right.block_rows());
        let (gates, shared) = (Shared::new(gates), Shared::new(&mut carry));
        each_group(blocks.groups, |group| {
            isa.run(BackwardSteps {
                hidden,
                batch_sizes: packing.batch_sizes(),
                offsets: packing.offsets(),
                weight: &right,
                initial,
                output,
                gradient,
                gates,
                carry: shared,
                group,
                blocks,
            });
        });
        Ok(carry)
    }
}

/// The gradient of the recurrent weights, `[3 * hidden, hidden]`.
fn recurrent_gradient<T: Real>(rows: usize, hidden: usize, gates: &[T], before: &[T]) -> Vec<T> {
    let stride = 4 * hidden;
    let mut gradient = vec![T::zero(); 3 * hidden * hidden];
    let (reset_update, new) = gradient.split_at_mut(2 * hidden * hidden);
    let right = (before, hidden);
    outer_product(
        rows,
        (gates, hidden, stride, 2 * hidden),
        right,
        reset_update,
    );
    outer_product(rows, (gates, 0, stride, hidden), right, new);
    gradient
}
