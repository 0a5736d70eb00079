//! Counters of a run (epochs, steps, examples, seconds), which its checkpoints keep.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::report::{EpochReport, Stopped};
use super::step::StepOutcome;

/// How far a run is. Checkpoints hold it as JSON: the names of the fields do not change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// The epoch under way, from 1.
    pub(super) epoch: usize,
    /// The batches of it that are done.
    pub(super) batches: usize,
    /// Steps in all.
    pub(super) steps: u64,
    /// Time in steps.
    pub(super) elapsed: Duration,
    /// The time in steps when the epoch began.
    begun: Duration,
    /// The epoch's examples so far.
    examples: usize,
    /// The sum of their losses.
    loss: f64,
    /// The sums of the losses' parts.
    parts: Vec<(String, f64)>,
    /// Why the run ended, if it did.
    pub(super) stopped: Option<Stopped>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            epoch: 1,
            batches: 0,
            steps: 0,
            elapsed: Duration::ZERO,
            begun: Duration::ZERO,
            examples: 0,
            loss: 0.0,
            parts: Vec::new(),
            stopped: None,
        }
    }
}

impl Progress {
    /// Counts a step of so many examples.
    pub(super) fn add(&mut self, step: &StepOutcome, examples: usize, time: Duration) {
        self.batches += 1;
        self.steps += 1;
        self.elapsed += time;
        self.examples += examples;
        self.loss += step.loss * examples as f64;
        for (name, value) in &step.parts {
            let value = value * examples as f64;
            match self.parts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value,
                None => self.parts.push((name.clone(), value)),
            }
        }
    }

    pub(super) fn examples_per_second(&self) -> f64 {
        let seconds = (self.elapsed - self.begun).as_secs_f64();
        self.examples as f64 / seconds.max(1e-9)
    }

    pub(super) fn epoch_report(&self, epochs: usize, stopped: Option<Stopped>) -> EpochReport {
        let examples = self.examples.max(1) as f64;
        let mean = |(name, sum): &(String, f64)| (name.clone(), sum / examples);
        EpochReport {
            epoch: self.epoch,
            epochs,
            steps: self.steps,
            loss: self.loss / examples,
            parts: self.parts.iter().map(mean).collect(),
            examples_per_second: self.examples_per_second(),
            elapsed: self.elapsed,
            is_last: stopped.is_some(),
        }
    }

    /// Goes to the beginning of the next epoch.
    pub(super) fn end_epoch(&mut self, stopped: Option<Stopped>) {
        *self = Self {
            epoch: self.epoch + 1,
            steps: self.steps,
            elapsed: self.elapsed,
            begun: self.elapsed,
            stopped,
            ..Self::default()
        };
    }

    /// Epochs that were begun.
    pub(super) fn epochs_begun(&self) -> usize {
        if self.batches == 0 {
            self.epoch - 1
        } else {
            self.epoch
        }
    }
}
