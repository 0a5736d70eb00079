//! Batches that are read before a step needs them.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::batches::EpochBatches;
use super::dataset::Dataset;
use crate::error::Result;

/// Batches that are ready before the step needs them.
const READY: usize = 2;

/// The examples of a batch, and their indices.
pub(super) struct Batch<I> {
    pub(super) indices: Vec<u32>,
    pub(super) examples: Vec<I>,
}

/// Runs `train` on the batches of an epoch after the first `done`. Another thread reads them.
pub(super) fn with_batches<I: Send, R>(
    batches: &EpochBatches,
    done: usize,
    data: &dyn Dataset<I>,
    train: impl FnOnce(Receiver<Result<Batch<I>>>) -> R,
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(READY);
        scope.spawn(move || {
            for indices in batches.iter().skip(done) {
                let batch = data.read(indices).map(|examples| Batch {
                    indices: indices.to_vec(),
                    examples,
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
