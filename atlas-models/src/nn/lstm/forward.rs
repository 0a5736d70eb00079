//! The steps of one LSTM layer, forward: as those of a GRU layer.

use crate::nn::activation::{sigmoid, tanh};
use crate::nn::lanes::{Kernel, Lanes, Real, product_rows};
use crate::nn::panels::{Panels, multiply};
use crate::nn::recurrent::{Gates, Inputs};
use crate::nn::shared::{Blocks, Shared};

/// Gates of an LSTM: input, forget, cell, output.
pub(super) const GATES: usize = 4;

/// The sequences of one thread, through all steps.
pub(super) struct Forward<'a, T> {
    pub(super) hidden: usize,
    /// For each step, how many sequences have it, and its first row.
    pub(super) batch_sizes: &'a [usize],
    pub(super) offsets: &'a [usize],
    /// The caller's number of each sequence in sorted order.
    pub(super) order: &'a [usize],
    /// `[hidden, 4 * hidden]`, by gates.
    pub(super) weight: &'a Panels<T>,
    /// `[4 * hidden]`
    pub(super) bias: &'a [T],
    pub(super) inputs: Inputs<'a, T>,
    /// The states and cells before the first step, `[batch, hidden]`, sorted.
    pub(super) initial: [&'a [T]; 2],
    /// `[rows, 4 * hidden]`: the projections, replaced by the activations i, f, g, o where they
    /// are kept. Absent where nothing is kept and the inputs are tokens.
    pub(super) gates: Option<Gates<'a, T>>,
    /// The states and the cells, `[rows, hidden]`.
    pub(super) output: [Shared<'a, T>; 2],
    /// Which of the groups that the blocks are dealt to.
    pub(super) group: usize,
    pub(super) blocks: Blocks,
}

/// Consecutive rows of one step.
struct Block<T> {
    /// The first one's place among the sorted sequences.
    position: usize,
    /// Its packed row.
    row: usize,
    /// The cells before the step.
    cells: *const T,
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
                    // SAFETY: the layer matched every length; blocks of different
                    // groups are different rows.
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
            match rows {
                6 => self.rows::<V, 6>(step, position, panel),
                5 => self.rows::<V, 5>(step, position, panel),
                4 => self.rows::<V, 4>(step, position, panel),
                3 => self.rows::<V, 3>(step, position, panel),
                2 => self.rows::<V, 2>(step, position, panel),
                _ => self.rows::<V, 1>(step, position, panel),
            }
        }
    }

    /// Where the states and cells before a step are, from a sequence on.
    #[inline(always)]
    unsafe fn before(&self, step: usize, position: usize) -> [*const T; 2] {
        unsafe {
            match step {
                0 => self
                    .initial
                    .map(|initial| initial.as_ptr().add(position * self.hidden)),
                _ => {
                    let row = self.offsets[step - 1] + position;
                    self.output
                        .map(|rows| rows.at(row * self.hidden).cast_const())
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<V: Lanes<Real = T>, const ROWS: usize>(
        &self,
        step: usize,
        position: usize,
        panel: usize,
    ) {
        unsafe {
            let [states, cells] = self.before(step, position);
            let panel_weights = self.weight.panel(panel);
            let sums =
                multiply::<V, ROWS, GATES>(self.hidden, states, [self.hidden, 1], panel_weights);
            let block = Block {
                position,
                row: self.offsets[step] + position,
                cells,
            };
            self.gates::<V, ROWS>(block, panel * V::COUNT, sums);
        }
    }

    /// The gates, new cells and new states of the rows' units from `unit` on. The rows take turns
    /// at every operation, so that none waits for its own last one.
    #[inline(always)]
    unsafe fn gates<V: Lanes<Real = T>, const ROWS: usize>(
        &self,
        block: Block<T>,
        unit: usize,
        recurrent: [[V; GATES]; ROWS],
    ) {
        unsafe {
            let hidden = self.hidden;
            let count = V::COUNT.min(hidden - unit);
            let buffer = |row: usize| match self.gates {
                Some(gates) => gates.elements.at(row * gates.stride + gates.projections),
                None => std::ptr::null_mut(),
            };
            let mut gates = [[V::splat(T::zero()); ROWS]; GATES];
            for (gate, values) in gates.iter_mut().enumerate() {
                let column = gate * hidden + unit;
                let bias = V::load_first(self.bias.as_ptr().add(column), count);
                for (offset, value) in values.iter_mut().enumerate() {
                    let (row, position) = (block.row + offset, block.position + offset);
                    let input: V = self.inputs.load(
                        (row, self.order[position]),
                        (column, GATES * hidden, count),
                        buffer(row),
                    );
                    *value = input.add(recurrent[offset][gate].add(bias));
                }
            }
            let [i, f, g, o] = gates;
            let gates = [sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)];
            let [i, f, g, o] = gates;
            let mut cells = [V::splat(T::zero()); ROWS];
            for (offset, cell) in cells.iter_mut().enumerate() {
                let before = V::load_first(block.cells.add(offset * hidden + unit), count);
                *cell = f[offset].mul_add(before, i[offset].mul(g[offset]));
            }
            let squashed = tanh(cells);
            for offset in 0..ROWS {
                let row = block.row + offset;
                let at = row * hidden + unit;
                cells[offset].store_first(self.output[1].at(at), count);
                let state = o[offset].mul(squashed[offset]);
                state.store_first(self.output[0].at(at), count);
                if self.gates.is_some_and(|gates| gates.keep) {
                    for (gate, values) in gates.iter().enumerate() {
                        values[offset].store_first(buffer(row).add(gate * hidden + unit), count);
                    }
                }
            }
        }
    }
}
