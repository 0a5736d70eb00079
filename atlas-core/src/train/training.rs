//! The loop: a model, its data and its progress, moved on step by step.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use candle_core::{Tensor, Var};
use serde_json::Value;

use super::adamw::AdamW;
use super::batches::Batches;
use super::buffers::Buffers;
use super::checkpoint::{self, CheckpointSummary};
use super::dataset::Dataset;
use super::prefetch::{Batch, with_batches};
use super::progress::Progress;
use super::report::{Control, EpochReport, Outcome, StepReport, Stopped};
use super::run::Run;
use super::shards::{Shard, ShardSum, Sharding};
use super::step::{self, Failure};
use crate::bundle;
use crate::error::{Error, Report, Result};
use crate::interface::{LossWeight, Objective, Step};
use crate::model::AnyModel;
use crate::random;
use crate::snapshot::Checkpoint;
use crate::tensors::Tensors;

/// Trains the variables of `model` that are not frozen.
///
/// The loss of the first step is computed twice, from one seed, and must be the same: a model that
/// draws from elsewhere could not be had again. Buffers, such as the running statistics of a batch
/// norm, are the model's own to move; those that are frozen stay as they are.
///
/// Equal models, examples and runs without a time limit give equal models on one machine, to the
/// bit and on any number of threads, as far as the model's operations do. Processors with other
/// vector instructions round otherwise.
///
/// # Several processes
/// Where the run has [`workers`](Run::workers), each process calls this with an equal model, examples and
/// run, and an observer of its own. Each reads and computes its part of every batch's
/// [`shards`](super::TrainParams::shards); each ends with the same model, to the bit the one that a
/// single process makes of as many shards. A time limit follows the clock of process 0. What an
/// observer does is its own, such as saving in process 0 alone; where one stops training, all stop
/// after the same step.
///
/// # Errors
/// If a parameter is outside its constraint, there is nothing to train or to train on, a weight
/// is not one of the objective's, the model cannot represent an example, the first step depends on
/// more than its seed, a variable gets no gradient, processes differ or cannot be reached, or a loss,
/// a part of it, a gradient, a buffer, or a variable after a step is not finite. The message of the
/// last names the step, the examples of its batch and the last good checkpoint. The variables are then as the
/// last good step left them, unless the message says that the model is lost: the optimiser had begun
/// to move them.
pub fn train<M: ?Sized + AnyModel + Objective<Input: Send>>(
    model: &mut M,
    data: &dyn Dataset<M::Input>,
    run: &Run,
    observer: &mut dyn Observer<M>,
) -> Result<Outcome> {
    Training::new(model, data, run)?.go_on(model, data, observer)
}

/// Goes on with a run whose `checkpoint` was made by [`Training::checkpoint`] together with
/// `model`: the result is the one that the run would have had if it had never stopped.
///
/// # Errors
/// If the checkpoint is of another run, of other weights or variables, or another number of
/// examples, with everything that differs; and where [`train`] fails.
pub fn resume<M: ?Sized + AnyModel + Objective<Input: Send>>(
    model: &mut M,
    data: &dyn Dataset<M::Input>,
    run: &Run,
    checkpoint: &Checkpoint,
    observer: &mut dyn Observer<M>,
) -> Result<Outcome> {
    let mut training = Training::new(model, data, run)?;
    training.restore(checkpoint, false)?;
    training.go_on(model, data, observer)
}

