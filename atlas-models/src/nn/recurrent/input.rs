//! What enters a layer, on the way forward and on the way back.

use crate::nn::graph::read;
use crate::nn::lanes::{Isa, Lanes, Real};
use crate::nn::outer::outer_product;
use crate::nn::packing::Packing;
use crate::nn::panels::{Columns, Panels};
use crate::nn::product::multiply_rows;
use crate::nn::reduce::scatter_rows;
use crate::nn::shared::Shared;
use candle_core::{Device, Result, Tensor};
use std::sync::Arc;

/// What enters a layer.
pub(in crate::nn) enum LayerInput {
    /// Dense rows, and how they are projected to the gates.
    Rows {
        /// `[rows, input]`
        rows: Tensor,
        /// `[gates * hidden, input]`
        weight: Tensor,
        /// `[gates * hidden]`
        bias: Tensor,
    },
    /// Tokens whose projections are the rows of a table.
    Tokens {
        /// One for each packed row.
        ids: Arc<Vec<u32>>,
        /// `[vocabulary, gates * hidden]`, with the input's bias.
        table: Tensor,
        /// What is constant over each sequence, `[batch, gates * hidden]`.
        constant: Option<Tensor>,
    },
}

/// The ids of token inputs, and whether there is a constant part; absent for dense rows.
pub(in crate::nn) type TokenIds = Option<(Arc<Vec<u32>>, bool)>;

impl LayerInput {
    /// The tensors that gradients may be asked for.
    pub(in crate::nn) fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Rows { rows, weight, bias } => vec![rows, weight, bias],
            Self::Tokens {
                table, constant, ..
            } => std::iter::once(table).chain(constant).collect(),
        }
    }

    /// What the way back needs to know of the input beside its tensors.
    pub(in crate::nn) fn token_ids(&self) -> TokenIds {
        match self {
            Self::Rows { .. } => None,
            Self::Tokens { ids, constant, .. } => Some((ids.clone(), constant.is_some())),
        }
    }

    /// Whether there are projections to compute before the steps.
    pub(in crate::nn) fn is_dense(&self) -> bool {
        matches!(self, Self::Rows { .. })
    }

    /// Writes the projections of dense rows, without the bias, into the rows of a buffer.
    ///
    /// # Errors
    ///
    /// A tensor is not one of `T` on the CPU.
    pub(in crate::nn) fn project<T: Real>(
        &self,
        buffer: &mut [T],
        offset: usize,
        stride: usize,
    ) -> Result<()> {
        let Self::Rows { rows, weight, .. } = self else {
            return Ok(());
        };
        let (count, width) = rows.dims2()?;
        let (projected, _) = weight.dims2()?;
        let right = read(weight, |weight: &[T]| {
            Panels::transposed(Isa::detect(), weight, projected, Columns::Plain)
        })?;
        read(rows, |rows: &[T]| {
            multiply_rows(count, (rows, 0, width), &right, (buffer, offset, stride));
        })
    }

    /// The projections of every row, `[rows, gates * hidden]`, of candle's operations.
    ///
    /// # Errors
    ///
    /// What candle's operations refuse.
    pub(in crate::nn) fn projections(self, packing: &Packing) -> Result<Tensor> {
        match self {
            Self::Rows { rows, weight, bias } => rows.matmul(&weight.t()?)?.broadcast_add(&bias),
            Self::Tokens {
                ids,
                table,
                constant,
            } => {
                let ids = Tensor::from_vec(ids.to_vec(), ids.len(), table.device())?;
                let projections = table.index_select(&ids, 0)?;
                match constant {
                    Some(constant) => projections + packing.repeat(&constant)?,
                    None => Ok(projections),
                }
            }
        }
    }

    /// The gradients of [`tensors`](Self::tensors), given as `inputs`, from those of the gates:
    /// `gates[offset..]` in rows `stride` apart, whose sums over all rows are `sums`.
    ///
    /// # Errors
    ///
    /// A tensor is not one of `T` on the CPU.
    pub(in crate::nn) fn gradients<T: Real>(
        tokens: &TokenIds,
        packing: &Packing,
        inputs: &[Tensor],
        wanted: &[bool],
        (gates, offset, stride): (&[T], usize, usize),
        sums: &[T],
    ) -> Result<Vec<Option<Tensor>>> {
        let (rows, projected) = (packing.rows(), sums.len());
        let Some((ids, constant)) = tokens else {
            let (_, width) = inputs[0].dims2()?;
            let mut gradients = vec![None, None, Some(tensor(sums.to_vec(), projected)?)];
            if wanted[0] {
                let right = read(&inputs[1], |weight: &[T]| {
                    Panels::new(Isa::detect(), projected, width, Columns::Plain, |r, c| {
                        weight[r * width + c]
                    })
                })?;
                let mut dx = vec![T::zero(); rows * width];
                multiply_rows(rows, (gates, offset, stride), &right, (&mut dx, 0, width));
                gradients[0] = Some(tensor(dx, (rows, width))?);
            }
            if wanted[1] {
                let mut dw = vec![T::zero(); projected * width];
                read(&inputs[0], |x: &[T]| {
                    let left = (gates, offset, stride, projected);
                    outer_product(rows, left, (x, width), &mut dw);
                })?;
                gradients[1] = Some(tensor(dw, (projected, width))?);
            }
            return Ok(gradients);
        };
        let scatter = |targets: &[u32], count: usize| {
            let mut sums = vec![T::zero(); count * projected];
            scatter_rows(gates, stride, offset, targets, &mut sums, projected);
            tensor(sums, (count, projected)).map(Some)
        };
        let mut gradients = vec![scatter(ids, inputs[0].dim(0)?)?];
        if *constant {
            gradients.push(scatter(&packing.sequences(), packing.batch())?);
        }
        Ok(gradients)
    }
}

