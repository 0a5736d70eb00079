//! The input of a GRU layer: its products with the weights, and the gradients of both.

use crate::nn::custom_op::read;
use crate::nn::linear::{input_gradient, weight_gradient};
use crate::nn::matrix::Matrix;
use crate::nn::packing::Packing;
use crate::nn::panels::{Columns, Panels};
use crate::nn::product::multiply_rows;
use crate::nn::reduce::scatter_rows;
use crate::nn::simd::{InstructionSet, Real, Register, Supported};
use candle_core::{Device, Result, Tensor};
use std::ops::Range;

/// What enters a layer.
pub(super) enum LayerInput {
    /// Dense rows, and how they are projected to the gates.
    Rows {
        /// `[rows, input]`
        rows: Tensor,
        /// `[3 * hidden, input]`
        weight: Tensor,
        /// `[3 * hidden]`
        bias: Tensor,
    },
    /// Tokens whose projections are the rows of a table.
    Tokens {
        /// One for each packed row, each less than the table's rows.
        ids: Vec<u32>,
        /// `[vocabulary, 3 * hidden]`, with the input's bias.
        table: Tensor,
        /// What is constant over each sequence, `[batch, 3 * hidden]`.
        constant: Option<Tensor>,
    },
}

impl LayerInput {
    /// The tensors that gradients may be asked for.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Rows { rows, weight, bias } => vec![rows, weight, bias],
            Self::Tokens {
                table, constant, ..
            } => std::iter::once(table).chain(constant).collect(),
        }
    }

    /// Whether there are projections to compute before the steps.
    pub(super) fn is_dense(&self) -> bool {
        matches!(self, Self::Rows { .. })
    }

    /// Writes the projections of dense rows, without the bias, into rows that are `stride` elements
    /// apart.
    ///
    /// # Errors
    ///
    /// A tensor is not one of `T` on the CPU.
    pub(super) fn project<T: Real>(&self, buffer: &mut [T], stride: usize) -> Result<()> {
        let Self::Rows { rows, weight, .. } = self else {
            return Ok(());
        };
        let (count, width) = rows.dims2()?;
        let (projected, _) = weight.dims2()?;
        read([rows, weight], |[rows, weight]: [&[T]; 2]| {
            let weight = Matrix::new(weight, projected, width);
            let right = Panels::transposed(InstructionSet::detect(), weight, Columns::Plain);
            multiply_rows(Matrix::new(rows, count, width), &right, (buffer, stride));
        })
    }

    /// The projections of every row, `[rows, 3 * hidden]`, of candle's operations.
    ///
    /// # Errors
    ///
    /// What candle's operations refuse.
    pub(super) fn projections(self, packing: &Packing) -> Result<Tensor> {
        match self {
            Self::Rows { rows, weight, bias } => rows.matmul(&weight.t()?)?.broadcast_add(&bias),
            Self::Tokens {
                ids,
                table,
                constant,
            } => {
                let projections = table.index_select(&Tensor::new(ids, table.device())?, 0)?;
                match constant {
                    Some(constant) => projections + packing.repeat(&constant)?,
                    None => Ok(projections),
                }
            }
        }
    }

    /// Calls `use_it` with what the input adds to the gates, and the elements of `bias`.
    ///
    /// # Errors
    ///
    /// A tensor is not one of `T` on the CPU.
    pub(super) fn read<T: Real>(
        &self,
        bias: &Tensor,
        use_it: impl FnOnce(Projections<'_, T>, &[T]),
    ) -> Result<()> {
        match self {
            Self::Rows { bias: input, .. } => read([input, bias], |[input, bias]| {
                use_it(Projections::Rows { bias: input }, bias);
            }),
            Self::Tokens {
                ids,
                table,
                constant: None,
            } => read([table, bias], |[table, bias]| {
                let constant = None;
                let tokens = Projections::Tokens {
                    ids,
                    table,
                    constant,
                };
                use_it(tokens, bias);
            }),
            Self::Tokens {
                ids,
                table,
                constant: Some(constant),
            } => read([table, constant, bias], |[table, constant, bias]| {
                let constant = Some(constant);
                let tokens = Projections::Tokens {
                    ids,
                    table,
                    constant,
                };
                use_it(tokens, bias);
            }),
        }
    }

    /// The gradients of [`tensors`](Self::tensors), from those of what the input adds to the
    /// gates, `[rows, 3 * hidden]`, and their sums over all rows.
    ///
    /// # Errors
    ///
    /// A tensor is not one of `T` on the CPU.
    pub(super) fn gradients<T: Real>(
        &self,
        packing: &Packing,
        wanted: &[bool],
        gates: Matrix<'_, T>,
        sums: &[T],
    ) -> Result<Vec<Option<Tensor>>> {
        let width = gates.width();
        match self {
            Self::Rows { rows, weight, .. } => {
                let mut gradients = vec![None; 3];
                if wanted[0] {
                    gradients[0] = Some(input_gradient(gates, weight)?);
                }
                if wanted[1] {
                    gradients[1] = Some(weight_gradient(gates, rows)?);
                }
                gradients[2] = Some(Tensor::new(sums, &Device::Cpu)?);
                Ok(gradients)
            }
            Self::Tokens {
                ids,
                table,
                constant,
            } => {
                let scatter = |targets: &[u32], count: usize| {
                    let sums = scatter_rows(gates, |row| targets[row] as usize, count);
                    Tensor::from_vec(sums, (count, width), &Device::Cpu).map(Some)
                };
                let mut gradients = vec![scatter(ids, table.dim(0)?)?];
                if constant.is_some() {
                    gradients.push(scatter(&packing.sequences(), packing.batch())?);
                }
                Ok(gradients)
            }
        }
    }
}

