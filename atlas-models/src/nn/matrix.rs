//! A view of a matrix in a slice: rows, width and the distance between rows.

use std::ops::Range;

/// A matrix whose rows lie `stride` elements apart in a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    elements: &'a [T],
    rows: usize,
    width: usize,
    stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix `[rows, width]` that fills a slice.
    ///
    /// # Panics
    ///
    /// The slice has another number of elements.
    pub(crate) fn new(elements: &'a [T], rows: usize, width: usize) -> Self {
        assert_eq!(Some(elements.len()), rows.checked_mul(width));
        Self {
            elements,
            rows,
            width,
            stride: width,
        }
    }

    /// Some of the columns.
    ///
    /// # Panics
    ///
    /// There are not so many.
    pub(crate) fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.start <= columns.end && columns.end <= self.width);
        let start = columns.start.min(self.elements.len());
        Self {
            elements: &self.elements[start..],
            width: columns.len(),
            ..self
        }
    }

    /// Some of the rows.
    ///
    /// # Panics
    ///
    /// There are not so many.
    #[inline(always)]
    pub(crate) fn rows(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        let start = (rows.start * self.stride).min(self.elements.len());
        Self {
            elements: &self.elements[start..],
            rows: rows.len(),
            ..self
        }
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// There are not so many.
    #[inline(always)]
    pub(crate) fn row(self, row: usize) -> &'a [T] {
        &self.elements[row * self.stride..][..self.width]
    }

    /// One element.
    #[inline(always)]
    pub(crate) fn at(self, row: usize, column: usize) -> T
    where
        T: Copy,
    {
        self.elements[row * self.stride + column]
    }

    /// The elements from the first row's first on.
    #[inline(always)]
    pub(crate) fn elements(self) -> &'a [T] {
        self.elements
    }

    /// The number of rows.
    #[inline(always)]
    pub(crate) fn height(self) -> usize {
        self.rows
    }

    /// The number of columns.
    #[inline(always)]
    pub(crate) fn width(self) -> usize {
        self.width
    }

    /// Elements from one row to the next.
    #[inline(always)]
    pub(crate) fn stride(self) -> usize {
        self.stride
    }
}
