//! Which examples come together in a batch, and in which order.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::random::shuffle;

/// Batches whose examples are of similar size, so that little work is lost on the longest.
///
/// Each epoch draws an order of all examples, cuts it into pools of some batches, sorts within
/// each pool, cuts the pools into batches, and draws the order of the batches. Every example comes
/// once an epoch, and in every epoch with other examples. Where the last batch is shorter than the
/// others, it holds the last examples of the order, whatever their size: every example is as likely
/// to be there. Where examples have weights, an epoch has as many examples, each as often as its
/// weight is part of all weights: exactly so where that is a whole number, otherwise that number
/// rounded up or down by chance. The batches of an epoch depend on the seed and the epoch's number
/// alone.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    /// A size beyond the range counts as the largest of the range: sizes are only compared.
    sizes: Vec<u32>,
    /// The sums of the weights of each example and those before it; empty without weights.
    sums: Vec<f64>,
    batch: usize,
    seed: u64,
}

impl Batches {
    /// The most batches in a pool. In a larger pool the sizes within a batch differ less, and the
    /// same examples meet more often.
    const POOL: usize = 32;

    /// Pools in an epoch, if there are enough batches. With a single pool the sizes alone would
    /// decide which examples come together, and every epoch would have the same batches.
    const POOLS: usize = 4;

    /// Batches of `batch` examples whose sizes are `sizes`. A batch of 0 is taken as 1.
    pub(super) fn new(sizes: &[usize], batch: usize, seed: u64) -> Self {
        let size = |&size: &usize| u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            sizes: sizes.iter().map(size).collect(),
            sums: Vec::new(),
            batch: batch.max(1),
            seed,
        }
    }

    /// The same batches of examples that have weights, finite numbers above zero.
    pub(super) fn weighted(mut self, weights: &[f64]) -> Self {
        let mut sum = 0.0;
        let sums = weights.iter().map(|weight| {
            sum += weight;
            sum
        });
        self.sums = sums.collect();
        self
    }

    /// The examples of an epoch. Weighted ones are drawn by systematic resampling: where a comb
    /// with an even distance between its teeth meets the weights laid end to end.
    fn examples(&self, generator: &mut ChaCha8Rng) -> Vec<u32> {
        let count = self.sizes.len();
        let Some(whole) = self.sums.last() else {
            return (0..count as u32).collect();
        };
        let first = (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let tooth = |number: usize| {
            let at = (number as f64 + first) / count as f64 * whole;
            let example = self.sums.partition_point(|sum| *sum <= at);
            example.min(count - 1) as u32
        };
        (0..count).map(tooth).collect()
    }

    /// The number of batches in an epoch.
    pub(super) fn per_epoch(&self) -> usize {
        self.sizes.len().div_ceil(self.batch)
    }

    /// What the batches of every epoch depend on, beside the seed.
    pub(super) fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for size in &self.sizes {
            hasher.update(&size.to_le_bytes());
        }
        for sum in &self.sums {
            hasher.update(&sum.to_le_bytes());
        }
        hasher.finalize()
    }

    /// The batches of an epoch.
    pub(super) fn epoch(&self, epoch: u64) -> EpochBatches {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(epoch);
        let mut order = self.examples(&mut generator);
        shuffle(&mut order, &mut generator);
        let whole = order.len() / self.batch;
        let in_pool = Self::POOL.min(whole / Self::POOLS).max(1);
        let (pooled, _) = order.split_at_mut(whole * self.batch);
        for pool in pooled.chunks_mut(self.batch * in_pool) {
            pool.sort_by_key(|&index| self.sizes[index as usize]);
        }
        let begins = (0..order.len()).step_by(self.batch);
        let mut batches: Vec<(usize, usize)> = begins
            .map(|begin| (begin, order.len().min(begin + self.batch)))
            .collect();
        shuffle(&mut batches, &mut generator);
        EpochBatches { order, batches }
    }
}

/// The batches of one epoch, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EpochBatches {
    order: Vec<u32>,
    /// Where each batch begins and ends in `order`.
    batches: Vec<(usize, usize)>,
}