/// Goes on with a run, ended or not, to other limits than it was begun with: to the `epochs` and the
/// `max_time` of `run`, both counted from the beginning.
///
/// The schedules are those of the whole run: at half of the new epochs a cosine is at half of its
/// height, so that the learning rate of a run that has ended rises again, to where the longer run
/// would have it. Moments, seeds and the order of the examples go on. After an epoch that the time
/// limit cut short comes the next one.
///
/// # Errors
/// If the run has [reached](CheckpointSummary::limit_problems) these limits, and where [`resume`]
/// fails.
pub fn extend<M: ?Sized + AnyModel + Objective<Input: Send>>(
    model: &mut M,
    data: &dyn Dataset<M::Input>,
    run: &Run,
    checkpoint: &Checkpoint,
    observer: &mut dyn Observer<M>,
) -> Result<Outcome> {
    let mut training = Training::new(model, data, run)?;
    let problems = CheckpointSummary::of(checkpoint)?.limit_problems(run);
    Report::from_iter(problems).into_result(Error::params)?;
    training.restore(checkpoint, true)?;
    training.progress.stopped = None;
    training.go_on(model, data, observer)
}

/// An error unless every example has a weight that is a finite number above zero.
fn check_weights<I>(data: &dyn Dataset<I>, weights: &[f64]) -> Result<()> {
    if weights.len() != data.len() {
        return Err(Error::new(format_args!(
            "{} weights for {} examples",
            weights.len(),
            data.len()
        )));
    }
    let wrong = weights
        .iter()
        .position(|weight| !(*weight > 0.0 && weight.is_finite()));
    match wrong {
        None => Ok(()),
        Some(index) => Err(Error::new(format_args!(
            "the weight {} of {} is not a finite number above zero",
            weights[index],
            data.name(index as u32)
        ))),
    }
}

/// Follows a run: shows progress, evaluates, saves, or stops it. `()` is one that does nothing.
pub trait Observer<M: ?Sized> {
    /// Told once, before the first step. `training` is at the beginning of the run, or at the
    /// checkpoint that it goes on from.
    ///
    /// # Errors
    /// An error ends training.
    fn on_start(&mut self, _model: &mut M, _training: &Training<'_>) -> Result<()> {
        Ok(())
    }

    /// Told of every step, after it. A checkpoint that `training` makes now goes on with the next
    /// step.
    ///
    /// # Errors
    /// An error ends training.
    fn on_step(
        &mut self,
        _model: &mut M,
        _step: &StepReport,
        _training: &Training<'_>,
    ) -> Result<Control> {
        Ok(Control::Continue)
    }

    /// Told of every epoch, after it, also of one that the time limit cuts short. A checkpoint that
    /// `training` makes now goes on with the next epoch.
    ///
    /// # Errors
    /// An error ends training.
    fn on_epoch(
        &mut self,
        _model: &mut M,
        _epoch: &EpochReport,
        _training: &Training<'_>,
    ) -> Result<Control> {
        Ok(Control::Continue)
    }

    /// Told where training stops because the observer of another process stopped it, after
    /// [`on_step`](Self::on_step) or [`on_epoch`](Self::on_epoch) has wanted to go on.
    ///
    /// # Errors
    /// An error ends training.
    fn on_stop(&mut self, _model: &mut M, _training: &Training<'_>) -> Result<()> {
        Ok(())
    }

    /// What messages call the last good checkpoint, if there is one.
    fn last_checkpoint(&self) -> Option<String> {
        None
    }
}

impl<M: ?Sized> Observer<M> for () {}

/// A run of training that is under way.
pub struct Training<'a> {
    run: &'a Run,
    weights: Vec<LossWeight>,
    vars: Vec<(String, Var)>,
    buffers: Buffers,
    /// All tensors of the model, by their full names.
    tensors: Tensors,
    /// Whether a step has been shown to depend on its seed alone.
    is_repeatable: bool,
    optimiser: AdamW,
    batches: Batches,
    sharding: Sharding,
    examples: usize,
    progress: Progress,
}

