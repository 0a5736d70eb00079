//! Rows that are computed each by itself, in blocks that the threads share.

use super::lanes::{Lanes, Real};

/// Elements of a block: enough that handing one to a thread costs little beside the work.
const BLOCK: usize = 8192;

/// The rows of a block, by their width alone: what is summed block by block is the same bits
/// for any number of threads.
pub(crate) fn block_rows(width: usize) -> usize {
    (BLOCK / width.max(1)).max(1)
}

/// The sum of a row, in an order that depends on its length alone.
///
/// # Safety
///
/// The instruction set of `V` is present.
#[inline(always)]
pub(crate) unsafe fn sum<V: Lanes>(row: &[V::Real]) -> V::Real {
    // SAFETY: what is read is within the row.
    unsafe {
        let mut sums = V::splat(V::Real::ZERO);
        for start in (0..row.len()).step_by(V::COUNT) {
            let count = row.len() - start;
            sums = sums.add(V::load_first(row.as_ptr().add(start), count));
        }
        total(sums)
    }
}

/// The sum of the products of the elements of two rows of one length, in an order that depends on
/// that length alone.
///
/// # Safety
///
/// The instruction set of `V` is present, and `b` is as long as `a`.
#[inline(always)]
pub(crate) unsafe fn dot<V: Lanes>(a: &[V::Real], b: &[V::Real]) -> V::Real {
    debug_assert_eq!(a.len(), b.len());
    // SAFETY: what is read is within both rows.
    unsafe {
        let mut sums = V::splat(V::Real::ZERO);
        for start in (0..a.len()).step_by(V::COUNT) {
            let count = a.len() - start;
            let left = V::load_first(a.as_ptr().add(start), count);
            sums = left.mul_add(V::load_first(b.as_ptr().add(start), count), sums);
        }
        total(sums)
    }
}

/// The sum of a register's elements.
///
/// # Safety
///
/// The instruction set of `V` is present.
#[inline(always)]
pub(crate) unsafe fn total<V: Lanes>(register: V) -> V::Real {
    let mut elements = [V::Real::ZERO; 16];
    // SAFETY: no register has more elements.
    unsafe { register.store(elements.as_mut_ptr()) };
    let mut total = elements[0];
    for &element in &elements[1..V::COUNT] {
        total += element;
    }
    total
}
