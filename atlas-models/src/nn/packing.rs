//! Sequences of different lengths without padding.
//!
//! The sequences are sorted by length, longest first, and their elements laid
//! out step by step: first every sequence's element 0, then every element 1 of
//! those that have one, and so on. A step's rows are contiguous, and its
//! sequences are a prefix of the step's before. This is the layout of PyTorch's
//! `PackedSequence`.

use candle_core::{Device, Result, Tensor, bail};

/// Where each element of a batch of sequences is among the packed rows.
///
/// ```
/// # use atlas_models::nn::Packing;
/// let packing = Packing::new(&[1, 3, 2])?;
/// assert_eq!(packing.order(), [1, 2, 0]);
/// assert_eq!(packing.batch_sizes(), [3, 2, 1]);
/// let ids = packing.pack(&[vec![10], vec![20, 21, 22], vec![30, 31]])?;
/// assert_eq!(ids, [20, 30, 10, 21, 31, 22]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    lengths: Vec<usize>,
    order: Vec<usize>,
    positions: Vec<usize>,
    batch_sizes: Vec<usize>,
    offsets: Vec<usize>,
    rows: usize,
}

impl Packing {
    /// The packing of sequences of these lengths. Equal lengths keep their order.
    ///
    /// # Errors
    ///
    /// There is no sequence, one is empty, or the rows are too many for `u32` indices.
    pub fn new(lengths: &[usize]) -> Result<Self> {
        let Some(&longest) = lengths.iter().max() else {
            bail!("a packing needs at least one sequence")
        };
        if let Some(empty) = lengths.iter().position(|&length| length == 0) {
            bail!("sequence {empty} of {} is empty", lengths.len())
        }
        let rows = lengths
            .iter()
            .try_fold(0usize, |sum, &length| sum.checked_add(length));
        let Some(rows) = rows.filter(|&rows| u32::try_from(rows).is_ok()) else {
            bail!("the sequences have more elements than a u32 can count")
        };
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&sequence| std::cmp::Reverse(lengths[sequence]));
        let mut positions = vec![0; order.len()];
        for (position, &sequence) in order.iter().enumerate() {
            positions[sequence] = position;
        }
        let mut batch_sizes = Vec::with_capacity(longest);
        let mut offsets = Vec::with_capacity(longest);
        let (mut active, mut offset) = (order.len(), 0);
        for step in 0..longest {
            while lengths[order[active - 1]] <= step {
                active -= 1;
            }
            batch_sizes.push(active);
            offsets.push(offset);
            offset += active;
        }
        Ok(Self {
            lengths: lengths.to_vec(),
            order,
            positions,
            batch_sizes,
            offsets,
            rows,
        })
    }

    /// The number of sequences.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// The number of packed rows: the sum of the lengths.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The length of the longest sequence.
    pub fn steps(&self) -> usize {
        self.batch_sizes.len()
    }

    /// The lengths, in the caller's order.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The sequences, longest first, as indices into the caller's order.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// For each step, how many sequences have it.
    pub fn batch_sizes(&self) -> &[usize] {
        &self.batch_sizes
    }

    /// For each step, its first row.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The row of one element, if the sequence has it.
    pub fn row(&self, sequence: usize, step: usize) -> Option<usize> {
        let &length = self.lengths.get(sequence)?;
        (step < length).then(|| self.offsets[step] + self.positions[sequence])
    }

    /// The sequence and the step of each row, in row order.
    pub fn elements(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.batch_sizes
            .iter()
            .enumerate()
            .flat_map(|(step, &active)| self.order[..active].iter().map(move |&s| (s, step)))
    }

    /// The sequence of each row.
    pub fn sequences(&self) -> Vec<u32> {
        self.elements()
            .map(|(sequence, _)| sequence as u32)
            .collect()
    }

    /// Packs one value for each element, such as token ids.
    ///
    /// # Errors
    ///
    /// The sequences are not of the packing's number and lengths.
    pub fn pack<T: Clone, S: AsRef<[T]>>(&self, sequences: &[S]) -> Result<Vec<T>> {
        self.check_batch("sequences", sequences.len())?;
        for (sequence, (values, &length)) in sequences.iter().zip(&self.lengths).enumerate() {
            let found = values.as_ref().len();
            if found != length {
                bail!("sequence {sequence} has {found} elements, the packing has {length}")
            }
        }
        Ok(self
            .elements()
            .map(|(sequence, step)| sequences[sequence].as_ref()[step].clone())
            .collect())
    }

    /// The inverse of [`pack`](Self::pack): one list for each sequence, in the caller's order.
    ///
    /// # Errors
    ///
    /// There is not one value for each row.
    pub fn unpack<T: Clone>(&self, values: &[T]) -> Result<Vec<Vec<T>>> {
        if values.len() != self.rows {
            bail!("{} values for {} packed rows", values.len(), self.rows)
        }
        Ok(self
            .lengths
            .iter()
            .zip(&self.positions)
            .map(|(&length, &position)| {
                let offsets = self.offsets[..length].iter();
                offsets
                    .map(|offset| values[offset + position].clone())
                    .collect()
            })
            .collect())
    }

    /// Repeats each sequence's values over its rows: `[batch, width]` in the caller's
    /// order to `[rows, width]`. Differentiable.
    ///
    /// # Errors
    ///
    /// `values` is not of that shape.
    pub fn repeat(&self, values: &Tensor) -> Result<Tensor> {
        let (batch, _) = values.dims2()?;
        self.check_batch("rows", batch)?;
        let index = Tensor::from_vec(self.sequences(), self.rows, values.device())?;
        values.index_select(&index, 0)
    }

    /// Each sequence's last row: `[rows, width]` to `[batch, width]` in the caller's
    /// order. Differentiable.
    ///
    /// # Errors
    ///
    /// `rows` is not of that shape.
    pub fn last(&self, rows: &Tensor) -> Result<Tensor> {
        self.check_rows(rows)?;
        let last = self.lengths.iter().zip(&self.positions);
        let last: Vec<usize> = last
            .map(|(&length, &position)| self.offsets[length - 1] + position)
            .collect();
        rows.index_select(&index(&last, rows.device())?, 0)
    }

    /// Each sequence's rows, then zeros: `[rows, width]` to `[batch, steps, width]` in the caller's
    /// order. Differentiable.
    ///
    /// # Errors
    ///
    /// `rows` is not of that shape, or a sequence is longer than `steps`.
    pub fn pad(&self, rows: &Tensor, steps: usize) -> Result<Tensor> {
        let width = self.check_rows(rows)?;
        if self.steps() > steps {
            bail!("a sequence of {} elements in {steps} steps", self.steps())
        }
        let zero = Tensor::zeros((1, width), rows.dtype(), rows.device())?;
        let places = (0..self.batch()).flat_map(|sequence| {
            (0..steps).map(move |step| self.row(sequence, step).unwrap_or(self.rows))
        });
        let places: Vec<usize> = places.collect();
        let padded = Tensor::cat(&[rows, &zero], 0)?;
        let padded = padded.index_select(&index(&places, rows.device())?, 0)?;
        padded.reshape((self.batch(), steps, width))
    }

    /// The mean of each sequence's rows: `[rows, width]` to `[batch, width]` in the caller's order.
    /// Differentiable.
    ///
    /// # Errors
    ///
    /// `rows` is not of that shape.
    pub fn mean(&self, rows: &Tensor) -> Result<Tensor> {
        let width = self.check_rows(rows)?;
        let sequences = Tensor::from_vec(self.sequences(), self.rows, rows.device())?;
        let sums = Tensor::zeros((self.batch(), width), rows.dtype(), rows.device())?;
        let lengths: Vec<f64> = self.lengths.iter().map(|&length| length as f64).collect();
        let lengths = Tensor::from_vec(lengths, (self.batch(), 1), rows.device())?;
        sums.index_add(&sequences, rows, 0)?
            .broadcast_div(&lengths.to_dtype(rows.dtype())?)
    }

    /// States `[batch, width]` in the caller's order, sorted as the packing is; zeros on the device
    /// and of the dtype of `like` if there are none.
    ///
    /// # Errors
    ///
    /// What candle's operations refuse.
    pub(crate) fn sort(
        &self,
        states: Option<&Tensor>,
        width: usize,
        like: &Tensor,
    ) -> Result<Tensor> {
        match states {
            None => Tensor::zeros((self.batch(), width), like.dtype(), like.device()),
            Some(states) => states.index_select(&index(&self.order, like.device())?, 0),
        }
    }

    /// Sorted rows `[batch, width]` in the caller's order again.
    ///
    /// # Errors
    ///
    /// What candle's operations refuse.
    pub(crate) fn unsort(&self, sorted: &Tensor) -> Result<Tensor> {
        sorted.index_select(&index(&self.positions, sorted.device())?, 0)
    }

    /// The state that each row started from, `[rows, width]`: the initial one, sorted, or that
    /// of the step before.
    pub(crate) fn states_before<T: Copy>(&self, initial: &[T], rows: &[T], width: usize) -> Vec<T> {
        let mut before = Vec::with_capacity(rows.len());
        let mut previous = initial;
        for (&active, &offset) in self.batch_sizes.iter().zip(&self.offsets) {
            before.extend_from_slice(&previous[..active * width]);
            previous = &rows[offset * width..];
        }
        before
    }

    /// The width of rows, of which there is one for each element.
    fn check_rows(&self, rows: &Tensor) -> Result<usize> {
        let (count, width) = rows.dims2()?;
        if count != self.rows {
            bail!("{count} rows, the packing has {}", self.rows)
        }
        Ok(width)
    }

    fn check_batch(&self, what: &str, found: usize) -> Result<()> {
        if found != self.batch() {
            bail!("{found} {what}, the packing has {} sequences", self.batch())
        }
        Ok(())
    }
}

