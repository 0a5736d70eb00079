//! What goes on around training: the line of progress, evaluation, saving.

use std::path::Path;
use std::time::Duration;

use atlas_core::train::{Control, EpochReport, Observer, StepReport, Training};
use atlas_core::{Checkpoint, Result};
use atlas_models::data::Molecules;
use atlas_models::metrics::{Reconstruction, reconstruction};
use atlas_models::models::MoleculeAutoencoder;
use atlas_models::train::EventFile;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Args;
use super::folder::RunFolder;
use super::metrics::Metrics;
use super::plan::Plan;
use super::settings::Settings;
use crate::interrupt;
use crate::notes::{TRAINING, TrainedOn, scores};
use crate::progress::Progress;
use crate::text::{clock, grouped, percent, short};

/// Held-out molecules that are evaluated after every epoch; after the last one all are.
const SAMPLE: usize = 256;
/// The share of a step's loss in the one that the bar shows.
const SMOOTHING: f64 = 0.05;
/// Times left beyond this are a guess.
const LONGEST: Duration = Duration::from_secs(999 * 3600);

/// What the bundle will say of how it was trained, as far as it is known at the start.
#[derive(Clone, Debug)]
pub struct Note {
    pub trained_on: TrainedOn,
    pub settings: Value,
}

/// What a checkpoint says of the command that trains, beside what training says itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub settings: Settings,
    pub trained_on: TrainedOn,
    /// An object for each epoch.
    curve: Vec<Value>,
    saved: Option<Saved>,
    /// The length of `metrics.jsonl`.
    metrics_bytes: u64,
}

/// The name of [`Record`] in a checkpoint.
const RECORD: &str = "command";

impl Record {
    /// What a checkpoint says; an error says why it cannot be read.
    pub fn of(checkpoint: &Checkpoint) -> std::result::Result<Self, String> {
        let record = checkpoint
            .value(RECORD)
            .ok_or("it was not made by `atlas train`")?;
        serde_json::from_value(record.clone()).map_err(|error| error.to_string())
    }
}

/// The last bundle that was saved.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    pub epoch: usize,
    pub loss: f64,
    /// `None` if no molecules are held out.
    pub held_out: Option<Reconstruction>,
}

/// Watches training.
pub struct Watch<'a> {
    out: &'a Path,
    held_out: &'a Molecules,
    note: &'a Note,
    folder: &'a RunFolder,
    record: Record,
    /// Opened once there is a checkpoint that they belong to.
    metrics: Option<Metrics>,
    wants_events: bool,
    events: Option<EventFile>,
    /// Time in training between two checkpoints.
    pace: Duration,
    /// The step of the last checkpoint, and when it was made, as time in training.
    checkpoint: Option<(u64, Duration)>,
    progress: Progress,
    smooth: Smooth,
}

impl<'a> Watch<'a> {
    /// Watches what `plan` says, keeping what it keeps in the run folder.
    pub fn new(plan: &'a Plan, args: &Args) -> Self {
        let record = match &plan.resumed {
            Some((_, record)) => record.clone(),
            None => Record {
                settings: plan.settings.clone(),
                trained_on: plan.note.trained_on.clone(),
                curve: Vec::new(),
                saved: None,
                metrics_bytes: 0,
            },
        };
        Self {
            out: &plan.out,
            held_out: &plan.held_out,
            note: &plan.note,
            metrics: None,
            wants_events: args.tensorboard,
            events: None,
            folder: &plan.folder,
            record,
            pace: plan.pace,
            checkpoint: None,
            progress: Progress::share(),
            smooth: Smooth::default(),
        }
    }

    /// The last bundle that was saved, if there is one.
    pub fn saved(&self) -> Option<Saved> {
        self.record.saved
    }

    fn save_checkpoint(
        &mut self,
        model: &Model,
        training: &Training<'_>,
        step: u64,
        elapsed: Duration,
    ) -> Result<()> {
        self.record.metrics_bytes = match &mut self.metrics {
            Some(metrics) => metrics.sync()?,
            None => 0,
        };
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        let record = serde_json::to_value(&self.record).map_err(atlas_core::Error::new)?;
        let checkpoint = training.checkpoint()?.with_value(RECORD, record);
        model.save_checkpoint(&self.folder.checkpoint(), &checkpoint)?;
        self.checkpoint = Some((step, elapsed));
        Ok(())
    }

    /// Goes on, or stops and leaves a checkpoint to go on from.
    fn control(&self) -> Control {
        match interrupt::is_asked() {
            true => Control::Stop,
            false => Control::Continue,
        }
    }

    fn evaluate(
        &self,
        model: &dyn MoleculeAutoencoder,
        is_last: bool,
    ) -> Result<Option<Reconstruction>> {
        let most = if is_last { usize::MAX } else { SAMPLE };
        let molecules = self.held_out.first(most);
        if molecules.is_empty() {
            return Ok(None);
        }
        reconstruction(model, &molecules, &mut |_| {}).map(Some)
    }

