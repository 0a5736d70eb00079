//! The training loop.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use atlas_core::params::ParamValue;
use atlas_core::{AnyModel, Checkpoint, Error, Loss, Objective, Params, Result, Step, Weight};
use candle_core::{DType, Tensor, Var};
use serde_json::{Map, Value, json};

use super::adamw::AdamW;
use super::ahead::{Batch, with_batches};
use super::course::{self, Course};
use super::gradients;
use super::params::TrainParams;
use super::report::{Control, Observer, Outcome, StepReport, Stopped};
use crate::data::{Batches, Examples};

/// One run of training.
#[derive(Clone, Debug)]
pub struct Run {
    /// How the model is trained.
    pub params: TrainParams,
    /// What the order of the examples and the model's own draws depend on.
    pub seed: u64,
    /// Time after which training ends, evaluation and saving not counted. The schedules then
    /// follow whichever is further on, time or epochs, so that they reach their end, and the model
    /// depends on how fast the machine is.
    pub max_time: Option<Duration>,
    /// Weights of the loss that are not to have their defaults.
    pub weights: Vec<(String, f64)>,
}

impl Run {
    /// What a part of the loss weighs in this run, before annealing.
    pub fn weight(&self, weight: &Weight) -> f64 {
        let mut given = self.weights.iter().rev();
        let set = given.find(|(name, _)| name == weight.name);
        set.map_or(weight.default, |(_, value)| *value)
    }
}

/// Trains the variables of `model` that are not frozen.
///
/// Equal models, examples and runs without a time limit give equal models on one machine, to the
/// bit and on any number of threads, as far as the model's operations do. Processors with other
/// vector instructions round otherwise.
///
/// # Errors
/// If a parameter is outside its constraint, there is nothing to train or to train on, a weight
/// is not one of the objective's, a variable receives no gradient, or a loss, a part of it, a
/// gradient or a variable after a step is not finite; the message of the last names the step, the
/// rows of its batch and the last good checkpoint. The model's variables are then where the last
/// good step left them, unless it was the optimiser's step that made one not finite.
pub fn train<M>(
    model: &mut M,
    examples: &dyn Examples<M::Example>,
    run: &Run,
    observer: &mut dyn Observer<M>,
) -> Result<Outcome>
where
    M: ?Sized + AnyModel + Objective,
    M::Example: Send,
{
    Training::new(model, examples, run)?.go_on(model, examples, observer)
}

/// Goes on with a run whose `checkpoint` was made by [`Training::checkpoint`] together with
/// `model`: the result is the one that the run would have had if it had never stopped.
///
/// # Errors
/// As [`train`]; if the checkpoint is of another run, other variables or another number of
/// examples, with everything that differs.
pub fn resume<M>(
    model: &mut M,
    examples: &dyn Examples<M::Example>,
    run: &Run,
    checkpoint: &Checkpoint,
    observer: &mut dyn Observer<M>,
) -> Result<Outcome>
where
    M: ?Sized + AnyModel + Objective,
    M::Example: Send,
{
    let mut training = Training::new(model, examples, run)?;
    training.restore(checkpoint)?;
    training.go_on(model, examples, observer)
}

/// Where a run of training is.
pub struct Training<'a> {
    run: &'a Run,
    weights: &'static [Weight],
    vars: Vec<(String, Var)>,
    optimiser: AdamW,
    batches: Batches,
    examples: usize,
    course: Course,
}

impl<'a> Training<'a> {
    fn new<M>(model: &M, examples: &dyn Examples<M::Example>, run: &'a Run) -> Result<Self>
    where
        M: ?Sized + AnyModel + Objective,
    {
        run.params
            .validate()
            .map_err(|error| error.within("training"))?;
        let weights = model.weights();
        check_weights(weights, run)?;
        if examples.is_empty() {
            return Err(Error::new("there is nothing to train on"));
        }
        if u32::try_from(examples.len()).is_err() {
            let most = u32::MAX;
            return Err(Error::new(format_args!("more than {most} examples")));
        }
        let vars = model.trainable_vars();
        if vars.is_empty() {
            return Err(Error::new(
                "there is nothing to train: every network is frozen, or the model was loaded for inference",
            ));
        }
        let sizes = examples.sizes(&|example| model.size(example))?;
        let optimiser = AdamW::new(
            vars.iter().map(|(_, var)| var.clone()).collect(),
            run.params.adamw.clone(),
        )?;
        Ok(Self {
            run,
            weights,
            vars,
            optimiser,
            batches: Batches::new(sizes, run.params.batch, run.seed),
            examples: examples.len(),
            course: Course::default(),
        })
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.course.steps
    }

    /// Time in steps so far.
    pub fn elapsed(&self) -> Duration {
        self.course.elapsed
    }

    /// What the result depends on beside the model and the examples themselves, for the model's
    /// provenance: `params` with every default, `seed`, `max_seconds`, `weights` of every part of
    /// the loss, the number of `examples`.
    pub fn record(&self) -> Value {
        let weights = self.weights.iter();
        let weights: Map<String, Value> = weights
            .map(|weight| (weight.name.to_owned(), json!(self.run.weight(weight))))
            .collect();
        json!({
            "params": ParamValue::to_json(&self.run.params),
            "seed": self.run.seed,
            "max_seconds": self.run.max_time.map(|time| time.as_secs_f64()),
            "weights": weights,
            "examples": self.examples,
        })
    }

    /// What it takes, beside the model, to [`resume`] from here: the run, the optimiser's moments
    /// and steps, the place in the epoch, the sums of its losses. The draws of a step and the
    /// order of an epoch depend on nothing but the run's seed and their number.
    ///
    /// # Errors
    /// If there is no memory for a copy of the moments.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let names = self.vars.iter().map(|(name, _)| name.as_str());
        course::store(
            self.record(),
            &self.course,
            names.zip(self.optimiser.moments()),
        )
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let names: Vec<&str> = self.vars.iter().map(|(name, _)| name.as_str()).collect();
        let (course, moments) = course::restore(checkpoint, &self.record(), &names)?;
        self.optimiser.restore(course.steps, &moments)?;
        self.course = course;
        Ok(())
    }