impl<'a> Training<'a> {
    fn new<M: ?Sized + AnyModel + Objective>(
        model: &M,
        data: &dyn Dataset<M::Input>,
        run: &'a Run,
    ) -> Result<Self> {
        let weights = model.weights();
        run.check(&weights)?;
        let sharding = Sharding::new(run.params.shards, &run.workers)?;
        if data.is_empty() {
            return Err(Error::new("there is nothing to train on"));
        }
        if u32::try_from(data.len()).is_err() {
            return Err(Error::new(format_args!("more than {} examples", u32::MAX)));
        }
        let vars = model.trainable_vars();
        if vars.is_empty() {
            return Err(Error::new(
                "there is nothing to train: every network is frozen, or the model was loaded for inference and not with \
                 `LoadOptions::trainable(true)`",
            ));
        }
        let sizes = data.sizes(&|example| model.size(example))?;
        let optimiser = AdamW::new(
            vars.iter().map(|(_, var)| var.clone()).collect(),
            run.params.adamw.clone(),
        )?;
        let networks = model.networks().iter();
        let tensors = networks.flat_map(|network| {
            let tensors = network.tensors();
            tensors.map(|(name, tensor)| (format!("{}/{name}", network.name()), tensor.detach()))
        });
        let mut batches = Batches::new(&sizes, run.params.batch, run.seed);
        if let Some(weights) = data.weights()? {
            check_weights(data, &weights)?;
            batches = batches.weighted(&weights);
        }
        Ok(Self {
            run,
            weights,
            vars,
            tensors: tensors.collect(),
            buffers: Buffers::of(model),
            is_repeatable: false,
            optimiser,
            batches,
            sharding,
            examples: data.len(),
            progress: Progress::default(),
        })
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// Time in steps so far.
    pub fn elapsed(&self) -> Duration {
        self.progress.elapsed
    }

    /// What the result depends on beside the model and the examples themselves, for the model's
    /// provenance: `params` with every default, `seed`, `max_seconds`, `weights` of every part of
    /// the loss, the number of `examples`.
    pub fn record(&self) -> Value {
        self.run.record(&self.weights, self.examples)
    }

    /// What it takes, beside the model, to [`resume`] from here: the run, the optimiser's moments
    /// and steps, the place in the epoch, the sums of its losses. The draws of a step and the
    /// order of an epoch depend on nothing but the run's seed and their number.
    ///
    /// # Errors
    /// If there is no memory for a copy of the moments.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let names = self.vars.iter().map(|(name, _)| name.as_str());
        let moments = names.zip(self.optimiser.moments());
        checkpoint::store(self.record(), &self.progress, &self.tensors, moments)
    }

    fn restore(&mut self, checkpoint: &Checkpoint, extended: bool) -> Result<()> {
        let names: Vec<&str> = self.vars.iter().map(|(name, _)| name.as_str()).collect();
        let record = self.record();
        let (progress, moments) =
            checkpoint::restore(checkpoint, &record, &self.tensors, &names, extended)?;
        self.optimiser.restore(progress.steps, &moments)?;
        self.progress = progress;
        Ok(())
    }

    fn go_on<M: ?Sized + AnyModel + Objective<Input: Send>>(
        mut self,
        model: &mut M,
        data: &dyn Dataset<M::Input>,
        observer: &mut dyn Observer<M>,
    ) -> Result<Outcome> {
        observer.on_start(model, &self)?;
        self.check_processes()?;
        let stopped = loop {
            if let Some(stopped) = self.progress.stopped {
                break stopped;
            }
            if let Some(stopped) = self.epoch(model, data, observer)? {
                break stopped;
            }
        };
        Ok(Outcome {
            steps: self.progress.steps,
            epochs: self.progress.epochs_begun(),
            elapsed: self.progress.elapsed,
            stopped,
        })
    }

