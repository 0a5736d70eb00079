//! Scaled dot-product attention of several heads (Vaswani et al., "Attention Is All You Need",
//! 2017), within each sequence.

mod head;
mod products;
mod step;
#[cfg(test)]
mod tests;

use super::custom_op::{self, Backward, read};
use super::matrix::Matrix;
use super::packing::Packing;
use super::simd::{InstructionSet, Real};
use candle_core::{D, DType, Device, Result, Tensor, bail};
use candle_nn::ops::softmax;
use head::{Buffers, Head};
pub(super) use products::sum;
use rayon::prelude::*;
use std::marker::PhantomData;
pub(super) use step::{Cache, Step};

/// Lets each row attend to the rows of its own sequence: queries, keys and values, `[rows, width]`
/// each and packed, to `[rows, width]`.
///
/// The columns are those of `heads` heads, one after the other. If `causal`, a row attends to
/// itself and those before it. Differentiable. On the CPU in `f32` and `f64` a sequence's rows, and
/// the gradients by them, are the same bits whatever else is in the batch and for any number of
/// threads; elsewhere it is composed of candle's operations.
///
/// # Errors
///
/// The shapes, dtypes or devices do not fit each other, or the heads do not divide the width.
pub fn attention(
    packing: &Packing,
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
    causal: bool,
) -> Result<Tensor> {
    let shape = query.dims2()?;
    for (name, tensor) in [("keys", key), ("values", value)] {
        if tensor.dims2()? != shape {
            bail!("{name} of shape {:?}, queries of {shape:?}", tensor.shape())
        }
    }
    let projections = Tensor::cat(&[query, key, value], 1)?;
    self_attention(packing, &projections, heads, causal)
}

/// [`attention`] of queries, keys and values that lie side by side, `[rows, 3 * width]`.
///
/// # Errors
///
/// The shape does not fit, or the heads do not divide the width.
pub(super) fn self_attention(
    packing: &Packing,
    projections: &Tensor,
    heads: usize,
    causal: bool,
) -> Result<Tensor> {
    let (rows, columns) = projections.dims2()?;
    let width = columns / 3;
    if rows != packing.rows() {
        bail!("{rows} rows, the packing has {}", packing.rows())
    }
    if heads == 0 || width == 0 || columns != 3 * width || !width.is_multiple_of(heads) {
        bail!("{heads} heads do not divide a third of {columns} columns")
    }
    let layout = Layout {
        packing: packing.clone(),
        heads,
        head_width: width / heads,
        causal,
    };
    match projections.dtype() {
        DType::F32 if projections.device().is_cpu() => layout.fused::<f32>(projections),
        DType::F64 if projections.device().is_cpu() => layout.fused::<f64>(projections),
        _ => layout.composed(projections),
    }
}

/// Which rows and columns attend to each other.
struct Layout {
    packing: Packing,
    heads: usize,
    head_width: usize,
    causal: bool,
}

impl Layout {
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// The pass of the CPU's own.
    fn fused<T: Real>(self, projections: &Tensor) -> Result<Tensor> {
        let (rows, width) = (self.packing.rows(), self.width());
        let mut output = vec![T::ZERO; rows * width];
        read([projections], |[elements]: [&[T]; 1]| {
            let elements = Matrix::new(elements, rows, 3 * width);
            self.each_head(elements, (&mut output, width), Buffers::forward);
        })?;
        let operation = Attention::<T> {
            layout: self,
            real: PhantomData,
            projections: projections.clone(),
        };
        custom_op::record(&[projections], output, (rows, width), operation)
    }

    /// Calls `work` with each head of each sequence and the sequence's rows of `to`, which are
    /// `width` elements wide. The threads divide the sequences.
    fn each_head<T: Real>(
        &self,
        projections: Matrix<'_, T>,
        (to, width): (&mut [T], usize),
        work: impl Fn(&mut Buffers<T>, Head<'_, T>, &mut [&mut [T]]) + Sync,
    ) {
        let mut sequences: Vec<Vec<&mut [T]>> = Vec::new();
        sequences.resize_with(self.packing.batch(), Vec::new);
        let mut rows = to.chunks_exact_mut(width);
        for &active in self.packing.batch_sizes() {
            for (sequence, row) in sequences[..active].iter_mut().zip(&mut rows) {
                sequence.push(row);
            }
        }
        let set = InstructionSet::detect();
        let buffers = || Buffers::new(set);
        let sequences = sequences.into_par_iter().enumerate().with_max_len(1);
        sequences.for_each_init(buffers, |buffers, (position, mut rows)| {
            for head in 0..self.heads {
                let head = Head {
                    projections,
                    offsets: &self.packing.offsets()[..rows.len()],
                    position,
                    first: head * self.head_width,
                    width: self.head_width,
                    causal: self.causal,
                };
                work(buffers, head, &mut rows);
            }
        });
    }

    /// The same of candle's operations, over sequences that are padded to the longest.
    fn composed(&self, projections: &Tensor) -> Result<Tensor> {
        let (packing, device) = (&self.packing, projections.device());
        let (batch, steps) = (packing.batch(), packing.steps());
        let mut padded = vec![0u32; batch * steps];
        let mut mask = vec![f32::NEG_INFINITY; batch * steps * steps];
        let mut packed = Vec::with_capacity(packing.rows());
        for (row, (sequence, step)) in packing.elements().enumerate() {
            padded[sequence * steps + step] = row as u32;
            packed.push((sequence * steps + step) as u32);
            for attending in 0..steps {
                if step <= attending || !self.causal {
                    mask[(sequence * steps + attending) * steps + step] = 0.0;
                }
            }
        }
        let padded = Tensor::new(padded, device)?;
        let mask = Tensor::from_vec(mask, (batch, 1, steps, steps), device)?;
        let parts = projections
            .index_select(&padded, 0)?
            .reshape((batch, steps, 3, self.heads, self.head_width))?
            .permute((2, 0, 3, 1, 4))?;
        let part = |index: usize| parts.get(index)?.contiguous();
        let query = (part(0)? / (self.head_width as f64).sqrt())?;
        let scores = query.matmul(&part(1)?.t()?)?;
        let scores = scores.broadcast_add(&mask.to_dtype(scores.dtype())?)?;
        softmax(&scores, D::Minus1)?
            .matmul(&part(2)?)?
            .transpose(1, 2)?
            .reshape((batch * steps, self.width()))?
            .index_select(&Tensor::new(packed, device)?, 0)
    }
}

struct Attention<T> {
    layout: Layout,
    /// `[rows, 3 * width]`
    projections: Tensor,
    real: PhantomData<T>,
}

impl<T: Real> Backward for Attention<T> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn backward(
        &self,
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (rows, width) = gradient.dims2()?;
        let shape = (rows, 3 * width);
        let mut gradients = vec![T::ZERO; rows * 3 * width];
        read([&self.projections, gradient], |[elements, gradient]| {
            let elements = Matrix::new(elements, rows, 3 * width);
            let gradient = Matrix::new(gradient, rows, width);
            let to = (&mut gradients[..], 3 * width);
            self.layout.each_head(elements, to, |buffers, head, rows| {
                buffers.backward(head, gradient, rows);
            });
        })?;
        let gradients = Tensor::from_vec(gradients, shape, &Device::Cpu)?;
        Ok(vec![Some(gradients)])
    }
}
