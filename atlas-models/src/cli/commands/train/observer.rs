//! What is done while a model trains: progress shown, metrics written, evaluated, saved.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atlas_core::{Checkpoint, Error, Result};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Args;
use super::metrics_file::MetricsFile;
use super::plan::Plan;
use super::run_folder::RunFolder;
use super::settings::Settings;
use super::tensorboard::EventFile;
use crate::cli::drawing::curves;
use crate::cli::failure::Failure;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::{clock, grouped, percent, short};
use crate::cli::terminal::{interrupt, output, progress};
use crate::cli::training_note::{TRAINING, TrainedOn, TrainingNote, scores_json};
use crate::data::SharedMolecules;
use crate::metrics::{Reconstruction, reconstruction};
use crate::models::MoleculeAutoencoder;
use atlas_core::train::{
    Control, EpochReport, MeanLoss, Observer, StepReport, Training, mean_loss,
};

/// Held-out molecules that are evaluated after every epoch; after the last one all are.
const SAMPLE: usize = 256;
/// The share of a step's loss in the one that the bar shows.
const SMOOTHING: f64 = 0.05;
/// A longer time left is a guess.
const LONGEST_LEFT: Duration = Duration::from_secs(999 * 3600);

/// What a checkpoint holds of the command, beside what training itself keeps in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    pub settings: Settings,
    pub trained_on: TrainedOn,
    /// An object for each epoch.
    curve: Vec<Value>,
    saved: Option<SavedEpoch>,
    /// The length of `metrics.jsonl`.
    metrics_bytes: u64,
}

/// The name of [`RunState`] in a checkpoint.
const RUN_STATE: &str = "command";

impl RunState {
    fn begin(plan: &Plan) -> Self {
        Self {
            settings: plan.settings.clone(),
            trained_on: plan.trained_on.clone(),
            curve: Vec::new(),
            saved: None,
            metrics_bytes: 0,
        }
    }

    /// # Errors
    /// If the checkpoint was made by something else.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let state = checkpoint
            .value(RUN_STATE)
            .ok_or_else(|| Error::new("it was not made by `atlas train`"))?;
        serde_json::from_value(state.clone()).map_err(Error::other)
    }
}

/// The epoch whose model is in the bundle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedEpoch {
    pub epoch: usize,
    pub loss: f64,
    /// `None` if no molecules are held out.
    pub held_out: Option<Reconstruction>,
    /// Of molecules made of building blocks that training lacks, once training has ended.
    #[serde(default)]
    pub of_held_out_blocks: Option<Reconstruction>,
}

/// What a model made of held-out molecules.
pub struct HeldOutScores {
    pub reconstruction: Reconstruction,
    /// The loss, without noise.
    pub mean: MeanLoss,
    /// Of molecules made of building blocks that training lacks.
    pub of_held_out_blocks: Option<Reconstruction>,
}

/// What training tells of its steps and epochs.
pub struct TrainingObserver<'a> {
    plan: &'a Plan,
    state: RunState,
    /// Opened once there is a checkpoint that they belong to.
    metrics: Option<MetricsFile>,
    wants_events: bool,
    events: Option<EventFile>,
    /// The step of the last checkpoint, and when it was made, as time in training.
    checkpoint: Option<(u64, Duration)>,
    /// Whether SIGUSR1 has asked for a checkpoint.
    checkpoint_requested: Arc<AtomicBool>,
    /// Whether the job is put back into its queue after that.
    requeues: bool,
    bar: ProgressBar,
    smooth: SmoothLoss,
}

/// What is trained: whichever model the registry gave.
type Model = dyn MoleculeAutoencoder;

/// Whether training goes on.
pub fn control() -> Control {
    if interrupt::is_requested() {
        Control::Stop
    } else {
        Control::Continue
    }
}

impl<'a> TrainingObserver<'a> {
    pub fn new(plan: &'a Plan, args: &Args, checkpoint_requested: Arc<AtomicBool>) -> Self {
        let resumed = plan.resumed.as_ref();
        Self {
            plan,
            state: resumed.map_or_else(|| RunState::begin(plan), |resumed| resumed.state.clone()),
            metrics: None,
            wants_events: args.tensorboard,
            events: None,
            checkpoint: None,
            checkpoint_requested,
            requeues: args.requeue,
            bar: progress::share(),
            smooth: SmoothLoss::default(),
        }
    }

