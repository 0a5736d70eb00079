//! The steps of one LSTM layer, forward: as those of a GRU layer.

use crate::nn::activation::{sigmoid, tanh};
use crate::nn::lanes::{Kernel, Lanes, Real};
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
    /// Which sequences: every `blocks.groups`-th block from `group` on.
    pub(super) group: usize,
    pub(super) blocks: Blocks,
}

/// A row, and where the sequence's state and cell before it are.
struct Row<T> {
    row: usize,
    sequence: usize,
    before: [*const T; 2],
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let Blocks {
            rows: block,
            groups,
        } = self.blocks;
        debug_assert!(block <= V::ACCUMULATORS / GATES);
        for step in 0..self.batch_sizes.len() {
            let active = self.batch_sizes[step];
            for panel in 0..self.hidden.div_ceil(V::COUNT) {
                for position in (self.group * block..active).step_by(groups * block) {
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
            for (offset, sums) in sums.into_iter().enumerate() {
                let at = offset * self.hidden;
                let row = Row {
                    row: self.offsets[step] + position + offset,
                    sequence: self.order[position + offset],
                    before: [states.add(at), cells.add(at)],
                };
                self.gate::<V>(row, panel * V::COUNT, sums);
            }
        }
    }

    /// The gates, new cells and new states of the units from `unit` on.
    #[inline(always)]
    unsafe fn gate<V: Lanes<Real = T>>(&self, row: Row<T>, unit: usize, recurrent: [V; GATES]) {
        unsafe {
            let hidden = self.hidden;
            let count = V::COUNT.min(hidden - unit);
            let buffer = match self.gates {
                Some(gates) => gates
                    .elements
                    .at(row.row * gates.stride + gates.projections),
                None => std::ptr::null_mut(),
            };
            let mut gates = recurrent;
            for (gate, sum) in gates.iter_mut().enumerate() {
                let column = gate * hidden + unit;
                let input: V = self.inputs.load(
                    (row.row, row.sequence),
                    (column, GATES * hidden, count),
                    buffer,
                );
                let bias = V::load_first(self.bias.as_ptr().add(column), count);
                let entering = input.add(sum.add(bias));
                *sum = if gate == 2 {
                    tanh(entering)
                } else {
                    sigmoid(entering)
                };
            }
            let [i, f, g, o] = gates;
            let cell = V::load_first(row.before[1].add(unit), count);
            let cell = f.mul_add(cell, i.mul(g));
            let at = row.row * hidden + unit;
            cell.store_first(self.output[1].at(at), count);
            o.mul(tanh(cell)).store_first(self.output[0].at(at), count);
            if self.gates.is_some_and(|gates| gates.keep) {
                for (gate, value) in gates.into_iter().enumerate() {
                    value.store_first(buffer.add(gate * hidden + unit), count);
                }
            }
        }
    }
}
