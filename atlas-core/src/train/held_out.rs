//! [`mean_loss`]: what the loss is of examples that the model is not trained on.

use super::dataset::Dataset;
use super::run::Run;
use super::step;
use crate::error::{Error, Result};
use crate::interface::{Objective, Step};

/// The mean loss of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanLoss {
    /// The mean of what is minimised.
    pub loss: f64,
    /// The means of its parts, before their weights.
    pub parts: Vec<(String, f64)>,
}

/// The mean loss of examples as an [evaluation](Step::evaluation): without dropout and noise, and
/// with the weights that `run` ends with. Training is not moved by it.
///
/// # Errors
/// If there is no example, one cannot be read, or the model cannot represent one.
pub fn mean_loss<M: ?Sized + Objective>(
    model: &M,
    data: &dyn Dataset<M::Input>,
    run: &Run,
) -> Result<MeanLoss> {
    let weights = model.weights().into_iter();
    let evaluation = weights.fold(Step::evaluation(), |step, weight| {
        let value = run.weight(&weight);
        step.with_weight(weight.name, value)
    });
    let indices: Vec<u32> = (0..data.len() as u32).collect();
    let mut sum: Option<MeanLoss> = None;
    for indices in indices.chunks(run.params.batch.max(1)) {
        let batch = data.read(indices)?;
        let (loss, parts) = step::evaluate(model, &batch, evaluation.clone())?.values;
        let share = indices.len() as f64 / data.len() as f64;
        let sum = sum.get_or_insert_with(|| MeanLoss {
            loss: 0.0,
            parts: parts.iter().map(|(name, _)| (name.clone(), 0.0)).collect(),
        });
        sum.loss += loss * share;
        for ((_, sum), (_, part)) in sum.parts.iter_mut().zip(parts) {
            *sum += part * share;
        }
    }
    sum.ok_or_else(|| Error::new("there is no example to evaluate"))
}