    fn go_on<M>(
        mut self,
        model: &mut M,
        examples: &dyn Examples<M::Example>,
        observer: &mut dyn Observer<M>,
    ) -> Result<Outcome>
    where
        M: ?Sized + AnyModel + Objective,
        M::Example: Send,
    {
        observer.on_start(model, &self)?;
        let stopped = loop {
            if let Some(stopped) = self.course.stopped {
                break stopped;
            }
            if let Some(stopped) = self.epoch(model, examples, observer)? {
                break stopped;
            }
        };
        Ok(Outcome {
            steps: self.course.steps,
            epochs: self.course.epochs_begun(),
            elapsed: self.course.elapsed,
            stopped,
        })
    }

    /// One epoch, or what is left of it; why training ends, if it does.
    fn epoch<M>(
        &mut self,
        model: &mut M,
        examples: &dyn Examples<M::Example>,
        observer: &mut dyn Observer<M>,
    ) -> Result<Option<Stopped>>
    where
        M: ?Sized + AnyModel + Objective,
        M::Example: Send,
    {
        let order = self.batches.epoch(self.course.epoch as u64);
        let (done, steps) = (self.course.batches, order.len());
        let stopped = with_batches(&order, done, examples, |batches| {
            self.take_steps(model, steps, batches, examples, observer)
        })?;
        if stopped == Some(Stopped::Interrupted) {
            return Ok(stopped);
        }
        let is_last = self.course.epoch >= self.run.params.epochs;
        let stopped = stopped.or(is_last.then_some(Stopped::Finished));
        let report = self.course.epoch_report(self.run.params.epochs, stopped);
        self.course.end_epoch(stopped);
        match observer.on_epoch(model, &report, self)? {
            Control::Stop => Ok(stopped.or(Some(Stopped::Interrupted))),
            Control::Continue => Ok(stopped),
        }
    }

    fn take_steps<M>(
        &mut self,
        model: &mut M,
        steps_per_epoch: usize,
        batches: Receiver<Result<Batch<M::Example>>>,
        examples: &dyn Examples<M::Example>,
        observer: &mut dyn Observer<M>,
    ) -> Result<Option<Stopped>>
    where
        M: ?Sized + AnyModel + Objective,
    {
        for batch in batches {
            let batch = batch?;
            let start = Instant::now();
            let done = self
                .step(model, &batch.examples)
                .map_err(|failure| failure.into_error(&self.course, &batch, examples, observer))?;
            self.course
                .add(&done, batch.examples.len(), start.elapsed());
            let report = StepReport {
                epoch: self.course.epoch,
                epochs: self.run.params.epochs,
                step_in_epoch: self.course.batches,
                steps_per_epoch,
                step: self.course.steps,
                examples: batch.examples.len(),
                loss: done.loss,
                parts: done.parts,
                learning_rate: done.rate,
                gradient_norm: done.norm,
                elapsed: self.course.elapsed,
                progress: self.progress(),
                examples_per_second: self.course.examples_per_second(),
            };
            if observer.on_step(model, &report, self)? == Control::Stop {
                return Ok(Some(Stopped::Interrupted));
            }
            let elapsed = self.course.elapsed;
            if self.run.max_time.is_some_and(|most| elapsed >= most) {
                return Ok(Some(Stopped::TimeUp));
            }
        }
        Ok(None)
    }

