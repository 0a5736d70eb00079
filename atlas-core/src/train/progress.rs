//! How far a run is, and its checkpoint.

use std::time::Duration;

use atlas_core::{Checkpoint, Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::report::{EpochReport, Stopped};
use super::run::Done;

/// The value of a checkpoint that is training's own.
const TRAINING: &str = "training";
const MEAN: &str = "mean/";
const SQUARE: &str = "square/";

/// How far a run is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Course {
    /// The epoch under way, from 1.
    pub(super) epoch: usize,
    /// The batches of it that are done.
    pub(super) batches: usize,
    /// Steps in all.
    pub(super) steps: u64,
    /// Time in steps.
    pub(super) elapsed: Duration,
    /// What it was when the epoch began.
    begun: Duration,
    /// Sums over the epoch's examples.
    examples: usize,
    loss: f64,
    parts: Vec<(String, f64)>,
    /// Why the run ended, if it did.
    pub(super) stopped: Option<Stopped>,
}

impl Default for Course {
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

impl Course {
    /// Counts a step of so many examples.
    pub(super) fn add(&mut self, done: &Done, examples: usize, time: Duration) {
        self.batches += 1;
        self.steps += 1;
        self.elapsed += time;
        self.examples += examples;
        self.loss += done.loss * examples as f64;
        for (name, value) in &done.parts {
            let value = value * examples as f64;
            match self.parts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value,
                None => self.parts.push(((*name).to_owned(), value)),
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
        match self.batches {
            0 => self.epoch - 1,
            _ => self.epoch,
        }
    }
}

/// How far a run was when its checkpoint was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Steps in all.
    pub steps: u64,
    /// The epoch under way, from 1; the one after the last where all are done.
    pub epoch: usize,
    /// Why the run ended, if it did.
    pub stopped: Option<Stopped>,
}

impl Reached {
    /// What a checkpoint that [`Training::checkpoint`](super::Training::checkpoint) made says.
    ///
    /// # Errors
    /// If it was made by something else.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let course = course_of(state_of(checkpoint)?)?;
        Ok(Self {
            steps: course.steps,
            epoch: course.epoch,
            stopped: course.stopped,
        })
    }
}

fn state_of(checkpoint: &Checkpoint) -> Result<&Value> {
    checkpoint
        .value(TRAINING)
        .ok_or_else(|| Error::new("the checkpoint is not one of training"))
}

fn course_of(state: &Value) -> Result<Course> {
    Course::deserialize(&state["course"])
        .map_err(|error| Error::new(format_args!("the checkpoint's course: {error}")))
}

/// The state of training: the run, its course, and the optimiser's moments by variable.
pub(super) fn store<'a>(
    run: Value,
    course: &Course,
    moments: impl Iterator<Item = (&'a str, (&'a Tensor, &'a Tensor))>,
) -> Result<Checkpoint> {
    let course = serde_json::to_value(course).map_err(Error::new)?;
    let state = json!({ "run": run, "course": course });
    let mut checkpoint = Checkpoint::new().with_value(TRAINING, state);
    for (name, (mean, square)) in moments {
        // The optimiser goes on to change its own in place.
        checkpoint = checkpoint
            .with_tensor(format!("{MEAN}{name}"), mean.copy()?)
            .with_tensor(format!("{SQUARE}{name}"), square.copy()?);
    }
    Ok(checkpoint)
}

/// The course of a run and the moments of these variables; an error says all in which the
/// checkpoint is of another run.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    run: &Value,
    vars: &[&str],
) -> Result<(Course, Vec<(Tensor, Tensor)>)> {
    let state = state_of(checkpoint)?;
    let mut differences = Vec::new();
    for (name, given) in run.as_object().into_iter().flatten() {
        compare(name, &state["run"][name], given, &mut differences);
    }
    let known = |name: &str| {
        let name = name.strip_prefix(MEAN).or(name.strip_prefix(SQUARE));
        name.is_some_and(|name| vars.contains(&name))
    };
    for (name, _) in checkpoint.tensors().filter(|(name, _)| !known(name)) {
        differences.push(format!("`{name}`: there is no such variable to train"));
    }
    let mut moments = Vec::new();
    for name in vars {
        let moment = |kind| checkpoint.tensor(&format!("{kind}{name}")).cloned();
        match moment(MEAN).zip(moment(SQUARE)) {
            Some(pair) => moments.push(pair),
            None => differences.push(format!("`{name}`: the checkpoint has no moments of it")),
        }
    }
    if !differences.is_empty() {
        return Err(Error::new(format_args!(
            "the checkpoint is of another run:\n  {}",
            differences.join("\n  ")
        )));
    }
    Ok((course_of(state)?, moments))
}

/// Notes every value in which a stored run differs from the given one.
fn compare(name: &str, stored: &Value, given: &Value, differences: &mut Vec<String>) {
    match (stored, given) {
        (Value::Object(stored), Value::Object(given)) => {
            for (member, given) in given {
                let stored = stored.get(member).unwrap_or(&Value::Null);
                compare(&format!("{name}.{member}"), stored, given, differences);
            }
        }
        _ if stored == given => {}
        _ => differences.push(format!("`{name}` = {given}; it was begun with {stored}")),
    }
}