impl EpochBatches {
    /// Each batch: the indices of its examples.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        let batch = |&(begin, end): &(usize, usize)| &self.order[begin..end];
        self.batches.iter().map(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn batches() -> Batches {
        let sizes: Vec<usize> = (0..1003).map(|index| (index * 7919) % 61).collect();
        Batches::new(&sizes, 8, 5)
    }

    #[test]
    fn every_example_comes_once_an_epoch() {
        let batches = batches();
        let epoch = batches.epoch(0);
        let mut seen: Vec<u32> = epoch.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1003).collect::<Vec<_>>());
        assert_eq!(epoch.iter().len(), batches.per_epoch());
        let mut lengths: Vec<usize> = epoch.iter().map(<[u32]>::len).collect();
        lengths.sort_unstable();
        assert_eq!((lengths[0], &lengths[1..]), (3, vec![8; 125].as_slice()));
    }

    #[test]
    fn an_example_comes_as_often_as_its_weight_is_part_of_all() {
        let sizes = vec![1; 100];
        let weights: Vec<f64> = (0..100).map(|index| [0.5, 3.0][index / 90]).collect();
        let batches = Batches::new(&sizes, 8, 3).weighted(&weights);
        let mut counts = [0u32; 100];
        for epoch in 0..1000 {
            let mut drawn = [0u32; 100];
            let epoch = batches.epoch(epoch);
            epoch
                .iter()
                .flatten()
                .for_each(|&index| drawn[index as usize] += 1);
            assert_eq!(drawn.iter().sum::<u32>(), 100);
            // 0.67 and 4 times an epoch.
            assert!(drawn[..90].iter().all(|count| *count <= 1));
            assert!(drawn[90..].iter().all(|count| *count == 4));
            counts
                .iter_mut()
                .zip(drawn)
                .for_each(|(sum, count)| *sum += count);
        }
        // 667 are expected; 75 are five standard deviations.
        assert!(
            counts[..90].iter().all(|count| (592..=742).contains(count)),
            "{counts:?}"
        );
        let equal = Batches::new(&sizes, 8, 3).weighted(&[0.1; 100]);
        let mut seen: Vec<u32> = equal.epoch(0).iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn every_example_is_as_often_in_the_short_batch() {
        let batches = Batches::new(&(0..43).collect::<Vec<_>>(), 8, 1);
        let mut counts = [0; 43];
        for epoch in 0..4000 {
            let epoch = batches.epoch(epoch);
            let short = epoch.iter().find(|batch| batch.len() == 3).unwrap();
            short.iter().for_each(|&index| counts[index as usize] += 1);
        }
        // 279 are expected; 80 are five standard deviations.
        let all_near = counts.iter().all(|count| (199..=359).contains(count));
        assert!(all_near, "{counts:?}");
    }

    #[test]
    fn company_changes_however_few_examples_there_are() {
        for (examples, batch) in [(16, 8), (43, 8), (64, 8), (600, 8)] {
            let batches = Batches::new(&(0..examples).collect::<Vec<_>>(), batch, 1);
            let mut company = vec![BTreeSet::new(); examples];
            for epoch in 0..50 {
                for batch in batches.epoch(epoch).iter() {
                    for &index in batch {
                        company[index as usize].extend(batch.iter().copied());
                    }
                }
            }
            let least = company.iter().map(BTreeSet::len).min().unwrap();
            let expected = examples.min(40) * 3 / 4;
            assert!(least >= expected, "{least} of {examples}");
        }
    }

    #[test]
    fn the_order_of_batches_says_nothing_of_their_sizes() {
        let batches = batches();
        let mean = |batch: &[u32]| {
            let sizes = batch.iter().map(|&index| batches.sizes[index as usize]);
            f64::from(sizes.sum::<u32>()) / batch.len() as f64
        };
        let of_place = |place| {
            let epochs =
                (0..1000).map(|epoch| mean(batches.epoch(epoch).iter().nth(place).unwrap()));
            epochs.sum::<f64>() / 1000.0
        };
        // Sizes are 0 to 60; the standard deviation of these means is 0.56.
        for place in [0, 1, 62, 125] {
            assert!((of_place(place) - 30.0).abs() < 2.8, "{place}");
        }
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
        let mean = epoch.iter().map(spread).sum::<u32>() as f64 / epoch.iter().len() as f64;
        assert!(mean < 4.0, "sizes up to 60 differ by {mean} within a batch");
    }
}
