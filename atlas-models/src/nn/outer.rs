//! The product of one matrix, transposed, with another: the gradient of a matrix of weights.
//!
//! Every element is summed over the rows in one order, in chunks of a fixed
//! length, whatever the number of threads; the threads divide the columns of
//! the left-hand matrix.

use super::blocks::split_rows;
use super::matrix::Matrix;
use super::panels::{PLAIN_REGISTERS, Panels};
use super::simd::{
    InstructionSet, Kernel, Real, Register, Supported, const_rows, multiply, product_rows,
};
use std::ops::Range;

/// Rows summed before the result is touched: a panel of so many stays in the nearest caches.
const CHUNK: usize = 256;

/// Columns of the left-hand matrix that are arranged at a time.
const STRIP: usize = 96;

/// `result[i, j] = sum over rows of left[row, i] · right[row, j]`, for a result of zeros.
///
/// # Panics
///
/// The matrices have other numbers of rows, or the result is not `[left's width, right's width]`.
pub(crate) fn outer_product<T: Real>(left: Matrix<'_, T>, right: Matrix<'_, T>, result: &mut [T]) {
    let (height, width) = (left.width(), right.width());
    assert_eq!(left.height(), right.height());
    assert_eq!(result.len(), height * width);
    let right = Panels::plain(InstructionSet::detect(), right);
    split_rows(
        height,
        (result, width),
        right.block_rows(),
        |columns, result| {
            right.set().run(Outer {
                left: left.columns(columns),
                right: &right,
                result,
            });
        },
    );
}

/// The product for some of the left-hand columns, on one thread.
struct Outer<'a, T> {
    left: Matrix<'a, T>,
    right: &'a Panels<T>,
    /// `[left's width, right's width]`, holding zeros.
    result: &'a mut [T],
}

impl<T: Real> Kernel for Outer<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(mut self, simd: Supported<R>) {
        let block = product_rows::<R>(PLAIN_REGISTERS);
        let (height, depth) = (self.left.width(), self.right.depth());
        let mut arranged = vec![T::zero(); CHUNK * STRIP];
        for first in (0..height).step_by(STRIP) {
            let strip = first..height.min(first + STRIP);
            for start in (0..depth).step_by(CHUNK) {
                let rows = start..depth.min(start + CHUNK);
                const_rows!(block in [12 11 10 9 8 7 6 5 4 3 2 1], BLOCK => {
                    self.arrange::<BLOCK>(&mut arranged, &strip, &rows)
                });
                for panel in 0..self.right.width().div_ceil(PLAIN_REGISTERS * R::LANES) {
                    for column in strip.clone().step_by(block) {
                        let count = block.min(strip.end - column);
                        let left = &arranged[(column - strip.start) * CHUNK..];
                        const_rows!(count in [12 11 10 9 8 7 6 5 4 3 2 1], COLUMNS => {
                            self.add::<R, COLUMNS>(simd, left, &rows, column, panel)
                        });
                    }
                }
            }
        }
    }
}

impl<T: Real> Outer<'_, T> {
    /// Copies a part of the left-hand matrix so that each block of columns is contiguous:
    /// for each block, for each row, the columns; blocks are `CHUNK` rows apart.
    #[inline(always)]
    fn arrange<const BLOCK: usize>(&self, to: &mut [T], strip: &Range<usize>, rows: &Range<usize>) {
        for (index, row) in rows.clone().enumerate() {
            let (blocks, rest) = self.left.row(row)[strip.clone()].as_chunks::<BLOCK>();
            let at = |place: usize| place * BLOCK * CHUNK + index * BLOCK;
            for (place, columns) in blocks.iter().enumerate() {
                // As an array, because a call to copy so few elements costs more than they do.
                if let Some(to) = to[at(place)..].first_chunk_mut() {
                    *to = *columns;
                }
            }
            if !rest.is_empty() {
                to[at(blocks.len())..][..rest.len()].copy_from_slice(rest);
            }
        }
    }

    #[inline(always)]
    fn add<R: Register<Real = T>, const COLUMNS: usize>(
        &mut self,
        simd: Supported<R>,
        left: &[T],
        rows: &Range<usize>,
        column: usize,
        panel: usize,
    ) {
        let block = product_rows::<R>(PLAIN_REGISTERS);
        let width = self.right.width();
        let panel_rows = &self.right.panel(panel)[rows.start * PLAIN_REGISTERS * R::LANES..];
        let sums =
            multiply::<R, COLUMNS, PLAIN_REGISTERS>(simd, rows.len(), left, [1, block], panel_rows);
        for (offset, sums) in sums.into_iter().enumerate() {
            let to = &mut self.result[(column + offset) * width..][..width];
            for (register, sum) in sums.into_iter().enumerate() {
                let first = (panel * PLAIN_REGISTERS + register) * R::LANES;
                if first >= width {
                    break;
                }
                let to = &mut to[first..width.min(first + R::LANES)];
                simd.load(to).add(sum).store(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_the_sum_over_the_rows() -> candle_core::Result<()> {
        InstructionSet::each(|| {
            for (rows, height, width) in [(1, 1, 1), (7, 13, 33), (600, 110, 70), (257, 97, 40)] {
                let (offset, stride) = (3, height + 5);
                let value = |i: usize| ((i * 31 % 17) as f64) - 8.0;
                let left: Vec<f64> = (0..rows * stride).map(value).collect();
                let right: Vec<f64> = (0..rows * width).map(|i| value(i + 5)).collect();
                let mut result = vec![0.0; height * width];
                outer_product(
                    Matrix::new(&left, rows, stride).columns(offset..offset + height),
                    Matrix::new(&right, rows, width),
                    &mut result,
                );
                for i in 0..height {
                    for j in 0..width {
                        // Small integers: the sum is exact in any order.
                        let products = (0..rows)
                            .map(|row| left[row * stride + offset + i] * right[row * width + j]);
                        assert_eq!(result[i * width + j], products.sum::<f64>(), "{i} {j}");
                    }
                }
            }
            Ok(())
        })
    }
}
