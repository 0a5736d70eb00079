//! What training draws its batches from.

use atlas_core::Result;

/// Examples by their index. Training reads them a batch ahead, from a thread of its own.
///
/// A `Vec` is one; [`TokenStore`](super::TokenStore) is one that need not fit into memory.
pub trait Examples<E>: Sync {
    /// The number of examples.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of each example, by `measure` unless it is known.
    ///
    /// # Errors
    /// If the examples cannot be read.
    fn sizes(&self, measure: &dyn Fn(&E) -> usize) -> Result<Vec<u32>>;

    /// The examples of these indices, in their order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&self, indices: &[u32]) -> Result<Vec<E>>;

    /// What messages call an example: the line of its file, or its index.
    fn name(&self, index: u32) -> String {
        format!("#{index}")
    }
}

impl<E: Clone + Sync> Examples<E> for Vec<E> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn sizes(&self, measure: &dyn Fn(&E) -> usize) -> Result<Vec<u32>> {
        Ok(self.iter().map(|example| size(measure(example))).collect())
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<E>> {
        let example = |&index: &u32| self[index as usize].clone();
        Ok(indices.iter().map(example).collect())
    }
}

/// Sizes are compared, never added: what is beyond the range is as large as the range.
pub(super) fn size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