fn tensor<T: Real>(elements: Vec<T>, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    Tensor::from_vec(elements, shape.into(), &Device::Cpu)
}

/// What the input adds to the gates of a row, `[gates * hidden]`.
#[derive(Clone, Copy)]
pub(in crate::nn) enum Inputs<'a, T> {
    /// The projections of dense inputs, in the buffer of the gates, to which `bias` is added.
    Rows {
        /// `[gates * hidden]`
        bias: &'a [T],
    },
    /// The rows of a table, and what is constant over a sequence.
    Tokens {
        /// One for each packed row; each less than the table's rows.
        ids: &'a [u32],
        /// `[vocabulary, gates * hidden]`
        table: &'a [T],
        /// `[batch, gates * hidden]`, in the caller's order.
        constant: Option<&'a [T]>,
    },
}

impl<T: Real> Inputs<'_, T> {
    /// `count` elements, from `column` of `width` on, for the row of a sequence whose
    /// projections are at `projections`, if it has any.
    ///
    /// # Safety
    ///
    /// Row, sequence and column are within the slices; `projections` is
    /// readable where the inputs are dense.
    #[inline(always)]
    pub(in crate::nn) unsafe fn load<V: Lanes<Real = T>>(
        self,
        (row, sequence): (usize, usize),
        (column, width, count): (usize, usize, usize),
        projections: *const T,
    ) -> V {
        unsafe {
            match self {
                Self::Rows { bias } => V::load_first(projections.add(column), count)
                    .add(V::load_first(bias.as_ptr().add(column), count)),
                Self::Tokens {
                    ids,
                    table,
                    constant,
                } => {
                    let at = ids[row] as usize * width + column;
                    let input = V::load_first(table.as_ptr().add(at), count);
                    let Some(constant) = constant else {
                        return input;
                    };
                    let at = sequence * width + column;
                    input.add(V::load_first(constant.as_ptr().add(at), count))
                }
            }
        }
    }
}

/// The buffer of the gates' rows: before a step they hold the input projections, after it the
/// activations, if they are kept.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Gates<'a, T> {
    pub(in crate::nn) elements: Shared<'a, T>,
    /// Elements of a row.
    pub(in crate::nn) stride: usize,
    /// Where in a row the input projections start.
    pub(in crate::nn) projections: usize,
    /// Whether the activations are kept for the way back.
    pub(in crate::nn) keep: bool,
}

/// Calls `use_it` with the elements of what enters the layer.
pub(in crate::nn) fn with_inputs<T: Real>(
    input: &LayerInput,
    use_it: impl FnOnce(Inputs<'_, T>) -> Result<()>,
) -> Result<()> {
    match input {
        LayerInput::Rows { bias, .. } => read(bias, |bias: &[T]| use_it(Inputs::Rows { bias }))?,
        LayerInput::Tokens {
            ids,
            table,
            constant,
        } => read(table, |table: &[T]| match constant {
            None => use_it(Inputs::Tokens {
                ids,
                table,
                constant: None,
            }),
            Some(constant) => read(constant, |constant: &[T]| {
                use_it(Inputs::Tokens {
                    ids,
                    table,
                    constant: Some(constant),
                })
            })?,
        })?,
    }
}
