//! Divides the rows of a batch into blocks, and the blocks over the threads.

use rayon::prelude::*;
use std::ops::Range;

/// The sequences of a batch in blocks that share a pass over a panel, dealt out to groups that run
/// at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    /// Sequences in a block.
    rows: usize,
    /// Among how many groups the blocks are dealt.
    groups: usize,
}

/// The rows that one group writes: for each step, those of each of the group's blocks.
pub(crate) type GroupRows<'a, T> = Vec<Vec<&'a mut [T]>>;

impl Blocks {
    /// Blocks of at most `max_rows` sequences, and of fewer where some threads would get none.
    pub(crate) fn new(batch: usize, max_rows: usize) -> Self {
        let threads = rayon::current_num_threads();
        let rows = batch.div_ceil(threads).clamp(1, max_rows);
        Self {
            rows,
            groups: threads.min(batch.div_ceil(rows)),
        }
    }

    /// Blocks of `rows` sequences for one thread.
    pub(crate) fn on_one_thread(rows: usize) -> Self {
        Self { rows, groups: 1 }
    }

    /// Deals out rows of `width` elements that are packed step by step, to each group its own.
    ///
    /// # Panics
    ///
    /// There are fewer rows than the steps have sequences.
    pub(crate) fn deal<'a, T>(
        self,
        mut packed: &'a mut [T],
        width: usize,
        batch_sizes: &[usize],
    ) -> Vec<GroupRows<'a, T>> {
        let mut dealt: Vec<GroupRows<'a, T>> = Vec::new();
        dealt.resize_with(self.groups, || Vec::with_capacity(batch_sizes.len()));
        for (step, &active) in batch_sizes.iter().enumerate() {
            dealt.iter_mut().for_each(|steps| steps.push(Vec::new()));
            for (index, start) in (0..active).step_by(self.rows).enumerate() {
                let count = self.rows.min(active - start);
                let Some(block) = packed.split_off_mut(..count * width) else {
                    panic!("fewer rows than the steps have sequences")
                };
                let group = in_turn(index % self.groups, index / self.groups, self.groups);
                dealt[group][step].push(block);
            }
        }
        dealt
    }

    /// The first sequence of one of a group's blocks.
    #[inline(always)]
    pub(crate) fn start(self, group: usize, block: usize) -> usize {
        (block * self.groups + in_turn(group, block, self.groups)) * self.rows
    }
}

/// The place of a group among those that pick a block in a round; also the group of a place.
/// Rounds alternate in their direction: sequences are sorted by length, and the first is the
/// longest.
#[inline(always)]
fn in_turn(group: usize, round: usize, groups: usize) -> usize {
    if round.is_multiple_of(2) {
        group
    } else {
        groups - 1 - group
    }
}

/// Calls `work` with each of the items and its number, each on a thread of its own.
pub(crate) fn at_once<I: Send>(items: Vec<I>, work: impl Fn(usize, I) + Sync) {
    if items.len() == 1 {
        items.into_iter().for_each(|item| work(0, item));
    } else {
        let items = items.into_par_iter().enumerate().with_max_len(1);
        items.for_each(|(index, item)| work(index, item));
    }
}

/// Calls `work` with ranges that cover `0..rows`, a few to each thread, and the elements of their
/// rows, which start `stride` elements apart. The ranges start at multiples of `multiple`.
pub(crate) fn split_rows<T: Send>(
    rows: usize,
    (mut elements, stride): (&mut [T], usize),
    multiple: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    let threads = rayon::current_num_threads();
    let blocks = rows.div_ceil(multiple);
    // Several ranges a thread, so that a core that is busy elsewhere holds up little;
    // but not so short that reading the other operand dominates.
    let ranges = if threads == 1 {
        1
    } else {
        (threads * 4).min(blocks.div_ceil(8)).max(1)
    };
    let size = blocks.div_ceil(ranges).max(1) * multiple;
    let parts = (0..rows).step_by(size).map(|start| {
        let end = rows.min(start + size);
        let count = elements.len().min((end - start) * stride);
        (
            start..end,
            elements.split_off_mut(..count).unwrap_or_default(),
        )
    });
    at_once(parts.collect(), |_, (rows, elements)| work(rows, elements));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_dealt_once_to_the_group_that_starts_there() {
        let batch_sizes = [11, 11, 7, 3, 1];
        for (rows, groups) in [(1, 1), (1, 3), (2, 2), (4, 3), (3, 1), (20, 1)] {
            let blocks = Blocks { rows, groups };
            // A row says what its step and sequence are.
            let mut packed: Vec<(usize, usize)> = Vec::new();
            for (step, &active) in batch_sizes.iter().enumerate() {
                packed.extend((0..active).flat_map(|sequence| [(step, sequence); 2]));
            }
            let count = packed.len();
            let mut seen = 0;
            for (group, steps) in blocks.deal(&mut packed, 2, &batch_sizes).iter().enumerate() {
                for (step, dealt) in steps.iter().enumerate() {
                    for (index, block) in dealt.iter().enumerate() {
                        let start = blocks.start(group, index);
                        for (offset, row) in block.chunks(2).enumerate() {
                            assert_eq!(row, [(step, start + offset); 2]);
                        }
                        assert!(block.len() <= 2 * rows);
                        seen += block.len();
                    }
                }
            }
            assert_eq!(seen, count, "{rows} rows, {groups} groups");
        }
    }

    #[test]
    #[should_panic(expected = "fewer rows than the steps have sequences")]
    fn rows_that_are_not_there_are_not_dealt() {
        Blocks::on_one_thread(2).deal(&mut [0; 5], 2, &[3]);
    }

    #[test]
    fn ranges_cover_all_rows_and_have_their_elements() {
        for (rows, stride, multiple) in [(0usize, 3usize, 4), (1, 1, 4), (1000, 3, 7), (97, 0, 2)] {
            // The last row may end before the next would start.
            let mut elements = vec![0usize; (rows * stride).saturating_sub(1)];
            split_rows(
                rows,
                (&mut elements, stride),
                multiple,
                |range, elements| {
                    assert_eq!(range.start % multiple, 0);
                    for (index, element) in elements.iter_mut().enumerate() {
                        *element += range.start * stride + index + 1;
                    }
                },
            );
            assert!(elements.iter().copied().eq(1..elements.len() + 1));
        }
    }
}
