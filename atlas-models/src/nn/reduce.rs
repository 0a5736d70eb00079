//! Sums of columns, and of rows of one index: the gradients of biases and of embeddings.
//!
//! Every sum runs over the rows in one order, whatever the number of threads;
//! the threads divide the columns.

use super::blocks::at_once;
use super::matrix::Matrix;
use super::simd::Real;

/// Columns that one thread sums at a time.
const COLUMNS: usize = 128;

/// The sum of each column over all rows.
pub(crate) fn sum_columns<T: Real>(matrix: Matrix<'_, T>) -> Vec<T> {
    scatter_rows(matrix, |_| 0, 1)
}

/// `[count, width]`: the sums of the rows that have each target. `target(row)` is less than
/// `count`.
pub(crate) fn scatter_rows<T: Real>(
    matrix: Matrix<'_, T>,
    target: impl Fn(usize) -> usize + Sync,
    count: usize,
) -> Vec<T> {
    let width = matrix.width();
    let mut sums = vec![T::zero(); count * width];
    // The sums of some columns for each group.
    let mut groups: Vec<Vec<&mut [T]>> = Vec::new();
    groups.resize_with(width.div_ceil(COLUMNS), || Vec::with_capacity(count));
    for row in sums.chunks_mut(width.max(1)) {
        for (group, sums) in groups.iter_mut().zip(row.chunks_mut(COLUMNS)) {
            group.push(sums);
        }
    }
    at_once(groups, |group, mut sums| {
        let columns = group * COLUMNS..width.min((group + 1) * COLUMNS);
        for row in 0..matrix.height() {
            let elements = &matrix.row(row)[columns.clone()];
            for (sum, &element) in sums[target(row)].iter_mut().zip(elements) {
                *sum += element;
            }
        }
    });
    sums
}