    /// What the bundle holds, if one was saved.
    pub fn saved(&self) -> Option<SavedEpoch> {
        self.state.saved
    }

    fn save_checkpoint(
        &mut self,
        model: &Model,
        training: &Training<'_>,
        step: u64,
        elapsed: Duration,
    ) -> Result<()> {
        self.state.metrics_bytes = match &mut self.metrics {
            Some(metrics) => metrics.sync()?,
            None => 0,
        };
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        let state = serde_json::to_value(&self.state).map_err(Error::other)?;
        let checkpoint = training.checkpoint()?.with_value(RUN_STATE, state);
        let mut snapshot = model.snapshot()?;
        snapshot.checkpoint = Some(checkpoint);
        snapshot.save(self.plan.folder.checkpoint())?;
        self.checkpoint = Some((step, elapsed));
        Ok(())
    }

    /// Lets the other processes read the checkpoint and the molecules to train on.
    fn share(&self) -> Result<()> {
        let workers = &self.plan.run.workers;
        if workers.size() == 1 {
            return Ok(());
        }
        let path = RunFolder::shared_molecules_in(self.plan.folder.path());
        SharedMolecules::write(&self.plan.training, &path)?;
        // They begin to read, and have opened all of it.
        workers.any(false)?;
        workers.any(false)?;
        fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error))
    }

    /// Whether SIGUSR1 has asked for a checkpoint since this was called last.
    fn take_request(&self) -> bool {
        let is_requested = self.checkpoint_requested.swap(false, Ordering::SeqCst);
        if is_requested && self.requeues {
            interrupt::stop_for_requeue();
        }
        is_requested
    }

    /// Says that the checkpoint is there that was asked for.
    fn say_checkpoint(&self, step: u64) {
        let path = self.plan.folder.checkpoint();
        let step = grouped(usize::try_from(step).unwrap_or(usize::MAX));
        output::say(&format_args!(
            "SIGUSR1: {} holds step {step}",
            path.display()
        ));
    }

    fn evaluate(&self, model: &Model, is_last: bool) -> Result<Option<HeldOutScores>> {
        let limit = if is_last { usize::MAX } else { SAMPLE };
        let molecules = self.plan.held_out.first(limit);
        if molecules.is_empty() {
            return Ok(None);
        }
        let others = self.plan.of_held_out_blocks.as_ref();
        let of_held_out_blocks = others
            .filter(|_| is_last)
            .map(|molecules| reconstruction(model, molecules, 1, &mut |_| Ok(())));
        Ok(Some(HeldOutScores {
            reconstruction: reconstruction(model, &molecules, 1, &mut |_| Ok(()))?,
            mean: mean_loss(model, &molecules, &self.plan.run)?,
            of_held_out_blocks: of_held_out_blocks.transpose()?,
        }))
    }

    /// Draws what has been measured, anew.
    fn draw_curves(&self) -> Result<()> {
        let (from, to) = (self.plan.folder.metrics(), self.plan.folder.curves());
        let metrics = fs::read_to_string(&from).map_err(|error| Error::io("read", &from, error))?;
        OutputFile::create(&to)
            .and_then(|mut file| {
                file.line(&curves(&metrics))?;
                file.finish()
            })
            .map_err(|failure| match failure {
                Failure::Error(error) => error,
                other => Error::new(format_args!("cannot write {}: {other:?}", to.display())),
            })
    }

    /// Adds the epoch to the curve; what the bundle will say of its training.
    fn note_epoch(&mut self, epoch: &EpochReport, held_out: Option<&HeldOutScores>) -> Value {
        let mut point = json!({ "epoch": epoch.epoch, "loss": epoch.loss });
        for (name, part) in &epoch.parts {
            point[name] = json!(part);
        }
        point["molecules_per_second"] = json!(epoch.examples_per_second.round() as u64);
        if let Some(held_out) = held_out {
            point["held_out_exact"] = json!(held_out.reconstruction.exact_share());
            point["held_out_loss"] = json!(held_out.mean.loss);
        }
        self.state.curve.push(point);
        json!(TrainingNote {
            trained_on: &self.plan.trained_on,
            settings: &self.plan.settings_note,
            epochs: epoch.epoch,
            steps: epoch.steps,
            seconds: (epoch.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            finished: epoch.is_last,
            metrics: held_out.map(|scores| scores_json(&scores.reconstruction)),
            of_held_out_blocks: held_out
                .and_then(|scores| scores.of_held_out_blocks.as_ref())
                .map(scores_json),
            curve: &self.state.curve,
        })
    }
}

