//! How much of the data a run sees within its limits, measured on this machine, and the size of model
//! that can be trained on so much.

use std::time::Duration;

use atlas_core::train::{self, Control, Dataset, Observer, Run, StepReport, TrainParams, Training};
use atlas_core::{CreateOptions, RegisteredModel, Result};
use serde_json::Value;

use super::Args;
use super::settings::Settings;
use crate::cli::Models;
use crate::cli::parameters::{by_dotted_names, merge};
use crate::cli::terminal::text::{clock, count, grouped, short};
use crate::data::Molecules;
use crate::models::MoleculeAutoencoder;

/// Steps that it takes to learn the molecules of a file such as QM9. After 1,028 steps 54, 83 and
/// 91 % of held-out ones came back from 0.25, 0.71 and 1.36 million weights, after 3,084 99.4 % from
/// the fewest.
const STEPS: f64 = 3000.0;
/// Steps that are worth a warning.
const FEW_STEPS: f64 = 500.0;
/// Work, as [`atlas_core::Objective::size`] counts it (tokens), that a weight takes to be trained.
const WORK_PER_WEIGHT: f64 = 3.0;
/// The learning rate of models that are smaller than usual. With a third of it 0.5 % came back from
/// the fewest weights, where 54 % do.
const LEARNING_RATE: f64 = 3e-3;
/// The most epochs that a time limit is filled with: after so many there is little left to learn.
const MOST_EPOCHS: usize = 400;
/// Molecules that are drawn to measure the speed.
const SAMPLE: usize = 4096;
/// Time to measure the speed in, beside the first step, and the fewest steps.
const MEASURED: (Duration, usize) = (Duration::from_millis(500), 3);

/// What is trained: whichever model the registry gives.
type Model = dyn MoleculeAutoencoder;

/// What training a model costs on this machine.
struct Cost {
    molecules_per_second: f64,
    /// The mean work of a molecule.
    work: f64,
    weights: f64,
}

/// What a run with a time limit trains.
pub struct Budget {
    /// The parameters that do not have their defaults.
    pub overrides: Value,
    /// The size, where it is smaller than usual.
    pub size: Option<Value>,
    /// Molecules that the run sees until the time is over; each counts as often as it is seen.
    pub molecules: f64,
    molecules_per_second: f64,
}

impl Budget {
    /// Picks the largest size of `model` that the time of `run` is enough for, unless the command
    /// says what size it has. `None` if the model can represent none of the molecules.
    ///
    /// # Errors
    /// If a model cannot be created, or a step fails.
    pub fn new(
        args: &Args,
        run: &Run,
        models: &Models,
        model: &RegisteredModel<dyn MoleculeAutoencoder>,
        overrides: &Value,
        data: &Molecules,
        processes: usize,
    ) -> Result<Option<Self>> {
        let time = run.max_time.unwrap_or(Duration::MAX).as_secs_f64();
        let in_epochs = run.params.epochs as f64 * data.len() as f64;
        let mut picked = None;
        for size in sizes(args, model, overrides) {
            let overrides = size
                .as_ref()
                .map_or(overrides.clone(), |size| with(overrides, size));
            let options = CreateOptions::new().seed(run.seed);
            let mut candidate = models.create(model.name(), &overrides, options)?;
            let Some(cost) = Cost::measure(&mut *candidate, data, run)? else {
                break;
            };
            // Each process is as fast as this one.
            let molecules_per_second = cost.molecules_per_second * processes as f64;
            let molecules = molecules_per_second * time;
            let is_enough = cost.is_met(molecules.min(in_epochs), run);
            if !is_enough && picked.is_some() {
                break;
            }
            picked = Some(Self {
                overrides,
                size,
                molecules,
                molecules_per_second,
            });
            if !is_enough {
                break;
            }
        }
        Ok(picked)
    }

    /// Makes the settings those of the size and of as many epochs as there is time for, unless the
    /// command sets them.
    pub fn settle(&self, args: &Args, settings: &mut Settings, epochs: usize, data: &Molecules) {
        if self.size.is_some() {
            settings.suggest("learning_rate", LEARNING_RATE, args);
        }
        if args.data.file.is_some() {
            // Some more than fit, so that the time ends the run and not its epochs.
            let fitting = (1.25 * self.molecules / data.len() as f64).ceil() as usize;
            settings.suggest("epochs", fitting.min(MOST_EPOCHS).max(epochs), args);
        }
    }

