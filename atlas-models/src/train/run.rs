//! The training loop.

use std::time::{Duration, Instant};

use atlas_core::{AnyModel, Error, Loss, Objective, Params, Result, Step};
use candle_core::{DType, Tensor, Var};

use super::adamw::AdamW;
use super::gradients;
use super::params::TrainParams;
use crate::data::Batches;

/// One run of training.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// How the model is trained.
    pub params: TrainParams,
    /// What the order of the examples and the model's own draws depend on.
    pub seed: u64,
    /// Time after which training ends, evaluation and saving not counted. The learning rate then
    /// follows whichever is further on, time or epochs, so that it ends low.
    pub max_time: Option<Duration>,
    /// Weights of the loss that are not to have their defaults.
    pub weights: Vec<(String, f64)>,
    /// What messages call the examples: the line of each in its file.
    pub rows: &'a [usize],
}

/// What goes on around the loop: progress, evaluation, saving.
pub trait Observer<M: ?Sized> {
    /// Told of every step.
    ///
    /// # Errors
    /// An error ends training.
    fn on_step(&mut self, model: &M, step: &StepReport) -> Result<Control>;

    /// Told of every epoch, also of the one that the end of the time cuts short.
    ///
    /// # Errors
    /// An error ends training.
    fn on_epoch(&mut self, model: &mut M, epoch: &EpochReport) -> Result<Control>;
}

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It does.
    Continue,
    /// It ends here.
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
    pub parts: Vec<(&'static str, f64)>,
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
    pub parts: Vec<(&'static str, f64)>,
    /// Examples a second in this epoch.
    pub examples_per_second: f64,
    /// Time in steps so far.
    pub elapsed: Duration,
    /// Whether training ends with this epoch.
    pub is_last: bool,
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All epochs were done.
    Finished,
    /// The time was up.
    TimeUp,
    /// The observer stopped it.
    Interrupted,
}

/// What training came to.
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

/// Trains the variables of `model` that are not frozen.
///
/// On one machine and number of threads, equal models, examples and runs without a time limit
/// give equal models, to the bit.
///
/// # Errors
/// If a parameter is outside its constraint, there is nothing to train or to train on, a weight
/// is not one of the objective's, a variable receives no gradient, or a loss or gradient is not
/// finite; the message of the last names the step and the rows of its batch. The model's
/// variables are then where the last good step left them.
pub fn train<M>(
    model: &mut M,
    examples: &[M::Example],
    run: &Run,
    observer: &mut dyn Observer<M>,
) -> Result<Outcome>
where
    M: ?Sized + AnyModel + Objective,
{
    let mut training = Training::new(model, examples, run)?;
    for epoch in 1..=run.params.epochs {
        let stopped = training.epoch(model, examples, epoch, observer)?;
        if let Some(stopped) = stopped {
            return Ok(training.outcome(epoch, stopped));
        }
    }
    Ok(training.outcome(run.params.epochs, Stopped::Finished))
}

/// Where a run of training is.
struct Training<'a> {
    run: &'a Run<'a>,
    vars: Vec<(String, Var)>,
    optimiser: AdamW,
    batches: Batches,
    steps: u64,
    elapsed: Duration,
}

impl<'a> Training<'a> {
    fn new<M>(model: &M, examples: &[M::Example], run: &'a Run<'a>) -> Result<Self>
    where
        M: ?Sized + AnyModel + Objective,
    {
        run.params
            .validate()
            .map_err(|error| error.within("training"))?;
        check_weights(model.weights(), &run.weights)?;
        if examples.is_empty() {
            return Err(Error::new("there is nothing to train on"));
        }
        let vars = model.trainable_vars();
        if vars.is_empty() {
            return Err(Error::new(
                "there is nothing to train: every network is frozen, or the model was loaded for inference",
            ));
        }
        let sizes = examples.iter().map(|example| model.size(example)).collect();
        let optimiser = AdamW::new(
            vars.iter().map(|(_, var)| var.clone()).collect(),
            run.params.adamw.clone(),
        )?;
        let batches = Batches::new(sizes, run.params.batch, run.seed);
        Ok(Self {
            run,
            vars,
            optimiser,
            batches,
            steps: 0,
            elapsed: Duration::ZERO,
        })
    }