impl Observer<Model> for TrainingObserver<'_> {
    fn on_start(&mut self, model: &mut Model, training: &Training<'_>) -> Result<()> {
        let (steps, elapsed) = (training.steps(), training.elapsed());
        if self.wants_events {
            let mut events = EventFile::create(self.plan.folder.path(), steps)?;
            let model = model.params_json();
            let training = &self.plan.settings_note;
            events.hyperparameters(&json!({ "model": model, "training": training }))?;
            self.events = Some(events);
        }
        if steps == 0 {
            self.save_checkpoint(model, training, steps, elapsed)?;
        } else {
            // A resumed run has the checkpoint that it was resumed from.
            self.checkpoint = Some((steps, elapsed));
        }
        // Measurements that another run left are cut off only once its checkpoint is replaced.
        let metrics = MetricsFile::open(self.plan.folder.metrics(), self.state.metrics_bytes)?;
        self.metrics = Some(metrics);
        self.share()
    }

    fn on_step(
        &mut self,
        model: &mut Model,
        step: &StepReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        if let Some(metrics) = &mut self.metrics {
            metrics.step(step)?;
        }
        if let Some(events) = &mut self.events {
            events.scalar(step.step, "loss/step", step.loss)?;
            for (name, part) in &step.parts {
                events.scalar(step.step, &format!("loss/{name}"), *part)?;
            }
            events.scalar(step.step, "learning_rate", step.learning_rate)?;
            events.scalar(step.step, "gradient_norm", step.gradient_norm)?;
        }
        progress::show_share(&self.bar, step.progress, self.smooth.message(step));
        let is_requested = self.take_request();
        let control = control();
        let last = self
            .checkpoint
            .map_or(Duration::ZERO, |(_, elapsed)| elapsed);
        let is_due = step.elapsed >= last.saturating_add(self.plan.checkpoint_interval);
        if control == Control::Stop || is_due || is_requested {
            self.save_checkpoint(model, training, step.step, step.elapsed)?;
        }
        if is_requested {
            self.say_checkpoint(step.step);
        }
        Ok(control)
    }

    fn on_stop(&mut self, model: &mut Model, training: &Training<'_>) -> Result<()> {
        interrupt::stop_with_others();
        self.save_checkpoint(model, training, training.steps(), training.elapsed())
    }

    fn on_epoch(
        &mut self,
        model: &mut Model,
        epoch: &EpochReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        if let Some(events) = &mut self.events {
            events.scalar(epoch.steps, "loss/epoch", epoch.loss)?;
            events.flush()?;
        }
        let held_out = self.evaluate(model, epoch.is_last)?;
        if let Some(metrics) = &mut self.metrics {
            metrics.epoch(epoch, held_out.as_ref())?;
        }
        if let (Some(events), Some(held_out)) = (&mut self.events, &held_out) {
            let (reconstruction, mean) = (&held_out.reconstruction, &held_out.mean);
            events.scalar(epoch.steps, "held_out/loss", mean.loss)?;
            for (name, part) in &mean.parts {
                events.scalar(epoch.steps, &format!("held_out/{name}"), *part)?;
            }
            events.scalar(epoch.steps, "held_out/exact", reconstruction.exact_share())?;
            events.scalar(epoch.steps, "held_out/valid", reconstruction.valid_share())?;
        }
        let note = self.note_epoch(epoch, held_out.as_ref());
        model.provenance_mut().note(TRAINING, note);
        model.snapshot()?.save(&self.plan.out)?;
        self.state.saved = Some(SavedEpoch {
            epoch: epoch.epoch,
            loss: epoch.loss,
            held_out: held_out.as_ref().map(|scores| scores.reconstruction),
            of_held_out_blocks: held_out
                .as_ref()
                .and_then(|scores| scores.of_held_out_blocks),
        });
        self.save_checkpoint(model, training, epoch.steps, epoch.elapsed)?;
        self.draw_curves()?;
        let line = epoch_line(epoch, held_out.as_ref());
        output::say(&line);
        if self.take_request() {
            self.say_checkpoint(epoch.steps);
        }
        Ok(control())
    }

    fn last_checkpoint(&self) -> Option<String> {
        let (step, _) = self.checkpoint?;
        let path = self.plan.folder.checkpoint();
        Some(format!("{} (step {step})", path.display()))
    }
}

