//! Sums over all rows: what the gradients of shared weights are made of.
//!
//! Every sum runs over the rows in one order, whatever the number of threads;
//! the threads divide the columns.

use super::lanes::Real;
use super::shared::{Shared, each_group};

/// Columns that one thread sums at a time.
const COLUMNS: usize = 128;

/// `sums[column] += matrix[row, column]` over all rows.
pub(crate) fn add_columns<T: Real>(matrix: &[T], width: usize, sums: &mut [T]) {
    let shared = Shared::new(sums);
    each_group(width.div_ceil(COLUMNS), |group| {
        let columns = group * COLUMNS..((group + 1) * COLUMNS).min(width);
        // SAFETY: groups are different columns.
        let sums =
            unsafe { std::slice::from_raw_parts_mut(shared.at(columns.start), columns.len()) };
        for row in matrix.chunks_exact(width) {
            add(sums, &row[columns.clone()]);
        }
    });
}

/// `sums[targets[row], column] += matrix[row, offset + column]` over all rows and the
/// `width` columns of `sums`; each target is less than its number of rows.
pub(crate) fn scatter_rows<T: Real>(
    matrix: &[T],
    stride: usize,
    offset: usize,
    targets: &[u32],
    sums: &mut [T],
    width: usize,
) {
    assert!(
        targets
            .iter()
            .all(|&target| (target as usize + 1) * width <= sums.len())
    );
    let shared = Shared::new(sums);
    each_group(width.div_ceil(COLUMNS), |group| {
        let first = group * COLUMNS;
        let count = COLUMNS.min(width - first);
        for (row, &target) in matrix.chunks_exact(stride).zip(targets) {
            let at = target as usize * width + first;
            // SAFETY: the assert bounds the rows; groups are different columns.
            let sums = unsafe { std::slice::from_raw_parts_mut(shared.at(at), count) };
            add(sums, &row[offset + first..][..count]);
        }
    });
}

fn add<T: Real>(sums: &mut [T], row: &[T]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}
