//! Shards of a batch: their losses and gradients are computed one by one and added in a fixed tree,
//! so that the sum does not depend on which process computes which.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::step::Values;
use super::workers::Workers;
use crate::error::{Error, Result};

/// A shard of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shard {
    /// Its number among the shards of the batch, from 0.
    pub(super) number: usize,
    /// The places of its examples in the batch.
    pub(super) places: Range<usize>,
    /// Its examples as a share of the batch's. A shard without examples has a share of zero and the
    /// first example of the batch, so that its loss has the parts that every loss has.
    pub(super) share: f64,
}

/// How batches are cut, and which shards are this process's.
#[derive(Clone, Debug)]
pub(super) struct Sharding {
    /// The shards of a batch.
    shards: usize,
    /// The numbers of those that this process computes.
    own: Range<usize>,
}

impl Sharding {
    /// # Errors
    /// If the processes cannot share the shards evenly.
    pub(super) fn new(shards: usize, workers: &Workers) -> Result<Self> {
        let (rank, size) = (workers.rank(), workers.size());
        if size > shards {
            return Err(Error::new(format_args!(
                "{size} processes cannot share the {shards} shards of a batch"
            )));
        }
        Ok(Self {
            shards,
            own: rank * shards / size..(rank + 1) * shards / size,
        })
    }

    /// Whether a batch is computed as a whole.
    pub(super) fn is_whole(&self) -> bool {
        self.shards == 1
    }

    /// Whether this is the first shard that this process computes.
    pub(super) fn is_first(&self, shard: &Shard) -> bool {
        shard.number == self.own.start
    }

    /// The shards of a batch of so many examples that this process computes.
    pub(super) fn own_shards(&self, examples: usize) -> impl Iterator<Item = Shard> {
        let begin = move |number: usize| number * examples / self.shards;
        self.own.clone().map(move |number| {
            let places = begin(number)..begin(number + 1);
            Shard {
                number,
                share: places.len() as f64 / examples as f64,
                places: if places.is_empty() { 0..1 } else { places },
            }
        })
    }
}

/// What shards of a batch add up to, each in proportion to its examples.
pub(super) struct ShardSum {
    pub(super) values: Values,
    pub(super) gradients: Vec<Tensor>,
    /// The buffers as the shards leave them; empty where a batch is computed as a whole.
    pub(super) buffers: Vec<Tensor>,
}

impl ShardSum {
    /// The sum of this and what follows it.
    pub(super) fn plus(self, next: Self) -> Result<Self> {
        let add = |first: Vec<Tensor>, second: Vec<Tensor>| {
            let pairs = first.into_iter().zip(second);
            pairs
                .map(|(first, second)| Ok((first + second)?))
                .collect::<Result<Vec<_>>>()
        };
        let (loss, parts) = self.values;
        let (next_loss, next_parts) = next.values;
        let names = parts.iter().map(|(name, _)| name);
        if !names.eq(next_parts.iter().map(|(name, _)| name)) {
            return Err(Error::new(
                "the losses of two shards of a batch have different parts",
            ));
        }
        let parts = parts.into_iter().zip(next_parts);
        Ok(Self {
            values: (
                loss + next_loss,
                parts
                    .map(|((name, first), (_, second))| (name, first + second))
                    .collect(),
            ),
            gradients: add(self.gradients, next.gradients)?,
            buffers: add(self.buffers, next.buffers)?,
        })
    }

    /// The sum of what all processes have.
    pub(super) fn over(self, workers: &Workers) -> Result<Self> {
        if workers.size() == 1 {
            return Ok(self);
        }
        let (loss, parts) = self.values;
        let (names, parts): (Vec<String>, Vec<f64>) = parts.into_iter().unzip();
        let values = [vec![loss], parts].concat();
        let mut tensors = vec![Tensor::new(values, &Device::Cpu)?];
        let gradients = self.gradients.len();
        tensors.extend(self.gradients);
        tensors.extend(self.buffers);
        let mut sums = workers.sum_all(tensors)?.into_iter();
        let values = sums.next().map(|values| values.to_vec1::<f64>());
        let mut values = values.transpose()?.unwrap_or_default().into_iter();
        Ok(Self {
            values: (
                values.next().unwrap_or_default(),
                names.into_iter().zip(values).collect(),
            ),
            gradients: sums.by_ref().take(gradients).collect(),
            buffers: sums.collect(),
        })
    }
}