/// The losses that the bar shows, smoothed: a batch of long molecules has larger ones than its
/// neighbours.
#[derive(Default)]
struct SmoothLoss {
    loss: Option<f64>,
    parts: Vec<f64>,
}

impl SmoothLoss {
    /// What the bar says after a step. What matters most comes first: a narrow terminal cuts the
    /// rest off.
    fn message(&mut self, step: &StepReport) -> String {
        let smooth = |before: f64, value: f64| before + (value - before) * SMOOTHING;
        let loss = smooth(self.loss.unwrap_or(step.loss), step.loss);
        self.loss = Some(loss);
        let mut parts = String::new();
        for (index, (name, value)) in step.parts.iter().enumerate() {
            match self.parts.get_mut(index) {
                Some(part) => *part = smooth(*part, *value),
                None => self.parts.push(*value),
            }
            parts += &format!("  {name} {}", short(self.parts[index]));
        }
        let left = step
            .elapsed
            .mul_f64((1.0 - step.progress) / step.progress.max(1e-9));
        format!(
            "epoch {}/{} step {}/{}  {} left  {} molecules/s  loss {}{parts}",
            step.epoch,
            step.epochs,
            step.step_in_epoch,
            step.steps_per_epoch,
            clock(left.min(LONGEST_LEFT)),
            rate(step.examples_per_second),
            short(loss),
        )
    }
}

/// One line for an epoch.
fn epoch_line(epoch: &EpochReport, held_out: Option<&HeldOutScores>) -> String {
    let digits = epoch.epochs.to_string().len();
    let parts = epoch.parts.iter();
    let parts: String = parts
        .map(|(name, part)| format!("  {name} {}", short(*part)))
        .collect();
    let held_out = held_out.map_or(String::new(), |scores| {
        format!(
            "  held-out loss {}  exact {:>7} of {} held out",
            short(scores.mean.loss),
            percent(scores.reconstruction.exact_share()),
            grouped(scores.reconstruction.molecules)
        )
    });
    format!(
        "epoch {:>digits$}/{}  loss {}{parts}  {} molecules/s{held_out}  {}",
        epoch.epoch,
        epoch.epochs,
        short(epoch.loss),
        rate(epoch.examples_per_second),
        clock(epoch.elapsed),
    )
}

fn rate(per_second: f64) -> String {
    grouped(per_second.round() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_epoch_step_time_left_speed_and_every_part_of_the_loss() {
        let step = StepReport {
            epoch: 2,
            epochs: 5,
            step_in_epoch: 3,
            steps_per_epoch: 187,
            step: 190,
            examples: 128,
            loss: 40.0,
            parts: vec![("reconstruction".to_owned(), 30.0), ("kl".to_owned(), 10.0)],
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            elapsed: Duration::from_secs(30),
            progress: 0.25,
            examples_per_second: 1234.4,
        };
        let mut smooth = SmoothLoss::default();
        assert_eq!(
            smooth.message(&step),
            "epoch 2/5 step 3/187  1:30 left  1,234 molecules/s  loss 40.00  reconstruction 30.00  kl 10.00"
        );
        let next = StepReport {
            loss: 20.0,
            parts: vec![("reconstruction".to_owned(), 10.0), ("kl".to_owned(), 10.0)],
            ..step
        };
        assert!(
            smooth
                .message(&next)
                .ends_with("  loss 39.00  reconstruction 29.00  kl 10.00")
        );
    }
}
