//! Convolution of tokens, by a table of what each gives at each place of a window.

use super::windows::{CHUNK, Windows};
use crate::nn::custom_op::{self, Backward, read};
use crate::nn::matrix::Matrix;
use crate::nn::reduce::{scatter_rows, sum_columns};
use crate::nn::simd::Real;
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Windows over tokens.
pub(super) struct TokenWindows {
    pub(super) windows: Windows,
    /// One for each packed row.
    pub(super) ids: Vec<u32>,
}

impl TokenWindows {
    /// The sums over each window of what its tokens give at their places, `[rows, output]`, from
    /// `[vocabulary, kernel * output]`, and of the bias.
    pub(super) fn sums<T: Real>(self, table: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (vocabulary, columns) = table.dims2()?;
        let (count, output) = (self.ids.len(), bias.dims1()?);
        let windows = &self.windows;
        let (places, before) = (windows.places(), windows.before());
        let mut sums = vec![T::ZERO; count * output];
        read([table, bias], |[table, bias]: [&[T]; 2]| {
            let table = Matrix::new(table, vocabulary, columns);
            let sums = sums.par_chunks_exact_mut(output).zip(&places);
            sums.with_min_len(CHUNK).for_each(|(sum, &place)| {
                sum.copy_from_slice(bias);
                for tap in 0..windows.kernel {
                    let Some(row) = windows.row(place, tap, before) else {
                        continue;
                    };
                    let elements = &table.row(self.ids[row] as usize)[tap * output..][..output];
                    for (sum, &element) in sum.iter_mut().zip(elements) {
                        *sum += element;
                    }
                }
            });
        })?;
        let operation = SumTokens::<T> {
            tokens: self,
            vocabulary,
            real: PhantomData,
        };
        custom_op::record(&[table, bias], sums, (count, output), operation)
    }
}

/// [`TokenWindows::sums`] as a differentiable operation.
struct SumTokens<T> {
    tokens: TokenWindows,
    vocabulary: usize,
    real: PhantomData<T>,
}

impl<T: Real> Backward for SumTokens<T> {
    fn name(&self) -> &'static str {
        "token-windows"
    }

    fn backward(
        &self,
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let TokenWindows { windows, ids } = &self.tokens;
        let (count, output) = gradient.dims2()?;
        let (places, before) = (windows.places(), windows.before());
        read([gradient], |[gradient]: [&[T]; 1]| {
            let gradient = Matrix::new(gradient, count, output);
            // Rows whose window has no token at a place are summed behind the vocabulary.
            let by_place = |tap| {
                let token = |row: usize| {
                    let row = windows.row(places[row], tap, before);
                    row.map_or(self.vocabulary, |row| ids[row] as usize)
                };
                let mut sums = scatter_rows(gradient, token, self.vocabulary + 1);
                sums.truncate(self.vocabulary * output);
                Tensor::from_vec(sums, (self.vocabulary, output), &Device::Cpu)
            };
            let table = (0..windows.kernel).into_par_iter().map(by_place);
            let table = Tensor::cat(&table.collect::<Result<Vec<_>>>()?, 1)?;
            let bias = Tensor::new(sum_columns(gradient), &Device::Cpu)?;
            Ok(vec![Some(table), Some(bias)])
        })?
    }
}
