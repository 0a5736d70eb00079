//! The order in which training sees the examples.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::shuffle::shuffle;

/// Batches whose examples are of similar size, so that little work is lost on the longest.
///
/// Each epoch draws an order of all examples, cuts it into pools of some batches, sorts within
/// each pool, cuts the pools into batches, and draws the order of the batches. Every example
/// comes once an epoch, with company that changes from epoch to epoch; which epoch has which
/// batches depends on the seed alone.
#[derive(Clone, Debug)]
pub struct Batches {
    sizes: Vec<u32>,
    batch: usize,
    seed: u64,
}

impl Batches {
    /// Batches in a pool. More makes batches more even and their company less varied.
    const POOL: usize = 32;

    /// Batches of `batch` examples, of which `sizes` are the sizes. A batch of 0 is taken as 1.
    pub fn new(sizes: Vec<u32>, batch: usize, seed: u64) -> Self {
        Self {
            sizes,
            batch: batch.max(1),
            seed,
        }
    }

    /// The number of batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        self.sizes.len().div_ceil(self.batch)
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(epoch);
        let mut order: Vec<u32> = (0..self.sizes.len() as u32).collect();
        shuffle(&mut order, &mut generator);
        let mut batches = Vec::with_capacity(self.per_epoch());
        let mut begin = 0;
        for pool in order.chunks_mut(self.batch.saturating_mul(Self::POOL)) {
            pool.sort_by_key(|&index| self.sizes[index as usize]);
            for batch in pool.chunks(self.batch) {
                batches.push((begin, begin + batch.len()));
                begin += batch.len();
            }
        }
        shuffle(&mut batches, &mut generator);
        Epoch { order, batches }
    }
}

/// The batches of one epoch, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    order: Vec<u32>,
    /// Where each batch begins and ends in `order`.
    batches: Vec<(usize, usize)>,
}

impl Epoch {
    /// The number of batches.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Each batch: the indices of its examples.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        let batch = |&(begin, end): &(usize, usize)| &self.order[begin..end];
        self.batches.iter().map(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches() -> Batches {
        Batches::new((0..1003).map(|index| (index * 7919) % 61).collect(), 8, 5)
    }

    #[test]
    fn every_example_comes_once_an_epoch() {
        let batches = batches();
        let epoch = batches.epoch(0);
        let mut seen: Vec<u32> = epoch.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1003).collect::<Vec<_>>());
        assert_eq!(epoch.len(), batches.per_epoch());
        assert!(epoch.iter().all(|batch| batch.len() <= 8));
    }

    #[test]
    fn epochs_differ_and_repeat_by_seed() {
        let batches = batches();
        assert_eq!(batches.epoch(3), batches.epoch(3));
        assert_ne!(batches.epoch(3), batches.epoch(4));
    }

    #[test]
    fn examples_of_a_batch_are_of_similar_size() {
        let batches = batches();
        let spread = |batch: &[u32]| {
            let sizes = batch.iter().map(|&index| batches.sizes[index as usize]);
            sizes.clone().max().unwrap() - sizes.min().unwrap()
        };
        let epoch = batches.epoch(0);
        let mean = epoch.iter().map(spread).sum::<u32>() as f64 / epoch.len() as f64;
        assert!(mean < 4.0, "sizes up to 60 differ by {mean} within a batch");
    }
}
