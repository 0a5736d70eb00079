//! Attention of one new row of each sequence to those before it, on one thread.

use super::head::scale;
use super::products::softmax;
use crate::nn::simd::{InstructionSet, Kernel, Real, Register, Supported, multiply};

/// The keys and values of a sequence so far.
#[derive(Debug, Clone, Default)]
pub(in crate::nn) struct Cache<T> {
    /// For each register's worth of rows, the elements of each column: `[blocks, width, lanes]`.
    keys: Vec<T>,
    /// `[length, width]`
    values: Vec<T>,
}

impl<T: Real> Cache<T> {
    /// Adds a row.
    pub(in crate::nn) fn push(&mut self, set: InstructionSet, key: &[T], value: &[T]) {
        let (lanes, width) = (set.lanes::<T>(), key.len());
        let row = self.values.len() / width;
        self.values.extend_from_slice(value);
        let lane = row % lanes;
        if lane == 0 {
            self.keys.resize(self.keys.len() + width * lanes, T::ZERO);
        }
        let block = &mut self.keys[row / lanes * width * lanes..];
        for (lanes, &element) in block.chunks_exact_mut(lanes).zip(key) {
            lanes[lane] = element;
        }
    }
}

/// Lets the query of the last row of a sequence attend to all its rows. The results have the bits
/// that the pass over the whole sequence gives them.
pub(in crate::nn) struct Step<'a, T> {
    /// `[width]`; becomes anything.
    pub(in crate::nn) query: &'a mut [T],
    pub(in crate::nn) cache: &'a Cache<T>,
    pub(in crate::nn) heads: usize,
    /// `[width]`
    pub(in crate::nn) output: &'a mut [T],
    /// Anything; used again for the next.
    pub(in crate::nn) scores: &'a mut Vec<T>,
}

impl<T: Real> Kernel for Step<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let width = self.query.len();
        let head_width = width / self.heads;
        let length = self.cache.values.len() / width;
        let factor = scale::<T>(head_width);
        for element in self.query.iter_mut() {
            *element *= factor;
        }
        self.scores
            .resize(length.next_multiple_of(R::LANES), T::ZERO);
        for head in 0..self.heads {
            let first = head * head_width;
            let query = &self.query[first..first + head_width];
            let blocks = self.cache.keys.chunks_exact(width * R::LANES);
            for (block, scores) in blocks.zip(self.scores.chunks_exact_mut(R::LANES)) {
                let panel = &block[first * R::LANES..];
                let [[sum]] = multiply::<R, 1, 1>(simd, head_width, query, [0, 1], panel);
                sum.store(scores);
            }
            let probabilities = &mut self.scores[..length];
            softmax(simd, probabilities);
            let output = &mut self.output[first..first + head_width];
            for (chunk, output) in output.chunks_mut(R::LANES).enumerate() {
                let column = first + chunk * R::LANES;
                let mut sum = simd.splat(T::ZERO);
                let values = self.cache.values.chunks_exact(width);
                for (&p, values) in probabilities.iter().zip(values) {
                    let value = simd.load(&values[column..column + output.len()]);
                    sum = simd.splat(p).mul_add(value, sum);
                }
                sum.store(output);
            }
        }
    }
}
