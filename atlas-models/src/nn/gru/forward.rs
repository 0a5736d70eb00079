//! The steps of one GRU layer, forward.
//!
//! Sequences do not see each other, so each thread takes whole sequences
//! through all steps without waiting for the others; within a thread, all its
//! sequences share each pass over the recurrent weights. A panel of weights
//! holds all three gates of a few units, and their gates follow the product
//! while its sums are in the cache.

use crate::nn::activation::{sigmoid, tanh};
use crate::nn::lanes::{Kernel, Lanes, Real, product_rows};
use crate::nn::panels::{Panels, multiply};
use crate::nn::recurrent::{Gates, Inputs};
use crate::nn::shared::{Blocks, Shared};

/// Gates of a GRU: reset, update, new.
pub(super) const GATES: usize = 3;

/// The sequences of one thread, through all steps.
pub(super) struct Forward<'a, T> {
    pub(super) hidden: usize,
    /// For each step, how many sequences have it, and its first row.
    pub(super) batch_sizes: &'a [usize],
    pub(super) offsets: &'a [usize],
    /// The caller's number of each sequence in sorted order.
    pub(super) order: &'a [usize],
    /// `[hidden, 3 * hidden]`, by gates.
    pub(super) weight: &'a Panels<T>,
    /// `[3 * hidden]`
    pub(super) bias: &'a [T],
    pub(super) inputs: Inputs<'a, T>,
    /// `[batch, hidden]`, sorted.
    pub(super) initial: &'a [T],
    /// Whether the initial states are zero, so that the first step needs no product.
    pub(super) from_zero: bool,
    /// `[rows, stride]`: where activations are kept, the stride is `4 * hidden`, projections
    /// start at `hidden`, and a step leaves the new gate's recurrent part, r, z, n.
    /// Absent where nothing is kept and the inputs are tokens.
    pub(super) gates: Option<Gates<'a, T>>,
    /// The states, `[rows, hidden]`.
    pub(super) output: Shared<'a, T>,
    /// Which of the groups that the blocks are dealt to.
    pub(super) group: usize,
    pub(super) blocks: Blocks,
}

/// Consecutive rows of one step.
struct Block {
    /// The first one's place among the sorted sequences.
    position: usize,
    /// Its packed row.
    row: usize,
    /// Whether the states before the step are zero.
    from_zero: bool,
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let block = self.blocks.rows;
        debug_assert!(block <= product_rows::<V>(GATES));
        for step in 0..self.batch_sizes.len() {
            let active = self.batch_sizes[step];
            for panel in 0..self.hidden.div_ceil(V::COUNT) {
                for position in self.blocks.starts(self.group, active) {
                    let rows = block.min(active - position);
                    // SAFETY: the layer's constructor matched every length; blocks of
                    // different groups are different rows.
                    unsafe { self.block::<V>(step, position, rows, panel) };
                }
            }
        }
    }
}

impl<T: Real> Forward<'_, T> {
    #[inline(always)]
    unsafe fn block<V: Lanes<Real = T>>(
        &self,
        step: usize,
        position: usize,
        rows: usize,
        panel: usize,
    ) {
        unsafe {
            let states = match step {
                0 => self.initial.as_ptr().add(position * self.hidden),
                _ => {
                    let row = self.offsets[step - 1] + position;
                    self.output.at(row * self.hidden).cast_const()
                }
            };
            let block = Block {
                position,
                row: self.offsets[step] + position,
                from_zero: self.from_zero && step == 0,
            };
            match rows {
                8 => self.rows::<V, 8>(block, states, panel),
                7 => self.rows::<V, 7>(block, states, panel),
                6 => self.rows::<V, 6>(block, states, panel),
                5 => self.rows::<V, 5>(block, states, panel),
                4 => self.rows::<V, 4>(block, states, panel),
                3 => self.rows::<V, 3>(block, states, panel),
                2 => self.rows::<V, 2>(block, states, panel),
                _ => self.rows::<V, 1>(block, states, panel),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<V: Lanes<Real = T>, const ROWS: usize>(
        &self,
        block: Block,
        states: *const T,
        panel: usize,
    ) {
        unsafe {
            let depth = if block.from_zero { 0 } else { self.hidden };
            let sums = multiply::<V, ROWS, GATES>(
                depth,
                states,
                [self.hidden, 1],
                self.weight.panel(panel),
            );
            self.gates::<V, ROWS>(block, panel * V::COUNT, sums, states);
        }
    }

    /// What the input adds to the gates of the units from `unit` on.
    #[inline(always)]
    unsafe fn inputs<V: Lanes<Real = T>>(
        &self,
        position: usize,
        row: usize,
        unit: usize,
    ) -> [V; GATES] {
        unsafe {
            let count = V::COUNT.min(self.hidden - unit);
            let width = GATES * self.hidden;
            let projections = match self.gates {
                Some(gates) => gates.elements.at(row * gates.stride + gates.projections),
                None => std::ptr::null_mut(),
            };
            let mut inputs = [V::splat(T::zero()); GATES];
            for (gate, input) in inputs.iter_mut().enumerate() {
                let column = gate * self.hidden + unit;
                *input = self.inputs.load(
                    (row, self.order[position]),
                    (column, width, count),
                    projections,
                );
            }
            inputs
        }
    }

    /// The gates and new states of the rows' units from `unit` on. The rows take turns at every
    /// operation, so that none waits for its own last one.
    #[inline(always)]
    unsafe fn gates<V: Lanes<Real = T>, const ROWS: usize>(
        &self,
        block: Block,
        unit: usize,
        recurrent: [[V; GATES]; ROWS],
        states: *const T,
    ) {
        unsafe {
            let hidden = self.hidden;
            let count = V::COUNT.min(hidden - unit);
            let bias = self.bias.as_ptr().add(unit);
            let bias = [
                V::load_first(bias, count),
                V::load_first(bias.add(hidden), count),
                V::load_first(bias.add(2 * hidden), count),
            ];
            let zeros = [V::splat(T::zero()); ROWS];
            let (mut r, mut z, mut n, mut from_state) = (zeros, zeros, zeros, zeros);
            for (offset, sums) in recurrent.into_iter().enumerate() {
                let inputs = self.inputs::<V>(block.position + offset, block.row + offset, unit);
                r[offset] = inputs[0].add(sums[0].add(bias[0]));
                z[offset] = inputs[1].add(sums[1].add(bias[1]));
                n[offset] = inputs[2];
                from_state[offset] = sums[2].add(bias[2]);
            }
            r = sigmoid(r);
            z = sigmoid(z);
            for ((n, r), from_state) in n.iter_mut().zip(r).zip(from_state) {
                *n = r.mul_add(from_state, *n);
            }
            n = tanh(n);
            for offset in 0..ROWS {
                let (row, n) = (block.row + offset, n[offset]);
                let state = V::load_first(states.add(offset * hidden + unit), count);
                let next = z[offset].mul_add(state.sub(n), n);
                next.store_first(self.output.at(row * hidden + unit), count);
                if let Some(gates) = self.gates.filter(|gates| gates.keep) {
                    let to = gates.elements.at(row * gates.stride + unit);
                    from_state[offset].store_first(to, count);
                    r[offset].store_first(to.add(hidden), count);
                    z[offset].store_first(to.add(2 * hidden), count);
                    n.store_first(to.add(3 * hidden), count);
                }
            }
        }
    }
}
