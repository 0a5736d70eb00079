//! The rows about each row of a sequence.

use crate::nn::custom_op::{self, Backward, read};
use crate::nn::matrix::Matrix;
use crate::nn::packing::Packing;
use crate::nn::simd::Real;
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use std::marker::PhantomData;

/// The rows about each row: as many of its sequence as the kernel is wide.
pub(super) struct Windows {
    packing: Packing,
    pub(super) kernel: usize,
}

/// Rows that a thread takes at a time.
pub(super) const CHUNK: usize = 64;

impl Windows {
    pub(super) fn new(packing: &Packing, kernel: usize) -> Self {
        let packing = packing.clone();
        Self { packing, kernel }
    }

    /// The step and the place among the step's sequences of each row.
    pub(super) fn places(&self) -> Vec<(usize, usize)> {
        let steps = self.packing.batch_sizes().iter().enumerate();
        steps
            .flat_map(|(step, &active)| (0..active).map(move |position| (step, position)))
            .collect()
    }

    /// The row `forward` steps after and `back` before one, if its sequence has it.
    pub(super) fn row(
        &self,
        (step, position): (usize, usize),
        forward: usize,
        back: usize,
    ) -> Option<usize> {
        let step = (step + forward).checked_sub(back)?;
        let active = *self.packing.batch_sizes().get(step)?;
        (position < active).then(|| self.packing.offsets()[step] + position)
    }

    /// Steps before a row that its window starts.
    pub(super) fn before(&self) -> usize {
        (self.kernel - 1) / 2
    }

    /// The rows of each window one after the other, `[rows, kernel * width]`, with zeros where the
    /// sequence has none.
    pub(super) fn of(self, rows: &Tensor) -> Result<Tensor> {
        match rows.dtype() {
            DType::F32 if rows.device().is_cpu() => self.gather::<f32>(rows),
            DType::F64 if rows.device().is_cpu() => self.gather::<f64>(rows),
            _ => self.composed(rows),
        }
    }

    fn gather<T: Real>(self, rows: &Tensor) -> Result<Tensor> {
        let (count, width) = rows.dims2()?;
        let shape = (count, self.kernel * width);
        let (places, before) = (self.places(), self.before());
        let mut output = vec![T::ZERO; count * shape.1];
        read([rows], |[rows]: [&[T]; 1]| {
            let rows = Matrix::new(rows, count, width);
            let windows = output.par_chunks_exact_mut(shape.1).zip(&places);
            windows.with_min_len(CHUNK).for_each(|(window, &place)| {
                for (tap, to) in window.chunks_exact_mut(width).enumerate() {
                    if let Some(row) = self.row(place, tap, before) {
                        to.copy_from_slice(rows.row(row));
                    }
                }
            });
        })?;
        let operation = GatherWindows::<T> {
            windows: self,
            real: PhantomData,
        };
        custom_op::record(&[rows], output, shape, operation)
    }

    /// The same of candle's operations.
    pub(super) fn composed(&self, rows: &Tensor) -> Result<Tensor> {
        let (count, width) = rows.dims2()?;
        let zero = Tensor::zeros((1, width), rows.dtype(), rows.device())?;
        let places = self.places().into_iter();
        let index = places.flat_map(|place| {
            (0..self.kernel)
                .map(move |tap| self.row(place, tap, self.before()).unwrap_or(count) as u32)
        });
        let index = Tensor::new(index.collect::<Vec<_>>(), rows.device())?;
        Tensor::cat(&[rows, &zero], 0)?
            .index_select(&index, 0)?
            .reshape((count, self.kernel * width))
    }
}

/// [`Windows::of`] as a differentiable operation.
struct GatherWindows<T> {
    windows: Windows,
    real: PhantomData<T>,
}

impl<T: Real> Backward for GatherWindows<T> {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn backward(
        &self,
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let windows = &self.windows;
        let (count, columns) = gradient.dims2()?;
        let width = columns / windows.kernel;
        let (places, before) = (windows.places(), windows.before());
        let mut sums = vec![T::ZERO; count * width];
        read([gradient], |[gradient]: [&[T]; 1]| {
            let gradient = Matrix::new(gradient, count, columns);
            let sums = sums.par_chunks_exact_mut(width).zip(&places);
            sums.with_min_len(CHUNK).for_each(|(sum, &place)| {
                for tap in 0..windows.kernel {
                    let Some(row) = windows.row(place, before, tap) else {
                        continue;
                    };
                    let elements = &gradient.row(row)[tap * width..][..width];
                    for (sum, &element) in sum.iter_mut().zip(elements) {
                        *sum += element;
                    }
                }
            });
        })?;
        let sums = Tensor::from_vec(sums, (count, width), &Device::Cpu)?;
        Ok(vec![Some(sums)])
    }
}
