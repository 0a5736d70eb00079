//! One attention head of one sequence, forward and backward.

use super::products::{Multiply, Softmax, SoftmaxGradient, Triangle, arrange};
use crate::nn::matrix::Matrix;
use crate::nn::simd::{InstructionSet, Real};

/// Where the head of a sequence reads.
#[derive(Clone, Copy)]
pub(super) struct Head<'a, T> {
    /// `[rows, 3 * width]`: queries, keys, values.
    pub(super) projections: Matrix<'a, T>,
    /// The first row of each of the sequence's steps.
    pub(super) offsets: &'a [usize],
    /// The sequence's place among those of a step.
    pub(super) position: usize,
    /// The head's first column among the queries.
    pub(super) first: usize,
    /// The head's width.
    pub(super) width: usize,
    pub(super) causal: bool,
}

/// What one head needs while it is computed, used again for the next.
pub(super) struct Buffers<T> {
    set: InstructionSet,
    /// `[length, width]` each: queries, divided by the square root of the width, keys, values,
    /// and the gradients of the results.
    gathered: [Vec<T>; 4],
    /// A right-hand matrix.
    panels: Vec<T>,
    /// Rows of as many elements as the sequence is long, filled up to whole registers.
    probabilities: Vec<T>,
    /// As `probabilities`.
    gradients: Vec<T>,
    /// `[length, width]`, filled up to whole registers.
    result: Vec<T>,
}

const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;
const OUTPUT: usize = 3;

impl<T: Real> Buffers<T> {
    pub(super) fn new(set: InstructionSet) -> Self {
        Self {
            set,
            gathered: [Vec::new(), Vec::new(), Vec::new(), Vec::new()],
            panels: Vec::new(),
            probabilities: Vec::new(),
            gradients: Vec::new(),
            result: Vec::new(),
        }
    }

    /// Writes the head's results into its columns of the sequence's rows.
    pub(super) fn forward(&mut self, head: Head<'_, T>, rows: &mut [&mut [T]]) {
        self.gather(head);
        self.attend(head);
        let product = Product {
            left: Left::Probabilities,
            transposed: false,
            right: VALUE,
        };
        self.multiply(head, product);
        self.put(head.width, rows, head.first);
    }

    /// Writes the gradients of the head's queries, keys and values into their columns of the
    /// sequence's rows, from the gradient of the results, `[rows, width]`.
    pub(super) fn backward(
        &mut self,
        head: Head<'_, T>,
        gradient: Matrix<'_, T>,
        rows: &mut [&mut [T]],
    ) {
        self.gather(head);
        gather(
            &mut self.gathered[OUTPUT],
            head,
            gradient,
            head.first,
            T::ONE,
        );
        self.attend(head);
        let (first, width) = (head.first, head.projections.width() / 3);
        let product = |left, transposed, right| Product {
            left,
            transposed,
            right,
        };
        self.multiply(head, product(Left::Probabilities, true, OUTPUT));
        self.put(head.width, rows, first + 2 * width);
        self.score_gradients(head);
        self.multiply(head, product(Left::Gradients, true, QUERY));
        self.put(head.width, rows, first + width);
        self.multiply(head, product(Left::Gradients, false, KEY));
        let scale = scale(head.width);
        self.result.iter_mut().for_each(|element| *element *= scale);
        self.put(head.width, rows, first);
    }

    fn gather(&mut self, head: Head<'_, T>) {
        let width = head.projections.width() / 3;
        for (part, to) in self.gathered[..OUTPUT].iter_mut().enumerate() {
            let factor = match part {
                QUERY => scale(head.width),
                _ => T::ONE,
            };
            gather(
                to,
                head,
                head.projections,
                part * width + head.first,
                factor,
            );
        }
    }

    /// The elements of a row of as many as the sequence is long.
    fn stride(&self, head: Head<'_, T>) -> usize {
        head.offsets.len().next_multiple_of(self.set.lanes::<T>())
    }

