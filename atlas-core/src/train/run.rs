//! [`Run`]: what belongs to one run and not to the method: its seed, its time limit, the weights of
//! the loss, the processes that take part.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::params::TrainParams;
use super::workers::Workers;
use crate::error::{Error, Result};
use crate::interface::LossWeight;
use crate::params::ParamValue;

/// What of [`Run::record`] a run can be extended by, as JSON pointers.
pub(super) const LIMITS: [&str; 2] = ["/params/epochs", "/max_seconds"];

/// The settings of one run of training.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// How the model is trained.
    pub params: TrainParams,
    /// What the order of the examples and the model's own draws depend on.
    pub seed: u64,
    /// Time after which training ends; evaluation and saving do not count. With a limit the
    /// schedules follow time or epochs, whichever is further on, so that they reach their end. The
    /// model then depends on how fast the machine is.
    pub max_time: Option<Duration>,
    /// Weights of the loss that do not have their defaults, by name.
    pub weights: Vec<(String, f64)>,
    /// The processes that share the shards of each batch.
    pub workers: Workers,
}

impl Run {
    /// What a part of the loss is multiplied by in this run, before annealing.
    pub fn weight(&self, weight: &LossWeight) -> f64 {
        weight.value(&self.weights)
    }

    /// What the result depends on beside the model and the examples themselves.
    pub(super) fn record(&self, weights: &[LossWeight], examples: usize) -> Value {
        let weights: Map<String, Value> = weights
            .iter()
            .map(|weight| (weight.name.to_string(), json!(self.weight(weight))))
            .collect();
        json!({
            "params": ParamValue::to_json(&self.params),
            "seed": self.seed,
            "max_seconds": self.max_time.map(|time| time.as_secs_f64()),
            "weights": weights,
            "examples": examples,
        })
    }

    /// What is wrong with the weights that are set or annealed, a line for each; `weights` are those
    /// that the loss has.
    pub fn weight_problems(&self, weights: &[LossWeight]) -> Vec<String> {
        let names: Vec<&str> = weights.iter().map(|weight| &*weight.name).collect();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        let mut problems = Vec::new();
        let set = self.weights.iter().map(|(name, _)| name);
        for name in set.chain(&self.params.annealing.weights) {
            if !names.contains(&name.as_str()) {
                problems.push(format!("the loss has no weight `{name}`; it has {known}"));
            }
        }
        for (name, value) in &self.weights {
            if !value.is_finite() || *value < 0.0 {
                problems.push(format!(
                    "weight `{name}` = {value}: expected a finite number from 0"
                ));
            }
        }
        problems
    }

    /// # Errors
    /// If a parameter is outside its constraint, or there is a problem with the weights.
    pub(super) fn check(&self, weights: &[LossWeight]) -> Result<()> {
        use crate::Params as _;
        self.params
            .validate()
            .map_err(|error| error.within("training"))?;
        let problems = self.weight_problems(weights);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::new(problems.join("\n")))
        }
    }
}
