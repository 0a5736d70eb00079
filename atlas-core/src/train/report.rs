//! What an observer is told of training, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Training goes on.
    Continue,
    /// Training ends here.
    Stop,
}

/// One step of training.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// The step within the epoch, from 1.
    pub step_in_epoch: usize,
    /// Steps in an epoch.
    pub steps_per_epoch: usize,
    /// The step in all, from 1.
    pub step: u64,
    /// Examples in the batch.
    pub examples: usize,
    /// The loss that was minimised, averaged over the batch's examples.
    pub loss: f64,
    /// Its parts, before their weights.
    pub parts: Vec<(String, f64)>,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// Length of the gradient before it was clipped.
    pub gradient_norm: f64,
    /// Time in steps so far.
    pub elapsed: Duration,
    /// How far training is, from 0 to 1, by epochs or time.
    pub progress: f64,
    /// Examples a second in this epoch so far.
    pub examples_per_second: f64,
}

/// One epoch of training.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Steps so far, in all.
    pub steps: u64,
    /// The mean loss of the epoch's examples.
    pub loss: f64,
    /// The means of its parts.
    pub parts: Vec<(String, f64)>,
    /// Examples a second in this epoch.
    pub examples_per_second: f64,
    /// Time in steps so far.
    pub elapsed: Duration,
    /// Whether training ends with this epoch.
    pub is_last: bool,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// All epochs were done.
    Finished,
    /// The time limit was reached.
    TimeUp,
    /// The observer stopped it.
    Interrupted,
}

/// How far training got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Steps that were taken.
    pub steps: u64,
    /// Epochs that were begun.
    pub epochs: usize,
    /// Time in steps.
    pub elapsed: Duration,
    /// Why it ended.
    pub stopped: Stopped,
}
