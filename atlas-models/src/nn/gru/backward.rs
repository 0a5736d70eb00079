//! The steps of one GRU layer, backward.
//!
//! Each thread takes whole sequences from their last step to their first, as on
//! the way forward. The gates' gradients replace the activations that they are
//! computed from; what they make of the weights follows in one product over all
//! rows, outside.

use crate::nn::blocks::{Blocks, GroupRows};
use crate::nn::matrix::Matrix;
use crate::nn::panels::{PLAIN_REGISTERS, Panels};
use crate::nn::product::{Destination, Product};
use crate::nn::simd::{Kernel, Real, Register, Supported};

/// The sequences of one thread, back through all steps.
pub(super) struct BackwardSteps<'a, T> {
    pub(super) hidden: usize,
    /// For each step, its first row.
    pub(super) offsets: &'a [usize],
    /// `[3 * hidden, hidden]` with its rows in the order n, r, z.
    pub(super) weight: &'a Panels<T>,
    /// `[batch, hidden]`, sorted.
    pub(super) initial: &'a [T],
    /// The states, `[rows, hidden]`.
    pub(super) states: &'a [T],
    /// The states' gradients from above, `[rows, hidden]`.
    pub(super) gradient: &'a [T],
    pub(super) blocks: Blocks,
    /// The number of the thread's group.
    pub(super) group: usize,
    /// Rows of `4 * hidden`: the new gate's recurrent part, r, z, n; replaced by the
    /// gradients of that part, and of what enters r, z and n.
    pub(super) gates: GroupRows<'a, T>,
    /// The gradient of each sequence's state before the step, rows of `hidden`; starts at
    /// zero and ends as the gradient of the initial states.
    pub(super) carry: Vec<&'a mut [T]>,
}

impl<T: Real> Kernel for BackwardSteps<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(mut self, simd: Supported<R>) {
        let hidden = self.hidden;
        for (step, blocks) in self.gates.iter_mut().enumerate().rev() {
            for (index, (gates, carry)) in blocks.iter_mut().zip(&mut self.carry).enumerate() {
                let start = self.blocks.start(self.group, index);
                let rows = gates.chunks_exact_mut(4 * hidden);
                let rows = rows.zip(carry.chunks_exact_mut(hidden)).enumerate();
                for (offset, (gates, carry)) in rows {
                    let position = start + offset;
                    let before = match step {
                        0 => &self.initial[position * hidden..],
                        _ => &self.states[(self.offsets[step - 1] + position) * hidden..],
                    };
                    let above = &self.gradient[(self.offsets[step] + position) * hidden..];
                    gate_gradients(simd, gates, carry, before, above);
                }
            }
            for panel in 0..hidden.div_ceil(PLAIN_REGISTERS * R::LANES) {
                for (gates, carry) in blocks.iter().zip(&mut self.carry) {
                    let rows = gates.len() / (4 * hidden);
                    let mut product = Product {
                        left: Matrix::new(gates, rows, 4 * hidden).columns(0..3 * hidden),
                        right: self.weight,
                        destination: carry,
                        stride: hidden,
                        mode: Destination::Add,
                    };
                    product.block(simd, 0, rows, panel);
                }
            }
        }
    }
}

/// The gradients of one row's gates, and the part of the state's that does not
/// pass through them.
#[inline(always)]
fn gate_gradients<T: Real, R: Register<Real = T>>(
    simd: Supported<R>,
    gates: &mut [T],
    carry: &mut [T],
    before: &[T],
    above: &[T],
) {
    let hidden = carry.len();
    let (from_states, gates) = gates.split_at_mut(hidden);
    let (rs, gates) = gates.split_at_mut(hidden);
    let (zs, ns) = gates.split_at_mut(hidden);
    let one = simd.splat(T::ONE);
    for start in (0..hidden).step_by(R::LANES) {
        let units = start..hidden.min(start + R::LANES);
        let from_state = simd.load(&from_states[units.clone()]);
        let r = simd.load(&rs[units.clone()]);
        let z = simd.load(&zs[units.clone()]);
        let n = simd.load(&ns[units.clone()]);
        let state = simd.load(&before[units.clone()]);
        let dh = simd
            .load(&above[units.clone()])
            .add(simd.load(&carry[units.clone()]));
        let keep = one.sub(z);
        let dn = dh.mul(keep).mul(one.sub(n.mul(n)));
        let dz = dh.mul(state.sub(n)).mul(z.mul(keep));
        let dr = dn.mul(from_state).mul(r.mul(one.sub(r)));
        dn.mul(r).store(&mut from_states[units.clone()]);
        dr.store(&mut rs[units.clone()]);
        dz.store(&mut zs[units.clone()]);
        dn.store(&mut ns[units.clone()]);
        dh.mul(z).store(&mut carry[units]);
    }
}