    /// What is to be said of the size and the time.
    pub fn notes(&self, limit: Duration, data: &Molecules) -> Vec<String> {
        let limit = clock(limit);
        let size = self.size.as_ref().map(|size| {
            let set = by_dotted_names(size).into_iter();
            let set = set.map(|(name, value)| format!("{name}={value}"));
            let set = set.collect::<Vec<_>>().join(", ");
            format!("the size of model that {limit} can train: {set}; --set sets another")
        });
        let epochs = self.molecules / data.len() as f64;
        let part = (epochs < 1.0).then(|| {
            format!(
                "{limit} are {} % of an epoch, at about {} molecules a second; all of it takes \
                 --max-minutes {}",
                short(100.0 * epochs),
                grouped(self.molecules_per_second.round() as usize),
                short(data.len() as f64 / self.molecules_per_second / 60.0)
            )
        });
        size.into_iter().chain(part).collect()
    }
}

/// The sizes to choose from, from the smallest; `None` is the one of the overrides alone.
fn sizes(
    args: &Args,
    model: &RegisteredModel<dyn MoleculeAutoencoder>,
    overrides: &Value,
) -> Vec<Option<Value>> {
    let sizes = model.sizes();
    let mut names = sizes.iter().flat_map(by_dotted_names);
    let is_said = args.model.from.is_some()
        || args.data.file.is_none()
        || names.any(|(name, _)| {
            let pointer = format!("/{}", name.replace('.', "/"));
            overrides.pointer(&pointer).is_some()
        });
    let declared = sizes.iter().filter(|_| !is_said).cloned().map(Some);
    declared.chain([None]).collect()
}

/// What is to be said of a run of fewer steps than any model learns from, which sees so many
/// molecules in its time.
pub fn check_steps(run: &Run, data: &Molecules, in_time: Option<f64>) -> Option<String> {
    let epochs = run.params.epochs as f64 * data.len() as f64;
    let in_time = in_time.unwrap_or(f64::INFINITY);
    let steps = (epochs.min(in_time) / run.params.batch as f64).ceil();
    let flag = if in_time < epochs {
        "--max-minutes"
    } else {
        "--epochs"
    };
    (steps < FEW_STEPS).then(|| {
        format!(
            "{} in all: hardly a model learns from so few; a larger {flag} gives more, or a smaller \
             --batch",
            count(steps as usize, "step")
        )
    })
}

fn with(overrides: &Value, size: &Value) -> Value {
    let mut overrides = overrides.clone();
    if let Value::Object(size) = size.clone() {
        merge(&mut overrides, size);
    }
    overrides
}

impl Cost {
    /// Trains the model for half a second or some steps. `None` if it can represent none of the molecules.
    fn measure(model: &mut Model, data: &Molecules, run: &Run) -> Result<Option<Self>> {
        let mut sample = data.sample(SAMPLE, run.seed);
        sample.keep_representable(model)?;
        if sample.is_empty() {
            return Ok(None);
        }
        let sizes = sample.sizes(&|smiles| model.size(smiles))?;
        let params = TrainParams {
            epochs: usize::MAX,
            batch: run.params.batch,
            ..Default::default()
        };
        let trial = Run {
            params,
            ..Default::default()
        };
        let mut watch = Stopwatch::default();
        train::train(model, &sample, &trial, &mut watch)?;
        let networks = model.networks().iter();
        Ok(Some(Self {
            molecules_per_second: watch.rate(),
            work: sizes.iter().sum::<usize>() as f64 / sizes.len() as f64,
            weights: networks.map(|network| network.elements()).sum::<usize>() as f64,
        }))
    }

    /// Whether so many molecules are enough to train the model.
    fn is_met(&self, molecules: f64, run: &Run) -> bool {
        molecules >= STEPS * run.params.batch as f64
            && molecules * self.work >= WORK_PER_WEIGHT * self.weights
    }
}

/// Measures the steps after the first, which is evaluated twice.
#[derive(Default)]
struct Stopwatch {
    last: Duration,
    time: Duration,
    /// Molecules a second of each step.
    rates: Vec<f64>,
}

impl Stopwatch {
    /// The rate that half of the steps reach: other work on the machine can hold up a few.
    fn rate(mut self) -> f64 {
        self.rates.sort_by(f64::total_cmp);
        self.rates.get(self.rates.len() / 2).copied().unwrap_or(0.0)
    }
}

impl<M: ?Sized> Observer<M> for Stopwatch {
    fn on_step(&mut self, _: &mut M, step: &StepReport, _: &Training<'_>) -> Result<Control> {
        let time = step.elapsed - self.last;
        self.last = step.elapsed;
        if step.step > 1 {
            self.time += time;
            self.rates
                .push(step.examples as f64 / time.as_secs_f64().max(1e-9));
        }
        let (enough, steps) = MEASURED;
        if self.time >= enough && self.rates.len() >= steps {
            return Ok(Control::Stop);
        }
        Ok(Control::Continue)
    }
}
