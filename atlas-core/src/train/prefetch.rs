//! Batches that are read before a step needs them.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use atlas_core::Result;

use crate::data::{Epoch, Examples};

/// Batches that are ready before the step needs them.
const AHEAD: usize = 2;

/// A batch and where it comes from.
pub(super) struct Batch<E> {
    pub(super) indices: Vec<u32>,
    pub(super) examples: Vec<E>,
}

/// Runs `train` on the batches of an epoch that are not done yet, which another thread reads ahead.
pub(super) fn with_batches<E: Send, R>(
    order: &Epoch,
    done: usize,
    examples: &dyn Examples<E>,
    train: impl FnOnce(Receiver<Result<Batch<E>>>) -> R,
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            for indices in order.iter().skip(done) {
                let batch = examples.read(indices).map(|examples| Batch {
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
