//! Turns a run (settings, progress, the optimiser's moments) into a [`Checkpoint`] and back.

use std::time::Duration;

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::TrainParams;
use super::progress::Progress;
use super::report::Stopped;
use super::run::{LIMITS, Run};
use crate::bundle;
use crate::error::{Error, Problem, Result};
use crate::params::{ParamValue, Params};
use crate::snapshot::Checkpoint;
use crate::tensors::Tensors;

/// The value of a checkpoint that is training's own. It has two members, `run` and `course`.
const TRAINING: &str = "training";
/// What the names of the moments begin with; the variable's name follows.
const MEAN: &str = "mean/";
const SQUARE: &str = "square/";

/// How far a run was when its checkpoint was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointSummary {
    /// Steps in all.
    pub steps: u64,
    /// The epoch under way, from 1; the one after the last where all are done.
    pub epoch: usize,
    /// Time in steps.
    pub elapsed: Duration,
    /// Why the run ended, if it did.
    pub stopped: Option<Stopped>,
}

impl CheckpointSummary {
    /// What a checkpoint that [`Training::checkpoint`](super::Training::checkpoint) made says.
    ///
    /// # Errors
    /// If it was made by something else.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let progress = progress_of(state_of(checkpoint)?)?;
        Ok(Self {
            steps: progress.steps,
            epoch: progress.epoch,
            elapsed: progress.elapsed,
            stopped: progress.stopped,
        })
    }

    /// Why the run cannot [`extend`](super::extend) to the limits of `run`: the `epochs` or the
    /// `max_time` that it has reached. Empty if it can.
    pub fn limit_problems(&self, run: &Run) -> Vec<Problem> {
        let mut problems = Vec::new();
        let epochs = run.params.epochs;
        if epochs < self.epoch {
            let expected = format!(
                "expected at least {}, as the run has done {}",
                self.epoch,
                self.epoch - 1
            );
            problems.push(Problem::new("epochs", expected).with_found(epochs.to_string()));
        }
        if let Some(limit) = run.max_time.filter(|limit| *limit <= self.elapsed) {
            let expected = format!(
                "expected more than the {:.1} s that the run has trained for",
                self.elapsed.as_secs_f64()
            );
            let found = format!("{} s", limit.as_secs_f64());
            problems.push(Problem::new("max_time", expected).with_found(found));
        }
        problems
    }
}

fn state_of(checkpoint: &Checkpoint) -> Result<&Value> {
    checkpoint
        .value(TRAINING)
        .ok_or_else(|| Error::new("the checkpoint is not one of training"))
}

fn progress_of(state: &Value) -> Result<Progress> {
    Progress::deserialize(&state["course"])
        .map_err(|error| Error::other(error).within("the progress in the checkpoint"))
}

/// A checkpoint of a run, its progress, and the optimiser's moments by variable, for a model of these
/// tensors.
pub(super) fn store<'a>(
    run: Value,
    progress: &Progress,
    tensors: &Tensors,
    moments: impl Iterator<Item = (&'a str, (&'a Tensor, &'a Tensor))>,
) -> Result<Checkpoint> {
    let progress = serde_json::to_value(progress).map_err(Error::other)?;
    let state = json!({ "run": run, "course": progress, "weights": bundle::digest(tensors)? });
    let mut checkpoint = Checkpoint::new().with_value(TRAINING, state);
    for (name, (mean, square)) in moments {
        // The optimiser goes on to change its own in place.
        checkpoint = checkpoint
            .with_tensor(format!("{MEAN}{name}"), mean.copy()?)
            .with_tensor(format!("{SQUARE}{name}"), square.copy()?);
    }
    Ok(checkpoint)
}

/// The progress of `run` and the moments of its variables `vars`, for a model of these tensors. The
/// limits of the run may be others than it was begun with if it is `extended`.
///
/// # Errors
/// If the checkpoint is of another run; the message says all that differs.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    run: &Value,
    tensors: &Tensors,
    vars: &[&str],
    extended: bool,
) -> Result<(Progress, Vec<(Tensor, Tensor)>)> {
    let state = state_of(checkpoint)?;
    let mut differences = Vec::new();
    // Checkpoints of earlier versions do not say it.
    if let Some(weights) = state["weights"].as_str()
        && weights != bundle::digest(tensors)?
    {
        let why = "the model has other weights than it was made with: load both from one bundle";
        differences.push(why.to_owned());
    }
    let mut begun = state["run"].clone();
    // A parameter that the checkpoint lacks had its default.
    if let Ok(params) = TrainParams::from_overrides(&begun["params"]) {
        begun["params"] = params.to_json();
    }
    if extended {
        for limit in LIMITS {
            if let Some((begun, given)) = begun.pointer_mut(limit).zip(run.pointer(limit)) {
                *begun = given.clone();
            }
        }
    }
    for (name, given) in run.as_object().into_iter().flatten() {
        compare(name, &begun[name], given, &mut differences);
    }
    let known = |name: &str| {
        let name = name.strip_prefix(MEAN).or(name.strip_prefix(SQUARE));
        name.is_some_and(|name| vars.contains(&name))
    };
    for (name, _) in checkpoint.tensors().filter(|(name, _)| !known(name)) {
        differences.push(format!(
            "`{name}`: there is no such variable to train, or it is frozen now"
        ));
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
    Ok((progress_of(state)?, moments))
}

/// Notes every value that the run was not begun with.
fn compare(name: &str, begun: &Value, given: &Value, differences: &mut Vec<String>) {
    match (begun, given) {
        (Value::Object(begun), Value::Object(given)) => {
            for (member, given) in given {
                let begun = begun.get(member).unwrap_or(&Value::Null);
                compare(&format!("{name}.{member}"), begun, given, differences);
            }
        }
        _ if begun == given => {}
        _ => differences.push(format!(
            "`{name}` = {given}: the run was begun with {begun}"
        )),
    }
}