    /// One epoch, or what is left of it; why training ends, if it does.
    fn epoch<M: ?Sized + AnyModel + Objective<Input: Send>>(
        &mut self,
        model: &mut M,
        data: &dyn Dataset<M::Input>,
        observer: &mut dyn Observer<M>,
    ) -> Result<Option<Stopped>> {
        let batches = self.batches.epoch(self.progress.epoch as u64);
        let (done, sharding) = (self.progress.batches, self.sharding.clone());
        let stopped = with_batches(&batches, done, &sharding, data, |batches| {
            self.take_steps(model, batches, data, observer)
        })?;
        if stopped == Some(Stopped::Interrupted) {
            return Ok(stopped);
        }
        let is_last = self.progress.epoch >= self.run.params.epochs;
        let stopped = stopped.or(is_last.then_some(Stopped::Finished));
        let report = self.progress.epoch_report(self.run.params.epochs, stopped);
        self.progress.end_epoch(stopped);
        let control = observer.on_epoch(model, &report, self)?;
        let is_stop = self.is_stopped(control, model, observer)?;
        self.check_processes()?;
        Ok(stopped.or(is_stop.then_some(Stopped::Interrupted)))
    }

    /// Whether the observer of any process stops training, where this process's says `control`.
    fn is_stopped<M: ?Sized>(
        &self,
        control: Control,
        model: &mut M,
        observer: &mut dyn Observer<M>,
    ) -> Result<bool> {
        let is_stopped = self.run.workers.any(control == Control::Stop)?;
        if is_stopped && control == Control::Continue {
            observer.on_stop(model, self)?;
        }
        Ok(is_stopped)
    }

    /// An error unless every process is at the same place of the same run.
    fn check_processes(&self) -> Result<()> {
        if self.run.workers.size() == 1 {
            return Ok(());
        }
        self.run.workers.check_equal(&[
            ("the version of Atlas", env!("CARGO_PKG_VERSION").as_bytes()),
            ("the run", self.record().to_string().as_bytes()),
            ("the examples", self.batches.digest().as_bytes()),
            ("the weights", bundle::digest(&self.tensors)?.as_bytes()),
            ("the steps so far", &self.progress.steps.to_le_bytes()),
        ])
    }

    fn take_steps<M: ?Sized + AnyModel + Objective>(
        &mut self,
        model: &mut M,
        batches: Receiver<Result<Batch<M::Input>>>,
        data: &dyn Dataset<M::Input>,
        observer: &mut dyn Observer<M>,
    ) -> Result<Option<Stopped>> {
        for batch in batches {
            let batch = batch?;
            let report = self.step(model, &batch).map_err(|failure| {
                let names = batch.indices.iter().map(|&index| data.name(index));
                self.error(failure, names.collect(), observer.last_checkpoint())
            })?;
            let control = observer.on_step(model, &report, self)?;
            if self.is_stopped(control, model, observer)? {
                return Ok(Some(Stopped::Interrupted));
            }
            let elapsed = self.progress.elapsed;
            if self.run.max_time.is_some_and(|limit| elapsed >= limit) {
                return Ok(Some(Stopped::TimeUp));
            }
        }
        Ok(None)
    }

    fn step<M: ?Sized + AnyModel + Objective>(
        &mut self,
        model: &M,
        batch: &Batch<M::Input>,
    ) -> Result<StepReport, Failure> {
        let start = Instant::now();
        let params = &self.run.params;
        let share = self.share();
        let learning_rate = params.rate(self.progress.steps, share);
        let kept = self.buffers.copies()?;
        let sum = self.sum_of_shards(model, &batch.shards, &kept);
        let outcome = sum.and_then(|sum| {
            let sum = sum.over(&self.run.workers)?;
            self.buffers.restore(&sum.buffers)?;
            self.buffers.restore_frozen(&kept)?;
            self.buffers.check()?;
            step::take(
                sum,
                &self.vars,
                &mut self.optimiser,
                learning_rate,
                params.clip_norm,
            )
        });
        if outcome.is_err() {
            self.buffers.restore(&kept)?;
        }
        let outcome = outcome?;
        self.is_repeatable = true;
        let examples = batch.indices.len();
        let time = self.agreed(start.elapsed())?;
        self.progress.add(&outcome, examples, time);
        Ok(StepReport {
            epoch: self.progress.epoch,
            epochs: params.epochs,
            step_in_epoch: self.progress.batches,
            steps_per_epoch: self.batches.per_epoch(),
            step: self.progress.steps,
            examples,
            loss: outcome.loss,
            parts: outcome.parts,
            learning_rate,
            gradient_norm: outcome.gradient_norm,
            elapsed: self.progress.elapsed,
            progress: self.share(),
            examples_per_second: self.progress.examples_per_second(),
        })
    }