    /// The probabilities with which each row attends to each.
    fn attend(&mut self, head: Head<'_, T>) {
        let stride = self.stride(head);
        let mut scores = std::mem::take(&mut self.probabilities);
        self.products_of_rows(head, QUERY, KEY, &mut scores);
        self.set.run(Softmax {
            scores: &mut scores,
            stride,
            rows: head.offsets.len(),
            causal: head.causal,
        });
        self.probabilities = scores;
    }

    /// The gradients of the scores.
    fn score_gradients(&mut self, head: Head<'_, T>) {
        let stride = self.stride(head);
        let mut gradients = std::mem::take(&mut self.gradients);
        self.products_of_rows(head, OUTPUT, VALUE, &mut gradients);
        self.set.run(SoftmaxGradient {
            probabilities: &self.probabilities,
            gradients: &mut gradients,
            stride,
            rows: head.offsets.len(),
            causal: head.causal,
        });
        self.gradients = gradients;
    }

    /// The product of each row of what was gathered with each row of `right`.
    fn products_of_rows(&mut self, head: Head<'_, T>, left: usize, right: usize, to: &mut Vec<T>) {
        let (length, stride) = (head.offsets.len(), self.stride(head));
        let shape = (head.width, length);
        let right = &self.gathered[right];
        let lanes = self.set.lanes::<T>();
        arrange(&mut self.panels, lanes, shape, right, [1, head.width]);
        to.resize(length * stride, T::ZERO);
        self.set.run(Multiply {
            left: &self.gathered[left],
            strides: [head.width, 1],
            rows: length,
            depth: head.width,
            right: &self.panels,
            destination: to,
            stride,
            triangle: if head.causal {
                Triangle::Result
            } else {
                Triangle::None
            },
        });
    }

    /// Replaces `result` by a product of a square matrix.
    fn multiply(&mut self, head: Head<'_, T>, product: Product) {
        let (length, stride) = (head.offsets.len(), self.stride(head));
        let shape = (length, head.width);
        let right = &self.gathered[product.right];
        let lanes = self.set.lanes::<T>();
        arrange(&mut self.panels, lanes, shape, right, [head.width, 1]);
        let width = head.width.next_multiple_of(lanes);
        self.result.resize(length * width, T::ZERO);
        self.set.run(Multiply {
            left: match product.left {
                Left::Probabilities => &self.probabilities,
                Left::Gradients => &self.gradients,
            },
            strides: if product.transposed {
                [1, stride]
            } else {
                [stride, 1]
            },
            rows: length,
            depth: length,
            right: &self.panels,
            destination: &mut self.result,
            stride: width,
            triangle: match (head.causal, product.transposed) {
                (false, _) => Triangle::None,
                (true, false) => Triangle::Lower,
                (true, true) => Triangle::Upper,
            },
        });
    }

    /// Copies the result into the sequence's rows, from the column `first` on.
    fn put(&self, width: usize, rows: &mut [&mut [T]], first: usize) {
        let stride = width.next_multiple_of(self.set.lanes::<T>());
        for (row, result) in rows.iter_mut().zip(self.result.chunks_exact(stride)) {
            row[first..first + width].copy_from_slice(&result[..width]);
        }
    }
}

/// A product of `length` rows and as much depth.
struct Product {
    left: Left,
    /// Whether the left-hand matrix is read by columns.
    transposed: bool,
    /// Which of what was gathered is on the right.
    right: usize,
}

enum Left {
    Probabilities,
    Gradients,
}

/// What queries are multiplied with, before the softmax.
pub(super) fn scale<T: Real>(width: usize) -> T {
    T::from_f64(1.0 / (width as f64).sqrt())
}

/// Copies the head's columns of the sequence's rows, which start at `column`, times a factor.
fn gather<T: Real>(
    to: &mut Vec<T>,
    head: Head<'_, T>,
    from: Matrix<'_, T>,
    column: usize,
    factor: T,
) {
    to.clear();
    for offset in head.offsets {
        let row = &from.row(offset + head.position)[column..column + head.width];
        to.extend(row.iter().map(|&element| element * factor));
    }
}
