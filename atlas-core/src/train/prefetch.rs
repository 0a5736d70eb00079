//! Batches that are read before a step needs them.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::batches::EpochBatches;
use super::dataset::Dataset;
use super::shards::{Shard, Sharding};
use crate::error::Result;

/// Batches that are ready before the step needs them.
const READY: usize = 2;

/// A batch: the indices of its examples, and those of this process's shards.
pub(super) struct Batch<I> {
    pub(super) indices: Vec<u32>,
    pub(super) shards: Vec<(Shard, Vec<I>)>,
}

/// Runs `train` on the batches of an epoch after the first `done`. Another thread reads them, and of
/// each batch the shards of this process alone.
pub(super) fn with_batches<I: Send, R>(
    batches: &EpochBatches,
    done: usize,
    sharding: &Sharding,
    data: &dyn Dataset<I>,
    train: impl FnOnce(Receiver<Result<Batch<I>>>) -> R,
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(READY);
        scope.spawn(move || {
            for indices in batches.iter().skip(done) {
                let shards = sharding.own_shards(indices.len()).map(|shard| {
                    let examples = data.read(&indices[shard.places.clone()])?;
                    Ok((shard, examples))
                });
                let batch = shards.collect::<Result<_>>().map(|shards| Batch {
                    indices: indices.to_vec(),
                    shards,
                });
                // Nobody listens once training has stopped.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        });
        train(receiver)
    })
}
