//! What training draws its batches from.

use crate::error::Result;

/// The examples that a model is trained on, each an [`Objective::Input`](crate::Objective::Input),
/// by their index.
///
/// A `Vec` and a slice (`&data[..100]`) are data sets. Implement it for data that does not fit into
/// memory: training reads each batch before it is needed, from a thread of its own.
pub trait Dataset<I>: Sync {
    /// The number of examples.
    fn len(&self) -> usize;

    /// Whether there is no example.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The examples of these indices, in their order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&self, indices: &[u32]) -> Result<Vec<I>>;

    /// What messages call an example, such as the line of its file. Its index, unless the data set
    /// says otherwise.
    fn name(&self, index: u32) -> String {
        format!("#{index}")
    }

    /// How much each example counts, above zero; `None` if all count the same. With weights an epoch
    /// has as many examples as without, and each as often as its weight is part of all weights.
    ///
    /// # Errors
    /// If they cannot be read.
    fn weights(&self) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    /// The size of every example, measured by `size`. A data set that knows the sizes gives them
    /// without reading all examples.
    ///
    /// # Errors
    /// If an example cannot be read, or `size` refuses it; the message names the example.
    fn sizes(&self, size: &dyn Fn(&I) -> Result<usize>) -> Result<Vec<usize>> {
        let mut sizes = Vec::with_capacity(self.len());
        let indices: Vec<u32> = (0..self.len() as u32).collect();
        for indices in indices.chunks(READ_AT_A_TIME) {
            for (example, &index) in self.read(indices)?.iter().zip(indices) {
                let size = size(example).map_err(|error| error.within(self.name(index)))?;
                sizes.push(size);
            }
        }
        Ok(sizes)
    }
}

/// Examples that are read at a time to measure their sizes.
const READ_AT_A_TIME: usize = 1024;

impl<I: Clone + Sync> Dataset<I> for Vec<I> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<I>> {
        self.as_slice().read(indices)
    }
}

impl<I: Clone + Sync> Dataset<I> for &[I] {
    fn len(&self) -> usize {
        <[I]>::len(self)
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<I>> {
        let example = |&index: &u32| self[index as usize].clone();
        Ok(indices.iter().map(example).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn an_example_that_the_model_cannot_represent_is_named() {
        let data: Vec<u32> = (0..3000).collect();
        let size = |example: &u32| match example {
            2500 => Err(Error::new("too large")),
            example => Ok(*example as usize),
        };
        assert_eq!(
            data.sizes(&size).unwrap_err().to_string(),
            "#2500: too large"
        );
        let first = &data[..2000];
        assert_eq!(
            (&first).sizes(&size).unwrap(),
            (0..2000).collect::<Vec<_>>()
        );
    }
}