fn index(rows: &[usize], device: &Device) -> Result<Tensor> {
    let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    Tensor::new(rows, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_the_row_that_the_packing_names() -> Result<()> {
        for lengths in [
            vec![1],
            vec![2, 2, 2],
            vec![1, 5, 3, 2, 4],
            vec![3, 1, 1, 3, 7],
        ] {
            let packing = Packing::new(&lengths)?;
            let names: Vec<Vec<(usize, usize)>> = lengths
                .iter()
                .enumerate()
                .map(|(s, &length)| (0..length).map(|step| (s, step)).collect())
                .collect();
            let packed = packing.pack(&names)?;
            assert_eq!(packed, packing.elements().collect::<Vec<_>>());
            assert_eq!(packed.len(), lengths.iter().sum::<usize>());
            for (row, &(sequence, step)) in packed.iter().enumerate() {
                assert_eq!(packing.row(sequence, step), Some(row));
            }
            assert_eq!(packing.unpack(&packed)?, names);
        }
        Ok(())
    }

    #[test]
    fn a_step_that_a_sequence_lacks_has_no_row() -> Result<()> {
        let packing = Packing::new(&[2, 1])?;
        assert_eq!(packing.row(1, 1), None);
        assert_eq!(packing.row(2, 0), None);
        Ok(())
    }

    #[test]
    fn last_rows_come_back_in_the_callers_order() -> Result<()> {
        let packing = Packing::new(&[1, 3, 2])?;
        let rows = Tensor::arange(0f32, 6.0, &Device::Cpu)?.reshape((6, 1))?;
        let last = packing.last(&rows)?.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(last, [2.0, 5.0, 4.0]);
        Ok(())
    }

    #[test]
    fn no_sequence_and_an_empty_sequence_are_errors_that_say_so() {
        let message = |lengths: &[usize]| Packing::new(lengths).unwrap_err().to_string();
        assert!(message(&[]).contains("at least one sequence"));
        assert!(message(&[2, 0, 1]).contains("sequence 1 of 3 is empty"));
    }
}
