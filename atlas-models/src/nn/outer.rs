//! Products over all rows: what the gradients of weights are made of.
//!
//! Every element is summed over the rows in one order, in chunks of a fixed
//! length, whatever the number of threads; the threads divide the columns of
//! the left-hand matrix.

use super::lanes::{Isa, Kernel, Lanes, Real, product_rows};
use super::panels::{Columns, PLAIN_REGISTERS, Panels, multiply};
use super::shared::{Shared, split};
use std::ops::Range;

/// Rows summed before the result is touched: a panel of so many stays in the nearest caches.
const CHUNK: usize = 256;

/// Columns of the left-hand matrix that are arranged at a time.
const STRIP: usize = 96;

/// `result[i, j] = sum over rows of left[row, offset + i] · right[row, j]`:
/// `left` has rows of `stride` elements of which `height` count, `right` rows of `width`.
pub(crate) fn outer_product<T: Real>(
    rows: usize,
    (left, offset, stride, height): (&[T], usize, usize, usize),
    (right, width): (&[T], usize),
    result: &mut [T],
) {
    if rows == 0 {
        return;
    }
    assert!(offset + (rows - 1) * stride + height <= left.len());
    assert!(rows * width <= right.len() && height * width <= result.len());
    let right = Panels::new(Isa::detect(), rows, width, Columns::Plain, |row, column| {
        right[row * width + column]
    });
    let result = Shared::new(result);
    split(height, right.block_rows(), |columns| {
        right.isa().run(Outer {
            left: &left[offset..],
            stride,
            columns,
            right: &right,
            result,
        });
    });
}

/// The product for some of the left-hand columns, on one thread.
struct Outer<'a, T> {
    left: &'a [T],
    stride: usize,
    columns: Range<usize>,
    right: &'a Panels<T>,
    /// `[.., width]`, holding zeros.
    result: Shared<'a, T>,
}

impl<T: Real> Kernel for Outer<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let block = product_rows::<V>(PLAIN_REGISTERS);
        let mut arranged = vec![T::zero(); CHUNK * STRIP];
        for first in self.columns.clone().step_by(STRIP) {
            let strip = first..self.columns.end.min(first + STRIP);
            for start in (0..self.right.depth()).step_by(CHUNK) {
                let rows = start..self.right.depth().min(start + CHUNK);
                self.arrange(&mut arranged, &strip, &rows, block);
                for panel in 0..self.right.width().div_ceil(PLAIN_REGISTERS * V::COUNT) {
                    for column in strip.clone().step_by(block) {
                        let count = block.min(strip.end - column);
                        let left = &arranged[(column - strip.start) * CHUNK..];
                        // SAFETY: `outer_product` bounds every element; threads have
                        // different columns, which are rows of the result.
                        unsafe { self.block::<V>(left, &rows, column, count, panel) };
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
    fn arrange(&self, to: &mut [T], strip: &Range<usize>, rows: &Range<usize>, block: usize) {
        for (index, row) in rows.clone().enumerate() {
            let row = &self.left[row * self.stride..][strip.clone()];
            for (place, columns) in row.chunks(block).enumerate() {
                let at = place * block * CHUNK + index * block;
                // A loop, because a call to copy so few elements costs more than they do.
                for (to, &from) in to[at..at + block].iter_mut().zip(columns) {
                    *to = from;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn block<V: Lanes<Real = T>>(
        &self,
        left: &[T],
        rows: &Range<usize>,
        column: usize,
        count: usize,
        panel: usize,
    ) {
        unsafe {
            match count {
                12 => self.add::<V, 12>(left, rows, column, panel),
                11 => self.add::<V, 11>(left, rows, column, panel),
                10 => self.add::<V, 10>(left, rows, column, panel),
                9 => self.add::<V, 9>(left, rows, column, panel),
                8 => self.add::<V, 8>(left, rows, column, panel),
                7 => self.add::<V, 7>(left, rows, column, panel),
                6 => self.add::<V, 6>(left, rows, column, panel),
                5 => self.add::<V, 5>(left, rows, column, panel),
                4 => self.add::<V, 4>(left, rows, column, panel),
                3 => self.add::<V, 3>(left, rows, column, panel),
                2 => self.add::<V, 2>(left, rows, column, panel),
                _ => self.add::<V, 1>(left, rows, column, panel),
            }
        }
    }

    #[inline(always)]
    unsafe fn add<V: Lanes<Real = T>, const COLUMNS: usize>(
        &self,
        left: &[T],
        rows: &Range<usize>,
        column: usize,
        panel: usize,
    ) {
        unsafe {
            let block = product_rows::<V>(PLAIN_REGISTERS);
            let width = self.right.width();
            let panel_rows = self
                .right
                .panel(panel)
                .add(rows.start * PLAIN_REGISTERS * V::COUNT);
            let sums = multiply::<V, COLUMNS, PLAIN_REGISTERS>(
                rows.len(),
                left.as_ptr(),
                [1, block],
                panel_rows,
            );
            for (offset, sums) in sums.into_iter().enumerate() {
                for (register, sum) in sums.into_iter().enumerate() {
                    let first = (panel * PLAIN_REGISTERS + register) * V::COUNT;
                    let count = width.saturating_sub(first).min(V::COUNT);
                    if count > 0 {
                        let to = self.result.at((column + offset) * width + first);
                        V::load_first(to, count).add(sum).store_first(to, count);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_the_sum_over_the_rows() -> candle_core::Result<()> {
        Isa::each(|| {
            for (rows, height, width) in [(1, 1, 1), (7, 13, 33), (600, 110, 70), (257, 97, 40)] {
                let (offset, stride) = (3, height + 5);
                let value = |i: usize| ((i * 31 % 17) as f64) - 8.0;
                let left: Vec<f64> = (0..rows * stride).map(value).collect();
                let right: Vec<f64> = (0..rows * width).map(|i| value(i + 5)).collect();
                let mut result = vec![0.0; height * width];
                outer_product(
                    rows,
                    (&left, offset, stride, height),
                    (&right, width),
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
