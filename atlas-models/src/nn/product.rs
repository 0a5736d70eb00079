//! Products of many rows with one arranged matrix.

use super::lanes::{Kernel, Lanes, Real, product_rows};
use super::panels::{PLAIN_REGISTERS, Panels, multiply};
use super::shared::{Shared, split};

/// What a product does with what its destination holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Replaces it.
    Overwrite,
    /// Adds to it.
    Add,
}

/// `destination[rows, width] = left[rows, depth] · right[depth, width]` on one thread;
/// rows are `left_stride` and `destination_stride` elements apart.
pub(crate) struct Product<'a, T> {
    pub(crate) rows: usize,
    pub(crate) left: *const T,
    pub(crate) left_stride: usize,
    pub(crate) right: &'a Panels<T>,
    pub(crate) destination: *mut T,
    pub(crate) destination_stride: usize,
    pub(crate) mode: Destination,
}

/// Rows of the left-hand matrix that stay in a core's cache while the panels pass by.
const CHUNK_ROWS: usize = 96;

impl<T: Real> Kernel for Product<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        unsafe {
            let block = product_rows::<V>(PLAIN_REGISTERS);
            let panel_width = PLAIN_REGISTERS * V::COUNT;
            let mut chunk = 0;
            while chunk < self.rows {
                let chunk_end = (chunk + CHUNK_ROWS).min(self.rows);
                for panel in 0..self.right.width().div_ceil(panel_width) {
                    let mut row = chunk;
                    while row < chunk_end {
                        let rows = block.min(chunk_end - row);
                        self.block::<V>(row, rows, panel);
                        row += rows;
                    }
                }
                chunk = chunk_end;
            }
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// At most `product_rows` rows with one panel.
    #[inline(always)]
    pub(crate) unsafe fn block<V: Lanes<Real = T>>(&self, row: usize, rows: usize, panel: usize) {
        unsafe {
            match rows {
                12 => self.rows::<V, 12>(row, panel),
                11 => self.rows::<V, 11>(row, panel),
                10 => self.rows::<V, 10>(row, panel),
                9 => self.rows::<V, 9>(row, panel),
                8 => self.rows::<V, 8>(row, panel),
                7 => self.rows::<V, 7>(row, panel),
                6 => self.rows::<V, 6>(row, panel),
                5 => self.rows::<V, 5>(row, panel),
                4 => self.rows::<V, 4>(row, panel),
                3 => self.rows::<V, 3>(row, panel),
                2 => self.rows::<V, 2>(row, panel),
                _ => self.rows::<V, 1>(row, panel),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<V: Lanes<Real = T>, const ROWS: usize>(&self, row: usize, panel: usize) {
        unsafe {
            let sums = multiply::<V, ROWS, PLAIN_REGISTERS>(
                self.right.depth(),
                self.left.add(row * self.left_stride),
                [self.left_stride, 1],
                self.right.panel(panel),
            );
            for (offset, sums) in sums.into_iter().enumerate() {
                let to = self
                    .destination
                    .add((row + offset) * self.destination_stride);
                for (register, sum) in sums.into_iter().enumerate() {
                    let column = (panel * PLAIN_REGISTERS + register) * V::COUNT;
                    let count = self.right.width().saturating_sub(column).min(V::COUNT);
                    if count == 0 {
                        continue;
                    }
                    let to = to.add(column);
                    let sum = match self.mode {
                        Destination::Overwrite => sum,
                        Destination::Add => V::load_first(to, count).add(sum),
                    };
                    sum.store_first(to, count);
                }
            }
        }
    }
}

/// [`Product`] over all cores: `left` and `destination` are whole slices, of which
/// each row's part starts at the given offset.
pub(crate) fn multiply_rows<T: Real>(
    rows: usize,
    (left, left_offset, left_stride): (&[T], usize, usize),
    right: &Panels<T>,
    (destination, destination_offset, destination_stride): (&mut [T], usize, usize),
) {
    if rows == 0 {
        return;
    }
    assert!(left_offset + (rows - 1) * left_stride + right.depth() <= left.len());
    assert!(
        destination_offset + (rows - 1) * destination_stride + right.width() <= destination.len()
    );
    let destination = Shared::new(destination);
    split(rows, right.block_rows(), |range| {
        // SAFETY: the asserts bound every row; ranges do not overlap.
        let product = unsafe {
            Product {
                rows: range.len(),
                left: left.as_ptr().add(left_offset + range.start * left_stride),
                left_stride,
                right,
                destination: destination.at(destination_offset + range.start * destination_stride),
                destination_stride,
                mode: Destination::Overwrite,
            }
        };
        right.isa().run(product);
    });
}
