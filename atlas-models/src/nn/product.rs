//! The product of many rows with a matrix in [panels](super::panels), on all threads.

use super::blocks::split_rows;
use super::matrix::Matrix;
use super::panels::{PLAIN_REGISTERS, Panels};
use super::simd::{Kernel, Real, Register, Supported, const_rows, multiply, product_rows};

/// What a product does with what its destination holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Replaces it.
    Overwrite,
    /// Adds to it.
    Add,
}

/// `destination = left · right` on one thread, where rows of the destination start `stride`
/// elements apart.
pub(crate) struct Product<'a, T> {
    pub(crate) left: Matrix<'a, T>,
    pub(crate) right: &'a Panels<T>,
    pub(crate) destination: &'a mut [T],
    pub(crate) stride: usize,
    pub(crate) mode: Destination,
}

/// Rows of the left-hand matrix that stay in a core's cache while the panels pass by.
const CHUNK_ROWS: usize = 96;

impl<T: Real> Kernel for Product<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(mut self, simd: Supported<R>) {
        let block = product_rows::<R>(PLAIN_REGISTERS);
        let rows = self.left.height();
        for chunk in (0..rows).step_by(CHUNK_ROWS) {
            let chunk_end = rows.min(chunk + CHUNK_ROWS);
            for panel in 0..self.right.width().div_ceil(PLAIN_REGISTERS * R::LANES) {
                for row in (chunk..chunk_end).step_by(block) {
                    self.block(simd, row, block.min(chunk_end - row), panel);
                }
            }
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// The products of at most [`product_rows`] rows with one panel.
    #[inline(always)]
    pub(crate) fn block<R: Register<Real = T>>(
        &mut self,
        simd: Supported<R>,
        row: usize,
        rows: usize,
        panel: usize,
    ) {
        const_rows!(rows in [12 11 10 9 8 7 6 5 4 3 2 1], ROWS => {
            self.rows::<R, ROWS>(simd, row, panel)
        });
    }

    #[inline(always)]
    fn rows<R: Register<Real = T>, const ROWS: usize>(
        &mut self,
        simd: Supported<R>,
        row: usize,
        panel: usize,
    ) {
        let left = self.left.rows(row..row + ROWS);
        let sums = multiply::<R, ROWS, PLAIN_REGISTERS>(
            simd,
            self.right.depth(),
            left.elements(),
            [left.stride(), 1],
            self.right.panel(panel),
        );
        let width = self.right.width();
        for (offset, sums) in sums.into_iter().enumerate() {
            let to = &mut self.destination[(row + offset) * self.stride..][..width];
            for (register, sum) in sums.into_iter().enumerate() {
                let column = (panel * PLAIN_REGISTERS + register) * R::LANES;
                if column >= width {
                    break;
                }
                let to = &mut to[column..width.min(column + R::LANES)];
                let sum = match self.mode {
                    Destination::Overwrite => sum,
                    Destination::Add => simd.load(to).add(sum),
                };
                sum.store(to);
            }
        }
    }
}

/// [`Product`] on all threads, which replaces what the destination holds.
///
/// # Panics
///
/// The destination does not have as many rows as `left`.
pub(crate) fn multiply_rows<T: Real>(
    left: Matrix<'_, T>,
    right: &Panels<T>,
    (destination, stride): (&mut [T], usize),
) {
    assert_eq!(left.width(), right.depth());
    split_rows(
        left.height(),
        (destination, stride),
        right.block_rows(),
        |rows, destination| {
            right.set().run(Product {
                left: left.rows(rows),
                right,
                destination,
                stride,
                mode: Destination::Overwrite,
            });
        },
    );
}
