//! Work divided over the threads.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice whose disjoint parts several threads write.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `at`, whose callers keep the parts disjoint.
unsafe impl<T: Send> Send for Shared<'_, T> {}
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// A pointer to one element.
    ///
    /// # Safety
    ///
    /// `index` is within the slice, and no other thread touches the elements
    /// that are reached through the pointer while this one does.
    pub(crate) unsafe fn at(self, index: usize) -> *mut T {
        debug_assert!(index <= self.len);
        unsafe { self.start.add(index) }
    }
}

/// The sequences of a batch in blocks that share a pass over a panel, dealt out to groups that run
/// at once.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    /// Sequences in a block.
    pub(crate) rows: usize,
    /// Among how many groups the blocks are dealt.
    pub(crate) groups: usize,
}

impl Blocks {
    /// Blocks of at most `most` sequences, and of fewer where some threads would get none.
    pub(crate) fn of(batch: usize, most: usize) -> Self {
        let threads = rayon::current_num_threads();
        let rows = batch.div_ceil(threads).clamp(1, most);
        Self {
            rows,
            groups: threads.min(batch.div_ceil(rows)),
        }
    }

    /// Where the blocks of a group start, of the first `active` sequences. Groups take turns at
    /// the first pick: sequences are sorted by length, and the first is the longest.
    #[inline(always)]
    pub(crate) fn starts(self, group: usize, active: usize) -> impl Iterator<Item = usize> + Clone {
        let Self { rows, groups } = self;
        let rounds = active.div_ceil(rows * groups);
        (0..rounds).filter_map(move |round| {
            let pick = if round % 2 == 0 {
                group
            } else {
                groups - 1 - group
            };
            let start = (round * groups + pick) * rows;
            (start < active).then_some(start)
        })
    }

    /// Blocks of `rows` sequences for one thread.
    pub(crate) fn of_one_thread(rows: usize) -> Self {
        Self { rows, groups: 1 }
    }
}

/// Calls `work` on every group of `0..groups`, each on a thread of its own.
pub(crate) fn each_group(groups: usize, work: impl Fn(usize) + Sync) {
    match groups {
        0 => {}
        1 => work(0),
        _ => (0..groups).into_par_iter().with_max_len(1).for_each(&work),
    }
}

/// Calls `work` on contiguous ranges that cover `0..count`, a few to each
/// thread, whose starts are multiples of `multiple`.
pub(crate) fn split(count: usize, multiple: usize, work: impl Fn(Range<usize>) + Sync) {
    let threads = rayon::current_num_threads();
    let blocks = count.div_ceil(multiple);
    // Several ranges a thread, so that a core that is busy elsewhere holds up little;
    // but not so short that reading the other operand dominates.
    let ranges = if threads == 1 {
        1
    } else {
        (threads * 4).min(blocks.div_ceil(8)).max(1)
    };
    let size = blocks.div_ceil(ranges).max(1) * multiple;
    each_group(count.div_ceil(size), |group| {
        work(group * size..((group + 1) * size).min(count));
    });
}