    /// What these shards add up to. The buffers are then anything between `kept` and their sum.
    fn sum_of_shards<M: ?Sized + AnyModel + Objective>(
        &self,
        model: &M,
        shards: &[(Shard, Vec<M::Input>)],
        kept: &[Tensor],
    ) -> Result<ShardSum, Failure> {
        let [(shard, examples)] = shards else {
            let (first, second) = shards.split_at(shards.len() / 2);
            let first = self.sum_of_shards(model, first, kept)?;
            let second = self.sum_of_shards(model, second, kept)?;
            return Ok(first.plus(second)?);
        };
        let context = self.context(shard);
        let is_first = self.sharding.is_first(shard);
        let expected = if self.is_repeatable || !is_first {
            None
        } else {
            let first = step::evaluate(model, examples, context.clone())?;
            Some(first.values)
        };
        self.buffers.restore(kept)?;
        let loss = step::evaluate(model, examples, context)?;
        let (values, gradients) =
            step::differentiate(loss, expected.as_ref(), &self.vars, shard.share)?;
        let buffers = if self.sharding.is_whole() {
            Vec::new()
        } else {
            self.buffers.part_of(shard)?
        };
        Ok(ShardSum {
            values,
            gradients,
            buffers,
        })
    }

    /// The step of training that a shard is evaluated in. Every step and shard has a seed of its
    /// own, so that its draws do not depend on those before it.
    fn context(&self, shard: &Shard) -> Step {
        let mut numbers = vec![self.run.seed, self.progress.steps];
        if !self.sharding.is_whole() {
            numbers.push(shard.number as u64);
        }
        let mut context = Step::training(random::seed("Atlas 1 seed of a training step", &numbers));
        let (annealing, share) = (&self.run.params.annealing, self.share());
        for weight in &self.weights {
            let value = self.run.weight(weight) * annealing.share(&weight.name, share);
            context = context.with_weight(weight.name.clone(), value);
        }
        context
    }

    /// The time of process 0 where the run depends on it.
    fn agreed(&self, time: Duration) -> Result<Duration> {
        if self.run.max_time.is_none() {
            return Ok(time);
        }
        let seconds = self.run.workers.number_of_first(time.as_secs_f64())?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or(time))
    }

    /// The share of training that is done, from 0 to 1.
    fn share(&self) -> f64 {
        let steps = self.run.params.epochs as f64 * self.batches.per_epoch() as f64;
        let by_steps = self.progress.steps as f64 / steps.max(1.0);
        let by_time = self.run.max_time.map_or(0.0, |limit| {
            self.progress.elapsed.as_secs_f64() / limit.as_secs_f64().max(1e-9)
        });
        by_steps.max(by_time).min(1.0)
    }

    /// What is said of a step that failed on the examples of these names.
    fn error(&self, failure: Failure, names: Vec<String>, checkpoint: Option<String>) -> Error {
        let steps = self.progress.steps;
        let what = match failure {
            Failure::Error(error) => return error,
            Failure::NotFinite(what) => format!("{what}; the model is as step {steps} left it"),
            Failure::ModelLost(what) => format!("{what}; the model is lost"),
        };
        let checkpoint = checkpoint.map_or(String::new(), |checkpoint| {
            format!("; the last good checkpoint is {checkpoint}")
        });
        Error::new(format_args!(
            "step {}: {what}{checkpoint}; the batch holds the rows {}",
            steps + 1,
            names.join(", ")
        ))
    }
}
