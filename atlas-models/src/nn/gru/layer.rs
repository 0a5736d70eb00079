//! One GRU layer as a differentiable operation on the CPU.

use super::backward::BackwardSteps;
use super::forward::{ForwardLayer, ForwardSteps, GATES};
use super::input::LayerInput;
use crate::nn::blocks::{Blocks, at_once};
use crate::nn::custom_op::{self, Backward, read};
use crate::nn::matrix::Matrix;
use crate::nn::outer::outer_product;
use crate::nn::packing::Packing;
use crate::nn::panels::{Columns, Panels};
use crate::nn::reduce::sum_columns;
use crate::nn::simd::{InstructionSet, Real};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs the layer: the states of every row, `[rows, hidden]`.
///
/// # Errors
///
/// A tensor is not one of `T` on the CPU.
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
    let inputs: Vec<Tensor> = inputs.into_iter().cloned().collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let keep = custom_op::tracks(&inputs);
    let layer = Layer::<T> {
        packing: packing.clone(),
        input,
        weight: weight.clone(),
        initial: packing.sort(initial, hidden, weight)?.detach(),
        gates: Mutex::new(None),
    };
    let (states, gates) = layer.forward(bias, initial.is_none(), keep)?;
    *layer.gates.lock().unwrap_or_else(PoisonError::into_inner) = Some(gates);
    custom_op::record(&inputs, states, (packing.rows(), hidden), layer)
}

/// A layer, with what the way forward leaves for the way back.
struct Layer<T> {
    packing: Arc<Packing>,
    input: LayerInput,
    /// `[3 * hidden, hidden]`
    weight: Tensor,
    /// `[batch, hidden]`, sorted.
    initial: Tensor,
    /// `[rows, 4 * hidden]`: see [`ForwardSteps`]. Taken by the way back.
    gates: Mutex<Option<Vec<T>>>,
}

impl<T: Real> Layer<T> {
    /// The states, and the buffer of the gates, whose activations are in it if they are to be kept.
    fn forward(&self, bias: &Tensor, from_zero: bool, keep: bool) -> Result<(Vec<T>, Vec<T>)> {
        let packing = &*self.packing;
        let (rows, set) = (packing.rows(), InstructionSet::detect());
        let (_, hidden) = self.weight.dims2()?;
        let stride = if keep {
            4 * hidden
        } else if self.input.is_dense() {
            3 * hidden
        } else {
            0
        };
        let mut gates = vec![T::zero(); rows * stride];
        let mut states = vec![T::zero(); rows * hidden];
        if self.input.is_dense() {
            self.input
                .project(&mut gates[stride - 3 * hidden..], stride)?;
        }
        read(
            [&self.weight, &self.initial],
            |[weight, initial]: [&[T]; 2]| {
                let weight = Matrix::new(weight, GATES * hidden, hidden);
                let weight = Panels::transposed(set, weight, Columns::Gates(GATES));
                let blocks = Blocks::new(packing.batch(), weight.block_rows());
                let gates = blocks.deal(&mut gates, stride, packing.batch_sizes());
                let states = blocks.deal(&mut states, hidden, packing.batch_sizes());
                let groups = gates.into_iter().zip(states).collect();
                self.input.read(bias, |projections, bias| {
                    let layer = ForwardLayer {
                        hidden,
                        offsets: packing.offsets(),
                        order: packing.order(),
                        weight: &weight,
                        bias,
                        projections,
                        initial,
                        from_zero,
                        keep,
                        blocks,
                    };
                    at_once(groups, |group, (gates, states)| {
                        set.run(ForwardSteps {
                            layer,
                            group,
                            gates,
                            states,
                        });
                    });
                })
            },
        )??;
        Ok((states, gates))
    }

    /// Turns the activations in `gates` into their gradients; gives the gradient of the
    /// initial states, sorted.
    fn backward_steps(&self, states: &[T], gradient: &[T], gates: &mut [T]) -> Result<Vec<T>> {
        let packing = &*self.packing;
        let (_, hidden) = self.weight.dims2()?;
        let set = InstructionSet::detect();
        let mut carry = vec![T::zero(); packing.batch() * hidden];
        read([&self.weight, &self.initial], |[weight, initial]| {
            let weight = Panels::new(set, 3 * hidden, hidden, Columns::Plain, |row, column| {
                // The gates' gradients are in the order n, r, z.
                let row = (row + 2 * hidden) % (3 * hidden);
                weight[row * hidden + column]
            });
            let blocks = Blocks::new(packing.batch(), weight.block_rows());
            let gates = blocks.deal(gates, 4 * hidden, packing.batch_sizes());
            let carry = blocks.deal(&mut carry, hidden, &[packing.batch()]);
            let carry = carry.into_iter().flatten();
            at_once(
                gates.into_iter().zip(carry).collect(),
                |group, (gates, carry)| {
                    set.run(BackwardSteps {
                        hidden,
                        offsets: packing.offsets(),
                        weight: &weight,
                        initial,
                        states,
                        gradient,
                        blocks,
                        group,
                        gates,
                        carry,
                    });
                },
            );
        })?;
        Ok(carry)
    }

    /// The gradient of the recurrent weights, `[3 * hidden, hidden]`.
    fn weight_gradient(&self, states: &[T], gates: Matrix<'_, T>) -> Result<Tensor> {
        let (rows, (_, hidden)) = (gates.height(), self.weight.dims2()?);
        let before = read([&self.initial], |[initial]| {
            self.packing.states_before(initial, states, hidden)
        })?;
        let before = Matrix::new(&before, rows, hidden);
        let mut gradient = vec![T::zero(); 3 * hidden * hidden];
        let (reset_update, new) = gradient.split_at_mut(2 * hidden * hidden);
        outer_product(gates.columns(hidden..3 * hidden), before, reset_update);
        outer_product(gates.columns(0..hidden), before, new);
        Tensor::from_vec(gradient, (3 * hidden, hidden), &Device::Cpu)
    }
}

impl<T: Real> Backward for Layer<T> {
    fn name(&self) -> &'static str {
        "gru-layer"
    }

    fn backward(
        &self,
        wanted: &[bool],
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let gates = self
            .gates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut gates) = gates else {
            bail!("the activations of a GRU layer serve one backward pass, and are gone")
        };
        let packing = &*self.packing;
        let (rows, hidden) = output.dims2()?;
        read([output, gradient], |[states, gradient]: [&[T]; 2]| {
            let carry = self.backward_steps(states, gradient, &mut gates)?;
            let gates = Matrix::new(&gates, rows, 4 * hidden);
            let sums = sum_columns(gates);
            let entering = gates.columns(hidden..4 * hidden);
            let mut gradients = self
                .input
                .gradients(packing, wanted, entering, &sums[hidden..])?;
            gradients.push(if wanted[gradients.len()] {
                Some(self.weight_gradient(states, gates)?)
            } else {
                None
            });
            // The columns are those of n's recurrent part, r and z; the bias has r, z, n.
            let bias = [&sums[hidden..3 * hidden], &sums[..hidden]].concat();
            gradients.push(Some(Tensor::new(bias, &Device::Cpu)?));
            if wanted.len() > gradients.len() {
                let carry = Tensor::from_vec(carry, (packing.batch(), hidden), &Device::Cpu)?;
                gradients.push(Some(packing.unsort(&carry)?));
            }
            Ok(gradients)
        })?
    }
}
