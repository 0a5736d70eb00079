//! The steps of one LSTM layer, backward: as those of a GRU layer.

use super::forward::GATES;
use crate::nn::activation::tanh;
use crate::nn::lanes::{Kernel, Lanes, Real, product_rows};
use crate::nn::panels::{PLAIN_REGISTERS, Panels};
use crate::nn::product::{Destination, Product};
use crate::nn::shared::{Blocks, Shared};

/// The sequences of one thread, back through all steps.
pub(super) struct Backward<'a, T> {
    pub(super) hidden: usize,
    pub(super) batch_sizes: &'a [usize],
    pub(super) offsets: &'a [usize],
    /// `[4 * hidden, hidden]`
    pub(super) weight: &'a Panels<T>,
    /// The cells before the first step, `[batch, hidden]`, sorted.
    pub(super) initial: &'a [T],
    /// `[rows, hidden]`
    pub(super) cells: &'a [T],
    /// The states' gradients from above, `[rows, hidden]`.
    pub(super) gradient: &'a [T],
    /// `[rows, 4 * hidden]`: the activations, replaced by the gradients of what enters them.
    pub(super) gates: Shared<'a, T>,
    /// The gradients of each sequence's state and cell before the step, `[batch, hidden]`,
    /// sorted; they start as those of the final ones beside `gradient`, and end as those of the
    /// initial ones.
    pub(super) carry: [Shared<'a, T>; 2],
    pub(super) group: usize,
    pub(super) blocks: Blocks,
}

impl<T: Real> Kernel for Backward<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let block = self.blocks.rows;
        debug_assert!(block <= product_rows::<V>(PLAIN_REGISTERS));
        let panels = self.hidden.div_ceil(PLAIN_REGISTERS * V::COUNT);
        let stride = GATES * self.hidden;
        for step in (0..self.batch_sizes.len()).rev() {
            let active = self.batch_sizes[step];
            let starts = self.blocks.starts(self.group, active);
            // SAFETY: the layer matched every length; blocks of different groups are
            // different rows and sequences.
            unsafe {
                for start in starts.clone() {
                    for position in start..active.min(start + block) {
                        self.gates::<V>(step, position);
                    }
                }
                let states = Product {
                    rows: active,
                    left: self.gates.at(self.offsets[step] * stride),
                    left_stride: stride,
                    right: self.weight,
                    destination: self.carry[0].at(0),
                    destination_stride: self.hidden,
                    mode: Destination::Overwrite,
                };
                for panel in 0..panels {
                    for start in starts.clone() {
                        states.block::<V>(start, block.min(active - start), panel);
                    }
                }
            }
        }
    }
}

impl<T: Real> Backward<'_, T> {
    /// The gradients of one row's gates, and of the cell before it.
    #[inline(always)]
    unsafe fn gates<V: Lanes<Real = T>>(&self, step: usize, position: usize) {
        unsafe {
            let hidden = self.hidden;
            let row = self.offsets[step] + position;
            let gates = self.gates.at(row * GATES * hidden);
            let [carry_state, carry_cell] = self.carry.map(|carry| carry.at(position * hidden));
            let before = match step {
                0 => self.initial.as_ptr().add(position * hidden),
                _ => self
                    .cells
                    .as_ptr()
                    .add((self.offsets[step - 1] + position) * hidden),
            };
            let one = V::splat(T::one());
            for unit in (0..hidden).step_by(V::COUNT) {
                let count = V::COUNT.min(hidden - unit);
                let at = |gate: usize| gates.add(gate * hidden + unit);
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| V::load_first(at(gate), count));
                let before = V::load_first(before.add(unit), count);
                let above = self.gradient.as_ptr().add(row * hidden + unit);
                let dh =
                    V::load_first(above, count).add(V::load_first(carry_state.add(unit), count));
                let [squashed] = tanh([V::load_first(
                    self.cells.as_ptr().add(row * hidden + unit),
                    count,
                )]);
                let through = dh.mul(o).mul(one.sub(squashed.mul(squashed)));
                let dc = V::load_first(carry_cell.add(unit), count).add(through);
                let sigmoid = |gate: V| gate.mul(one.sub(gate));
                dc.mul(g).mul(sigmoid(i)).store_first(at(0), count);
                dc.mul(before).mul(sigmoid(f)).store_first(at(1), count);
                dc.mul(i).mul(one.sub(g.mul(g))).store_first(at(2), count);
                dh.mul(squashed).mul(sigmoid(o)).store_first(at(3), count);
                dc.mul(f).store_first(carry_cell.add(unit), count);
            }
        }
    }
}
