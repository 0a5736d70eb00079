//! The small products and the softmax of one attention head, on one thread.
//!
//! A right-hand matrix is arranged in panels of one register's columns. Every element of a product
//! is one chain of multiply-adds in ascending order, so that [a step](super::step) of one token has
//! the bits of the pass over the whole sequence.

use crate::nn::activation::exp;
use crate::nn::simd::{Kernel, Real, Register, Supported, const_rows, multiply};

/// Rows of the left-hand matrix that share a pass over a panel.
const BLOCK: usize = 12;

/// Which elements of a product are asked for, or are not zero, where no row attends to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Triangle {
    /// All.
    None,
    /// The elements right of the result's diagonal are not asked for.
    Result,
    /// The left-hand matrix is zero right of its diagonal.
    Lower,
    /// The left-hand matrix is zero left of its diagonal.
    Upper,
}

/// `destination = left · right`, on one thread.
pub(super) struct Multiply<'a, T> {
    pub(super) left: &'a [T],
    /// Elements from one row of `left` to the next, and from one column to the next.
    pub(super) strides: [usize; 2],
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// See [`arrange`].
    pub(super) right: &'a [T],
    /// Rows of `stride` elements, a multiple of the register's.
    pub(super) destination: &'a mut [T],
    pub(super) stride: usize,
    pub(super) triangle: Triangle,
}

impl<T: Real> Kernel for Multiply<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(mut self, simd: Supported<R>) {
        let panels = self.stride / R::LANES;
        for row in (0..self.rows).step_by(BLOCK) {
            let rows = BLOCK.min(self.rows - row);
            let panels = match self.triangle {
                Triangle::Result => panels.min((row + rows).div_ceil(R::LANES)),
                _ => panels,
            };
            for panel in 0..panels {
                const_rows!(rows in [12 11 10 9 8 7 6 5 4 3 2 1], ROWS => {
                    self.block::<R, ROWS>(simd, row, panel)
                });
            }
        }
    }
}

impl<T: Real> Multiply<'_, T> {
    #[inline(always)]
    fn block<R: Register<Real = T>, const ROWS: usize>(
        &mut self,
        simd: Supported<R>,
        row: usize,
        panel: usize,
    ) {
        let (start, end) = match self.triangle {
            Triangle::None | Triangle::Result => (0, self.depth),
            Triangle::Lower => (0, row + ROWS),
            Triangle::Upper => (row, self.depth),
        };
        let sums = multiply::<R, ROWS, 1>(
            simd,
            end - start,
            &self.left[row * self.strides[0] + start * self.strides[1]..],
            self.strides,
            &self.right[(panel * self.depth + start) * R::LANES..],
        );
        for (offset, [sum]) in sums.into_iter().enumerate() {
            let to = (row + offset) * self.stride + panel * R::LANES;
            sum.store(&mut self.destination[to..to + R::LANES]);
        }
    }
}

/// Arranges the matrix `[depth, width]` whose element `(row, column)` is at
/// `row * strides[0] + column * strides[1]`, in panels of `lanes` columns, of which the last is
/// filled up with zeros.
pub(super) fn arrange<T: Real>(
    to: &mut Vec<T>,
    lanes: usize,
    (depth, width): (usize, usize),
    from: &[T],
    strides: [usize; 2],
) {
    to.clear();
    to.resize(width.next_multiple_of(lanes) * depth, T::ZERO);
    for (panel, to) in to.chunks_exact_mut((depth * lanes).max(1)).enumerate() {
        let columns = panel * lanes..width.min((panel + 1) * lanes);
        for (row, to) in to.chunks_exact_mut(lanes).enumerate() {
            let from = &from[row * strides[0]..];
            for (to, column) in to.iter_mut().zip(columns.clone()) {
                *to = from[column * strides[1]];
            }
        }
    }
}

/// Replaces rows of scores by their softmax: all `rows` elements of each of `rows` rows, or, if
/// `causal`, those up to the diagonal. What follows in a row becomes zero.
pub(super) struct Softmax<'a, T> {
    pub(super) scores: &'a mut [T],
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) causal: bool,
}

impl<T: Real> Kernel for Softmax<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let rows = self.scores.chunks_exact_mut(self.stride).take(self.rows);
        for (row, scores) in rows.enumerate() {
            let count = if self.causal { row + 1 } else { self.rows };
            let (scores, rest) = scores.split_at_mut(count);
            softmax(simd, scores);
            rest.fill(T::ZERO);
        }
    }
}

/// Replaces the elements of a row by their softmax.
#[inline(always)]
pub(super) fn softmax<T: Real, R: Register<Real = T>>(simd: Supported<R>, row: &mut [T]) {
    let Some(&first) = row.first() else { return };
    let mut largest = simd.splat(first);
    let whole = row.len() - row.len() % R::LANES;
    for chunk in row[..whole].chunks_exact(R::LANES) {
        largest = largest.max(simd.load(chunk));
    }
    let mut max = row[whole..].iter().fold(first, |max, &x| larger(max, x));
    max = lanes(largest).into_iter().take(R::LANES).fold(max, larger);
    let max = simd.splat(max);
    let mut sums = simd.splat(T::ZERO);
    for chunk in row.chunks_mut(R::LANES) {
        let [weight] = exp(simd, [simd.load(chunk).sub(max)]);
        weight.store(chunk);
        sums = sums.add(simd.load(chunk));
    }
    let scale = simd.splat(T::ONE / sum(sums));
    for chunk in row.chunks_mut(R::LANES) {
        simd.load(chunk).mul(scale).store(chunk);
    }
}

#[inline(always)]
fn larger<T: PartialOrd>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// The elements of a register, and zeros.
#[inline(always)]
fn lanes<R: Register>(register: R) -> [R::Real; 16] {
    let mut all = [R::Real::ZERO; 16];
    register.store(&mut all[..R::LANES]);
    all
}

/// The sum of a register's elements.
#[inline(always)]
pub(crate) fn sum<R: Register>(register: R) -> R::Real {
    let mut all = lanes(register);
    let mut half = R::LANES / 2;
    while half > 0 {
        for lane in 0..half {
            all[lane] += all[lane + half];
        }
        half /= 2;
    }
    all[0]
}

/// Replaces the gradients by the probabilities, rows of one length, by those by the scores.
pub(super) struct SoftmaxGradient<'a, T> {
    pub(super) probabilities: &'a [T],
    pub(super) gradients: &'a mut [T],
    /// A multiple of the register's elements; the probabilities end in zeros.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) causal: bool,
}

impl<T: Real> Kernel for SoftmaxGradient<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let probabilities = self.probabilities.chunks_exact(self.stride);
        let gradients = self.gradients.chunks_exact_mut(self.stride);
        let rows = probabilities.zip(gradients).take(self.rows).enumerate();
        for (row, (probabilities, gradients)) in rows {
            let count = if self.causal { row + 1 } else { self.rows };
            // The gradients of the rest need not have been computed.
            let (gradients, rest) = gradients.split_at_mut(count.next_multiple_of(R::LANES));
            let mut dots = simd.splat(T::ZERO);
            let chunks = probabilities.chunks_exact(R::LANES);
            for (p, gradient) in chunks.clone().zip(gradients.chunks_exact(R::LANES)) {
                dots = simd.load(p).mul_add(simd.load(gradient), dots);
            }
            let dot = simd.splat(sum(dots));
            for (p, gradient) in chunks.zip(gradients.chunks_exact_mut(R::LANES)) {
                let difference = simd.load(gradient).sub(dot);
                simd.load(p).mul(difference).store(gradient);
            }
            rest.fill(T::ZERO);
        }
    }
}
