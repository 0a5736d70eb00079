//! A matrix rearranged once so that the products with it stream through memory.
//!
//! A panel holds a few registers' worth of neighbouring columns, all rows of
//! them, in the order in which a product reads them. Every element of a product
//! is one chain of fused multiply-adds over the rows in ascending order,
//! whatever the number of rows on the other side: a row's result does not
//! depend on which rows are multiplied beside it.

use super::matrix::Matrix;
use super::simd::{InstructionSet, Real};
use rayon::prelude::*;

/// How the columns of a matrix are laid over the registers of its panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Registers hold consecutive columns.
    Plain,
    /// The columns are this many equal groups (the gates); the registers of a panel
    /// hold the same units of each group, so that all gates of a unit are ready at once.
    Gates(usize),
}

/// A right-hand matrix `[depth, width]` in panels, for one instruction set.
#[derive(Debug)]
pub(crate) struct Panels<T> {
    set: InstructionSet,
    depth: usize,
    width: usize,
    columns: Columns,
    elements: Aligned<T>,
}

/// Registers of a panel with plain columns.
pub(crate) const PLAIN_REGISTERS: usize = 2;

impl<T: Real> Panels<T> {
    /// Arranges the matrix `[depth, width]` whose element `(row, column)` is `at(row, column)`.
    ///
    /// With [`Columns::Gates`], `width` is a multiple of the number of gates.
    pub(crate) fn new(
        set: InstructionSet,
        depth: usize,
        width: usize,
        columns: Columns,
        at: impl Fn(usize, usize) -> T + Sync,
    ) -> Self {
        let lanes = set.lanes::<T>();
        let registers = columns.registers();
        let count = match columns {
            Columns::Plain => width.div_ceil(registers * lanes),
            Columns::Gates(gates) => (width / gates).div_ceil(lanes),
        };
        let mut elements = Aligned::zeros(count * depth * registers * lanes);
        elements
            .as_mut_slice()
            .par_chunks_mut((depth * registers * lanes).max(1))
            .enumerate()
            .for_each(|(panel, elements)| {
                for register in 0..registers {
                    let (first, end) = match columns {
                        Columns::Plain => ((panel * registers + register) * lanes, width),
                        Columns::Gates(gates) => {
                            let units = width / gates;
                            (register * units + panel * lanes, (register + 1) * units)
                        }
                    };
                    let filled = lanes.min(end.saturating_sub(first));
                    // Few rows at a time, so that both a row-major and a column-major
                    // matrix is read from the cache.
                    for start in (0..depth).step_by(16) {
                        for lane in 0..filled {
                            for row in start..depth.min(start + 16) {
                                elements[(row * registers + register) * lanes + lane] =
                                    at(row, first + lane);
                            }
                        }
                    }
                }
            });
        Self {
            set,
            depth,
            width,
            columns,
            elements,
        }
    }

    /// Arranges a matrix, in plain columns.
    pub(crate) fn plain(set: InstructionSet, matrix: Matrix<'_, T>) -> Self {
        let (depth, width) = (matrix.height(), matrix.width());
        Self::new(set, depth, width, Columns::Plain, |row, column| {
            matrix.at(row, column)
        })
    }

    /// Arranges the transpose of a matrix `[width, depth]`, as weights are stored.
    pub(crate) fn transposed(set: InstructionSet, matrix: Matrix<'_, T>, columns: Columns) -> Self {
        let (depth, width) = (matrix.width(), matrix.height());
        Self::new(set, depth, width, columns, |row, column| {
            matrix.at(column, row)
        })
    }

    /// The instruction set whose registers the panels fit.
    pub(crate) fn set(&self) -> InstructionSet {
        self.set
    }

    /// Rows of the matrix.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Rows of a left-hand matrix that one pass over a panel can serve.
    pub(crate) fn block_rows(&self) -> usize {
        self.set.product_rows::<T>(self.columns.registers())
    }

    /// The elements of a panel, row by row.
    #[inline(always)]
    pub(crate) fn panel(&self, panel: usize) -> &[T] {
        let size = self.depth * self.columns.registers() * self.set.lanes::<T>();
        &self.elements.as_slice()[panel * size..][..size]
    }
}

impl Columns {
    fn registers(self) -> usize {
        match self {
            Self::Plain => PLAIN_REGISTERS,
            Self::Gates(gates) => gates,
        }
    }
}

/// Memory that starts on a cache line, so that no register of a panel spans two.
#[derive(Debug)]
struct Aligned<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    fn zeros(len: usize) -> Self {
        let spare = 64 / size_of::<T>();
        let memory = vec![T::zero(); len + spare];
        let start = memory.as_ptr().align_offset(64).min(spare);
        Self { memory, start, len }
    }

    fn as_slice(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
