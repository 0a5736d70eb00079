//! The steps of one GRU layer, backward.
//!
//! Each thread takes whole sequences from their last step to their first, as on
//! the way forward. The gates' gradients replace the activations that they are
//! computed from; what they make of the weights follows in one product over all
//! rows, outside.

use crate::nn::lanes::{Kernel, Lanes, Real, product_rows};
use crate::nn::panels::{PLAIN_REGISTERS, Panels};
use crate::nn::product::{Destination, Product};
use crate::nn::shared::{Blocks, Shared};

/// The sequences of one thread, back through all steps.
pub(super) struct Backward<'a, T> {
    pub(super) hidden: usize,
    pub(super) batch_sizes: &'a [usize],
    pub(super) offsets: &'a [usize],
    /// `[3 * hidden, hidden]` with its rows in the order n, r, z.
    pub(super) weight: &'a Panels<T>,
    /// `[batch, hidden]`, sorted.
    pub(super) initial: &'a [T],
    /// The states, `[rows, hidden]`.
    pub(super) output: &'a [T],
    /// The states' gradients from above, `[rows, hidden]`.
    pub(super) gradient: &'a [T],
    /// `[rows, 4 * hidden]`: the new gate's recurrent part, r, z, n; replaced by the
    /// gradients of that part, and of what enters r, z and n.
    pub(super) gates: Shared<'a, T>,
    /// The gradient of each sequence's state before the step, `[batch, hidden]`, sorted;
    /// starts at zero and ends as the gradient of the initial states.
    pub(super) carry: Shared<'a, T>,
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
        for step in (0..self.batch_sizes.len()).rev() {
            let active = self.batch_sizes[step];
            let starts = self.blocks.starts(self.group, active);
            // SAFETY: the layer's constructor matched every length; blocks of
            // different groups are different rows and sequences.
            unsafe {
                for start in starts.clone() {
                    for position in start..active.min(start + block) {
                        self.gates::<V>(step, position);
                    }
                }
                let states = self.states(step);
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
    /// The gradients of one row's gates, and the part of the state's that does not
    /// pass through them.
    #[inline(always)]
    unsafe fn gates<V: Lanes<Real = T>>(&self, step: usize, position: usize) {
        unsafe {
            let hidden = self.hidden;
            let row = self.offsets[step] + position;
            let gates = self.gates.at(row * 4 * hidden);
            let carry = self.carry.at(position * hidden);
            let state = match step {
                0 => self.initial.as_ptr().add(position * hidden),
                _ => {
                    let row = self.offsets[step - 1] + position;
                    self.output.as_ptr().add(row * hidden)
                }
            };
            let gradient = self.gradient.as_ptr().add(row * hidden);
            let one = V::splat(T::one());
            for unit in (0..hidden).step_by(V::COUNT) {
                let count = V::COUNT.min(hidden - unit);
                let at = |part: usize| gates.add(part * hidden + unit);
                let from_state = V::load_first(at(0), count);
                let r = V::load_first(at(1), count);
                let z = V::load_first(at(2), count);
                let n = V::load_first(at(3), count);
                let state = V::load_first(state.add(unit), count);
                let above = V::load_first(gradient.add(unit), count);
                let dh = above.add(V::load_first(carry.add(unit), count));
                let keep = one.sub(z);
                let dn = dh.mul(keep).mul(one.sub(n.mul(n)));
                let dz = dh.mul(state.sub(n)).mul(z.mul(keep));
                let dr = dn.mul(from_state).mul(r.mul(one.sub(r)));
                dn.mul(r).store_first(at(0), count);
                dr.store_first(at(1), count);
                dz.store_first(at(2), count);
                dn.store_first(at(3), count);
                dh.mul(z).store_first(carry.add(unit), count);
            }
        }
    }

    /// The product that adds what passes through a step's gates to the gradients of the
    /// states before it; its row is the sequence's place in sorted order.
    unsafe fn states(&self, step: usize) -> Product<'_, T> {
        let stride = 4 * self.hidden;
        unsafe {
            Product {
                rows: self.batch_sizes[step],
                left: self.gates.at(self.offsets[step] * stride),
                left_stride: stride,
                right: self.weight,
                destination: self.carry.at(0),
                destination_stride: self.hidden,
                mode: Destination::Add,
            }
        }
    }
}
