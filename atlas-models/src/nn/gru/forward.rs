//! The steps of one GRU layer, forward.
//!
//! Sequences do not see each other, so each thread takes whole sequences
//! through all steps without waiting for the others; within a thread, all its
//! sequences share each pass over the recurrent weights. A panel of weights
//! holds all three gates of a few units, and their gates follow the product
//! while its sums are in the cache.

use super::input::Projections;
use crate::nn::activation::{sigmoid, tanh};
use crate::nn::blocks::{Blocks, GroupRows};
use crate::nn::panels::Panels;
use crate::nn::simd::{Kernel, Real, Register, Supported, const_rows, multiply};

/// Gates of a GRU: reset, update, new.
pub(super) const GATES: usize = 3;

/// What the steps read.
#[derive(Clone, Copy)]
pub(super) struct ForwardLayer<'a, T> {
    pub(super) hidden: usize,
    /// For each step, its first row.
    pub(super) offsets: &'a [usize],
    /// The caller's number of each sequence in sorted order.
    pub(super) order: &'a [usize],
    /// `[hidden, 3 * hidden]`, by gates.
    pub(super) weight: &'a Panels<T>,
    /// `[3 * hidden]`
    pub(super) bias: &'a [T],
    pub(super) projections: Projections<'a, T>,
    /// `[batch, hidden]`, sorted.
    pub(super) initial: &'a [T],
    /// Whether the initial states are zero, so that the first step needs no product.
    pub(super) from_zero: bool,
    /// Whether a step leaves in the gates' rows what the way back needs.
    pub(super) keep: bool,
    pub(super) blocks: Blocks,
}

/// The sequences of one thread, through all steps.
pub(super) struct ForwardSteps<'a, T> {
    pub(super) layer: ForwardLayer<'a, T>,
    /// The number of the thread's group.
    pub(super) group: usize,
    /// What is kept of each row: the new gate's recurrent part, r, z, n, `4 * hidden` elements.
    /// Before its step a dense row's projections are in the last `3 * hidden`. Rows of
    /// `3 * hidden` hold projections alone; those of tokens may be empty.
    pub(super) gates: GroupRows<'a, T>,
    /// The states, rows of `hidden`.
    pub(super) states: GroupRows<'a, T>,
}

/// Consecutive rows of one step.
struct Block<'a, T> {
    /// The first one's place among the sorted sequences.
    position: usize,
    /// Its packed row.
    row: usize,
    /// Whether the states before the step are zero.
    from_zero: bool,
    /// The states before the step.
    before: &'a [T],
    states: &'a mut [T],
    gates: &'a mut [T],
}

impl<T: Real> Kernel for ForwardSteps<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(mut self, simd: Supported<R>) {
        let ForwardLayer {
            hidden,
            offsets,
            initial,
            from_zero,
            blocks,
            ..
        } = self.layer;
        for (step, &first) in offsets.iter().enumerate() {
            let (before, states) = self.states.split_at_mut(step);
            for panel in 0..hidden.div_ceil(R::LANES) {
                let blocks_of_step = states[0].iter_mut().zip(&mut self.gates[step]);
                for (index, (states, gates)) in blocks_of_step.enumerate() {
                    let position = blocks.start(self.group, index);
                    let block = Block {
                        position,
                        row: first + position,
                        from_zero: from_zero && step == 0,
                        before: match before.last() {
                            None => &initial[position * hidden..],
                            Some(before) => &*before[index],
                        },
                        states,
                        gates,
                    };
                    self.layer.block(simd, block, panel);
                }
            }
        }
    }
}

impl<T: Real> ForwardLayer<'_, T> {
    #[inline(always)]
    fn block<R: Register<Real = T>>(self, simd: Supported<R>, block: Block<'_, T>, panel: usize) {
        let rows = block.states.len() / self.hidden;
        const_rows!(rows in [8 7 6 5 4 3 2 1], ROWS => {
            self.rows::<R, ROWS>(simd, block, panel)
        });
    }

    #[inline(always)]
    fn rows<R: Register<Real = T>, const ROWS: usize>(
        self,
        simd: Supported<R>,
        block: Block<'_, T>,
        panel: usize,
    ) {
        let depth = if block.from_zero { 0 } else { self.hidden };
        let sums = multiply::<R, ROWS, GATES>(
            simd,
            depth,
            block.before,
            [self.hidden, 1],
            self.weight.panel(panel),
        );
        self.gates::<R, ROWS>(simd, block, panel * R::LANES, sums);
    }

    /// The gates and new states of the rows' units from `unit` on. The rows take turns at every
    /// operation, so that none waits for its own last one.
    #[inline(always)]
    fn gates<R: Register<Real = T>, const ROWS: usize>(
        self,
        simd: Supported<R>,
        block: Block<'_, T>,
        unit: usize,
        recurrent: [[R; GATES]; ROWS],
    ) {
        let hidden = self.hidden;
        let end = hidden.min(unit + R::LANES);
        let units_of = |part: usize| part * hidden + unit..part * hidden + end;
        let stride = block.gates.len() / ROWS;
        let zero = simd.splat(T::ZERO);
        let mut bias = [zero; GATES];
        for (gate, bias) in bias.iter_mut().enumerate() {
            *bias = simd.load(&self.bias[units_of(gate)]);
        }
        let (mut r, mut z, mut n, mut from_state) =
            ([zero; ROWS], [zero; ROWS], [zero; ROWS], [zero; ROWS]);
        for (offset, sums) in recurrent.into_iter().enumerate() {
            let place = (block.row + offset, self.order[block.position + offset]);
            let gates = &block.gates[offset * stride..][..stride];
            let projections = self.projections.of_row(place, GATES * hidden, gates);
            let mut inputs = [zero; GATES];
            for (gate, input) in inputs.iter_mut().enumerate() {
                *input = projections.load(simd, units_of(gate));
            }
            r[offset] = inputs[0].add(sums[0].add(bias[0]));
            z[offset] = inputs[1].add(sums[1].add(bias[1]));
            n[offset] = inputs[2];
            from_state[offset] = sums[2].add(bias[2]);
        }
        r = sigmoid(simd, r);
        z = sigmoid(simd, z);
        for ((n, r), from_state) in n.iter_mut().zip(r).zip(from_state) {
            *n = r.mul_add(from_state, *n);
        }
        n = tanh(simd, n);
        for offset in 0..ROWS {
            let before = &block.before[offset * hidden..][..hidden];
            let next = z[offset].mul_add(simd.load(&before[unit..end]).sub(n[offset]), n[offset]);
            next.store(&mut block.states[offset * hidden..][unit..end]);
            if self.keep {
                let gates = &mut block.gates[offset * stride..][..stride];
                from_state[offset].store(&mut gates[units_of(0)]);
                r[offset].store(&mut gates[units_of(1)]);
                z[offset].store(&mut gates[units_of(2)]);
                n[offset].store(&mut gates[units_of(3)]);
            }
        }
    }
}