    fn epoch<M>(
        &mut self,
        model: &mut M,
        examples: &[M::Example],
        epoch: usize,
        observer: &mut dyn Observer<M>,
    ) -> Result<Option<Stopped>>
    where
        M: ?Sized + AnyModel + Objective,
    {
        let mut means = Means::default();
        let begun = self.elapsed;
        let mut stopped = (epoch == self.run.params.epochs).then_some(Stopped::Finished);
        for (index, batch) in self.batches.epoch(epoch as u64).iter().enumerate() {
            let start = Instant::now();
            let done = self.step(model, examples, batch)?;
            self.elapsed += start.elapsed();
            means.add(&done, batch.len());
            let report = StepReport {
                epoch,
                epochs: self.run.params.epochs,
                step_in_epoch: index + 1,
                steps_per_epoch: self.batches.per_epoch(),
                step: self.steps,
                examples: batch.len(),
                loss: done.loss,
                parts: done.parts,
                learning_rate: done.rate,
                gradient_norm: done.norm,
                elapsed: self.elapsed,
                progress: self.progress(),
                examples_per_second: means.examples as f64
                    / (self.elapsed - begun).as_secs_f64().max(1e-9),
            };
            if observer.on_step(model, &report)? == Control::Stop {
                return Ok(Some(Stopped::Interrupted));
            }
            if self.run.max_time.is_some_and(|most| self.elapsed >= most) {
                stopped = Some(Stopped::TimeUp);
                break;
            }
        }
        let report = EpochReport {
            epoch,
            epochs: self.run.params.epochs,
            steps: self.steps,
            loss: means.loss(),
            parts: means.parts(),
            examples_per_second: means.examples as f64
                / (self.elapsed - begun).as_secs_f64().max(1e-9),
            elapsed: self.elapsed,
            is_last: stopped.is_some(),
        };
        match observer.on_epoch(model, &report)? {
            Control::Stop => Ok(stopped.or(Some(Stopped::Interrupted))),
            Control::Continue => Ok(stopped),
        }
    }

    fn step<M>(&mut self, model: &M, examples: &[M::Example], batch: &[usize]) -> Result<Done>
    where
        M: ?Sized + AnyModel + Objective,
    {
        let rate = self.run.params.rate(self.steps, self.progress());
        let chosen: Vec<&M::Example> = batch.iter().map(|&index| &examples[index]).collect();
        let mut context = Step::training(step_seed(self.run.seed, self.steps));
        for (name, weight) in &self.run.weights {
            context = context.with_weight(name, *weight);
        }
        let Loss { total, parts } = model.loss(&chosen, &mut context)?;
        let loss = scalar(&total)?;
        if !loss.is_finite() {
            return Err(self.not_finite(format!("the loss is {loss}"), batch));
        }
        let mut store = total.backward()?;
        let gradients = gradients::take(&self.vars, &mut store)?;
        let norm = gradients::norm(&gradients)?;
        if !norm.is_finite() {
            let names = gradients::not_finite(&self.vars, &gradients)?;
            return Err(self.not_finite(
                format!("the gradient of {} is not finite", names.join(", ")),
                batch,
            ));
        }
        let scale = (self.run.params.clip_norm / norm).min(1.0);
        self.optimiser.step(&gradients, rate, scale)?;
        self.steps += 1;
        let parts = parts
            .iter()
            .map(|(name, part)| Ok((*name, scalar(part)?)))
            .collect::<Result<_>>()?;
        Ok(Done {
            loss,
            parts,
            rate,
            norm,
        })
    }

    /// How far training is, from 0 to 1.
    fn progress(&self) -> f64 {
        let steps = self.run.params.epochs as f64 * self.batches.per_epoch() as f64;
        let by_steps = self.steps as f64 / steps.max(1.0);
        let by_time = self.run.max_time.map_or(0.0, |most| {
            self.elapsed.as_secs_f64() / most.as_secs_f64().max(1e-9)
        });
        by_steps.max(by_time).min(1.0)
    }

    fn not_finite(&self, what: String, batch: &[usize]) -> Error {
        let rows: Vec<String> = batch
            .iter()
            .map(|&index| {
                self.run
                    .rows
                    .get(index)
                    .map_or_else(|| format!("#{index}"), usize::to_string)
            })
            .collect();
        Error::new(format_args!(
            "step {}: {what}; the model is as step {} left it; the batch holds the rows {}",
            self.steps + 1,
            self.steps,
            rows.join(", ")
        ))
    }

    fn outcome(&self, epochs: usize, stopped: Stopped) -> Outcome {
        Outcome {
            steps: self.steps,
            epochs,
            elapsed: self.elapsed,
            stopped,
        }
    }
}

/// What a step came to.
struct Done {
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    rate: f64,
    norm: f64,
}

/// Means over the examples of an epoch.
#[derive(Default)]
struct Means {
    examples: usize,
    loss: f64,
    parts: Vec<(&'static str, f64)>,
}

impl Means {
    fn add(&mut self, done: &Done, examples: usize) {
        self.examples += examples;
        self.loss += done.loss * examples as f64;
        for (name, value) in &done.parts {
            match self.parts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value * examples as f64,
                None => self.parts.push((name, value * examples as f64)),
            }
        }
    }

    fn loss(&self) -> f64 {
        self.loss / self.examples.max(1) as f64
    }

    fn parts(&self) -> Vec<(&'static str, f64)> {
        self.parts
            .iter()
            .map(|(name, sum)| (*name, sum / self.examples.max(1) as f64))
            .collect()
    }
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

fn check_weights(known: &[atlas_core::Weight], given: &[(String, f64)]) -> Result<()> {
    let names: Vec<&str> = known.iter().map(|weight| weight.name).collect();
    for (name, value) in given {
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
        if !value.is_finite() || *value < 0.0 {
            return Err(Error::new(format_args!(
                "weight `{name}` = {value}: expected a finite number from 0"
            )));
        }
    }
    Ok(())
}