/// What the input adds to the gates of the rows.
#[derive(Clone, Copy)]
pub(super) enum Projections<'a, T> {
    /// The projections of dense inputs, in the buffer of the gates, to which `bias` is added.
    Rows {
        /// `[3 * hidden]`
        bias: &'a [T],
    },
    /// The rows of a table, and what is constant over a sequence.
    Tokens {
        /// One for each packed row.
        ids: &'a [u32],
        /// `[vocabulary, 3 * hidden]`
        table: &'a [T],
        /// `[batch, 3 * hidden]`, in the caller's order.
        constant: Option<&'a [T]>,
    },
}

impl<'a, T: Real> Projections<'a, T> {
    /// What is added to the `width` gates of a row of a sequence. If the rows are dense, the
    /// projections are the last elements of `gates`.
    #[inline(always)]
    pub(super) fn of_row<'b>(
        self,
        (row, sequence): (usize, usize),
        width: usize,
        gates: &'b [T],
    ) -> RowProjections<'b, T>
    where
        'a: 'b,
    {
        match self {
            Self::Rows { bias } => RowProjections {
                first: &gates[gates.len() - width..],
                second: Some(bias),
            },
            Self::Tokens {
                ids,
                table,
                constant,
            } => RowProjections {
                first: &table[ids[row] as usize * width..][..width],
                second: constant.map(|rows| &rows[sequence * width..][..width]),
            },
        }
    }
}

/// What the input adds to the gates of a row: the sum of two parts, if there are two.
#[derive(Clone, Copy)]
pub(super) struct RowProjections<'a, T> {
    first: &'a [T],
    second: Option<&'a [T]>,
}

impl<T: Real> RowProjections<'_, T> {
    /// What is added to some of the gates.
    #[inline(always)]
    pub(super) fn load<R: Register<Real = T>>(self, simd: Supported<R>, gates: Range<usize>) -> R {
        let first = simd.load(&self.first[gates.clone()]);
        match self.second {
            Some(second) => first.add(simd.load(&second[gates])),
            None => first,
        }
    }
}