    fn step<M>(&mut self, model: &M, batch: &[M::Example]) -> Result<Done, Failure>
    where
        M: ?Sized + AnyModel + Objective,
    {
        let progress = self.progress();
        let rate = self.run.params.rate(self.course.steps, progress);
        let chosen: Vec<&M::Example> = batch.iter().collect();
        let mut context = Step::training(step_seed(self.run.seed, self.course.steps));
        for weight in self.weights {
            context = context.with_weight(weight.name, self.weight(weight, progress));
        }
        let Loss { total, parts } = model.loss(&chosen, &mut context)?;
        let loss = scalar(&total)?;
        let parts: Vec<(&'static str, f64)> = parts
            .iter()
            .map(|(name, part)| Ok((*name, scalar(part)?)))
            .collect::<Result<_>>()?;
        check_loss(loss, &parts)?;
        let mut store = total.backward().map_err(Error::from)?;
        let gradients = gradients::take(&self.vars, &mut store)?;
        let norm = gradients::norm(&gradients)?;
        if !norm.is_finite() {
            let names = gradients::not_finite(&self.vars, &gradients)?.join(", ");
            let what = format!("the gradient of {names} is not finite");
            return Err(Failure::NotFinite(what));
        }
        let scale = (self.run.params.clip_norm / norm).min(1.0);
        let not_finite = self.optimiser.step(&gradients, rate, scale)?;
        if !not_finite.is_empty() {
            let names: Vec<&str> = not_finite
                .iter()
                .map(|&index| self.vars[index].0.as_str())
                .collect();
            return Err(Failure::Ruined(format!(
                "the optimiser's step at a learning rate of {rate} left {} not finite",
                names.join(", ")
            )));
        }
        Ok(Done {
            loss,
            parts,
            rate,
            norm,
        })
    }

    /// The weight of a part of the loss, `progress` of the way through training.
    fn weight(&self, weight: &Weight, progress: f64) -> f64 {
        self.run.weight(weight) * self.run.params.annealing.share(weight.name, progress)
    }

    /// How far training is, from 0 to 1.
    fn progress(&self) -> f64 {
        let steps = self.run.params.epochs as f64 * self.batches.per_epoch() as f64;
        let by_steps = self.course.steps as f64 / steps.max(1.0);
        let by_time = self.run.max_time.map_or(0.0, |most| {
            self.course.elapsed.as_secs_f64() / most.as_secs_f64().max(1e-9)
        });
        by_steps.max(by_time).min(1.0)
    }
}

/// Why a step could not be taken.
enum Failure {
    Error(Error),
    /// What is not finite; the model is as it was.
    NotFinite(String),
    /// What the model no longer is.
    Ruined(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    fn into_error<M: ?Sized, E>(
        self,
        course: &Course,
        batch: &Batch<E>,
        examples: &dyn Examples<E>,
        observer: &dyn Observer<M>,
    ) -> Error {
        let what = match self {
            Self::Error(error) => return error,
            Self::NotFinite(what) => {
                format!("{what}; the model is as step {} left it", course.steps)
            }
            Self::Ruined(what) => format!("{what}; the model is lost"),
        };
        let rows: Vec<String> = batch
            .indices
            .iter()
            .map(|&row| examples.name(row))
            .collect();
        let checkpoint = observer.last_checkpoint().map_or(String::new(), |last| {
            format!("; the last good checkpoint is {last}")
        });
        Error::new(format_args!(
            "step {}: {what}{checkpoint}; the batch holds the rows {}",
            course.steps + 1,
            rows.join(", ")
        ))
    }
}

/// A failure unless the loss and all its parts are finite: what is not is named.
fn check_loss(loss: f64, parts: &[(&str, f64)]) -> Result<(), Failure> {
    let not_finite = |name: &str, value: f64| match value.is_finite() {
        true => None,
        false => Some(format!("{name} is {value}")),
    };
    let part = |(name, value): &(&str, f64)| not_finite(&format!("its part `{name}`"), *value);
    let whole = not_finite("the loss", loss).into_iter();
    let found: Vec<String> = whole.chain(parts.iter().filter_map(part)).collect();
    match found.is_empty() {
        true => Ok(()),
        false if loss.is_finite() => {
            let found = found.join(", ");
            Err(Failure::NotFinite(format!(
                "the loss is {loss}, but {found}"
            )))
        }
        false => Err(Failure::NotFinite(found.join(", "))),
    }
}

/// What a step came to.
pub(super) struct Done {
    pub(super) loss: f64,
    pub(super) parts: Vec<(&'static str, f64)>,
    rate: f64,
    norm: f64,
}

/// Each step's draws have a seed of their own, so that they do not depend on the steps before.
fn step_seed(seed: u64, step: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("Atlas 1 seed of a training step");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&step.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}

/// An error unless every weight that is given or annealed is one of the objective's.
fn check_weights(known: &[Weight], run: &Run) -> Result<()> {
    let names: Vec<&str> = known.iter().map(|weight| weight.name).collect();
    let annealed = run.params.annealing.weights.iter();
    for name in run.weights.iter().map(|(name, _)| name).chain(annealed) {
        if !names.contains(&name.as_str()) {
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(Error::new(format_args!(
                "the objective has no weight `{name}`; it has {names}"
            )));
        }
    }
    match run
        .weights
        .iter()
        .find(|(_, value)| !value.is_finite() || *value < 0.0)
    {
        None => Ok(()),
        Some((name, value)) => Err(Error::new(format_args!(
            "weight `{name}` = {value}: expected a finite number from 0"
        ))),
    }
}