    fn record_epoch(&mut self, epoch: &EpochReport, held_out: Option<&Reconstruction>) -> Value {
        let mut point = json!({ "epoch": epoch.epoch, "loss": epoch.loss });
        for (name, part) in &epoch.parts {
            point[name] = json!(part);
        }
        point["molecules_per_second"] = json!(epoch.examples_per_second.round() as u64);
        if let Some(held_out) = held_out {
            point["held_out_exact"] = json!(held_out.exact_share());
        }
        self.record.curve.push(point);
        let mut note = Map::new();
        note.insert("data".into(), json!(self.note.trained_on.data));
        note.insert("held_out".into(), json!(self.note.trained_on.held_out));
        note.insert("settings".into(), self.note.settings.clone());
        note.insert("epochs".into(), epoch.epoch.into());
        note.insert("steps".into(), epoch.steps.into());
        note.insert(
            "seconds".into(),
            json!((epoch.elapsed.as_secs_f64() * 1000.0).round() / 1000.0),
        );
        note.insert("finished".into(), epoch.is_last.into());
        note.insert(
            "metrics".into(),
            held_out.map_or(Value::Null, |held_out| Value::Object(scores(held_out))),
        );
        note.insert("curve".into(), Value::Array(self.record.curve.clone()));
        Value::Object(note)
    }
}

/// What is trained: whichever model the registry gave.
type Model = dyn MoleculeAutoencoder;

impl Observer<Model> for Watch<'_> {
    fn on_start(&mut self, model: &mut Model, training: &Training<'_>) -> Result<()> {
        let (steps, elapsed) = (training.steps(), training.elapsed());
        if self.wants_events {
            self.events = Some(EventFile::create(self.folder.path(), steps)?);
        }
        // What was resumed is its own checkpoint.
        match steps {
            0 => self.save_checkpoint(model, training, steps, elapsed)?,
            _ => self.checkpoint = Some((steps, elapsed)),
        }
        // Measurements that another run left are cut off only once its checkpoint is replaced.
        let metrics = Metrics::open(self.folder.metrics(), self.record.metrics_bytes)?;
        self.metrics = Some(metrics);
        Ok(())
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
        let message = self.smooth.message(step);
        self.progress.done_share(step.progress, message);
        let control = self.control();
        let last = self
            .checkpoint
            .map_or(Duration::ZERO, |(_, elapsed)| elapsed);
        if control == Control::Stop || step.elapsed >= last.saturating_add(self.pace) {
            self.save_checkpoint(model, training, step.step, step.elapsed)?;
        }
        Ok(control)
    }

    fn on_epoch(
        &mut self,
        model: &mut Model,
        epoch: &EpochReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        let held_out = self.evaluate(model, epoch.is_last)?;
        if let Some(metrics) = &mut self.metrics {
            metrics.epoch(epoch, held_out.as_ref())?;
        }
        if let Some(events) = &mut self.events {
            events.scalar(epoch.steps, "loss/epoch", epoch.loss)?;
            if let Some(held_out) = &held_out {
                events.scalar(epoch.steps, "held_out/exact", held_out.exact_share())?;
                events.scalar(epoch.steps, "held_out/valid", held_out.valid_share())?;
            }
        }
        let note = self.record_epoch(epoch, held_out.as_ref());
        model.provenance_mut().note(TRAINING, note);
        model.save(self.out)?;
        self.record.saved = Some(Saved {
            epoch: epoch.epoch,
            loss: epoch.loss,
            held_out,
        });
        self.save_checkpoint(model, training, epoch.steps, epoch.elapsed)?;
        self.progress.say(&line(epoch, held_out.as_ref()));
        Ok(self.control())
    }

    fn last_checkpoint(&self) -> Option<String> {
        let (step, _) = self.checkpoint?;
        let path = self.folder.checkpoint();
        Some(format!("{} (step {step})", path.display()))
    }
}

/// The losses that the bar shows: a batch of long molecules has larger ones than its neighbours.
#[derive(Default)]
struct Smooth {
    loss: Option<f64>,
    parts: Vec<f64>,
}

impl Smooth {
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
            clock(left.min(LONGEST)),
            rate(step.examples_per_second),
            short(loss),
        )
    }
}

/// One line for an epoch.
fn line(epoch: &EpochReport, held_out: Option<&Reconstruction>) -> String {
    let digits = epoch.epochs.to_string().len();
    let parts: String = epoch
        .parts
        .iter()
        .map(|(name, part)| format!("  {name} {}", short(*part)))
        .collect();
    let held_out = held_out.map_or(String::new(), |scores| {
        format!(
            "  exact {:>7} of {} held out",
            percent(scores.exact_share()),
            grouped(scores.molecules)
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
        let mut smooth = Smooth::default();
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
