//! The innermost loop of every product: a few rows times the columns that fit into registers.

use super::{Real, Register, Supported};

/// Calls what has a constant number of rows, with one that is known when the program runs.
macro_rules! const_rows {
    ($rows:ident in [$($count:literal)+], $ROWS:ident => $call:expr) => {
        match $rows {
            $($count => {
                const $ROWS: usize = $count;
                $call
            })+
            rows => panic!("a kernel of no {rows} rows"),
        }
    };
}

pub(crate) use const_rows;

/// The products of `ROWS` rows with one panel of `REGISTERS` registers. In the left-hand
/// matrix, rows and steps along the depth are as far apart as the strides say; the panel has its
/// rows one after the other.
///
/// Every element is one chain of multiply-adds along the depth, in ascending order.
///
/// # Panics
///
/// A slice ends before the product does.
#[inline(always)]
pub(crate) fn multiply<R: Register, const ROWS: usize, const REGISTERS: usize>(
    simd: Supported<R>,
    depth: usize,
    left: &[R::Real],
    [row_stride, step_stride]: [usize; 2],
    panel: &[R::Real],
) -> [[R; REGISTERS]; ROWS] {
    let mut sums = [[simd.splat(R::Real::ZERO); REGISTERS]; ROWS];
    if depth == 0 {
        return sums;
    }
    let last_row = row_stride.checked_mul(ROWS - 1);
    let last_step = step_stride.checked_mul(depth - 1);
    let last = last_row.and_then(|row| row.checked_add(last_step?));
    assert!(last.is_some_and(|last| last < left.len()));
    assert!(depth <= panel.len() / (REGISTERS * R::LANES));
    let (left, panel) = (left.as_ptr(), panel.as_ptr());
    for step in 0..depth {
        let mut right = [simd.splat(R::Real::ZERO); REGISTERS];
        for (register, right) in right.iter_mut().enumerate() {
            // SAFETY: the panel has `depth` rows of so many elements; `simd` proves the
            // instruction set.
            *right = unsafe { R::read(panel.add((step * REGISTERS + register) * R::LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: it is not beyond the last element, which is within the slice.
            let value = unsafe { *left.add(row * row_stride + step * step_stride) };
            let value = simd.splat(value);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = value.mul_add(right, *sum);
            }
        }
    }
    sums
}
