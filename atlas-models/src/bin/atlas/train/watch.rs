//! What goes on around training: the line of progress, evaluation, saving.

use std::path::Path;
use std::time::Duration;

use atlas_core::Result;
use atlas_models::chem::Smiles;
use atlas_models::metrics::{Reconstruction, reconstruction};
use atlas_models::models::MoleculeAutoencoder;
use atlas_models::train::{Control, EpochReport, Observer, StepReport};
use serde_json::{Map, Value, json};

use crate::interrupt;
use crate::notes::{TRAINING, TrainedOn, scores};
use crate::progress::Progress;
use crate::text::{clock, grouped, percent, short};

/// Held-out molecules that are evaluated after every epoch; after the last one all are.
const SAMPLE: usize = 256;
/// The share of a step's loss in the one that the bar shows.
const SMOOTHING: f64 = 0.05;
/// Where there is no bar, something is said at least this often.
const SILENCE: Duration = Duration::from_secs(60);
/// Times left beyond this are a guess.
const LONGEST: Duration = Duration::from_secs(999 * 3600);

/// What the bundle will say of how it was trained, as far as it is known at the start.
#[derive(Clone, Debug)]
pub struct Note {
    pub trained_on: TrainedOn,
    pub settings: Value,
}

/// The last bundle that was saved.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    pub epoch: usize,
    pub loss: f64,
    /// `None` if no molecules are held out.
    pub held_out: Option<Reconstruction>,
}

/// Watches training.
pub struct Watch<'a> {
    out: &'a Path,
    held_out: &'a [Smiles],
    note: Note,
    /// An object for each epoch.
    curve: Vec<Value>,
    saved: Option<Saved>,
    progress: Progress,
    /// The loss that the bar shows: a batch of long molecules has a larger one than its neighbours.
    smooth_loss: Option<f64>,
    /// When something was said, as time in training.
    heard: Duration,
}

impl<'a> Watch<'a> {
    /// Saves to `out`, evaluates on `held_out`.
    pub fn new(out: &'a Path, held_out: &'a [Smiles], note: Note) -> Self {
        Self {
            out,
            held_out,
            note,
            curve: Vec::new(),
            saved: None,
            progress: Progress::share(),
            smooth_loss: None,
            heard: Duration::ZERO,
        }
    }

    /// The last bundle that was saved, if there is one.
    pub fn finish(self) -> Option<Saved> {
        self.saved
    }

    fn evaluate(
        &self,
        model: &dyn MoleculeAutoencoder,
        is_last: bool,
    ) -> Result<Option<Reconstruction>> {
        let most = if is_last { usize::MAX } else { SAMPLE };
        let molecules = &self.held_out[..self.held_out.len().min(most)];
        if molecules.is_empty() {
            return Ok(None);
        }
        reconstruction(model, molecules, &mut |_| {}).map(Some)
    }

    fn record(&mut self, epoch: &EpochReport, held_out: Option<&Reconstruction>) -> Value {
        let mut point = json!({ "epoch": epoch.epoch, "loss": epoch.loss });
        for (name, part) in &epoch.parts {
            point[*name] = json!(part);
        }
        point["molecules_per_second"] = json!(epoch.examples_per_second.round() as u64);
        if let Some(held_out) = held_out {
            point["held_out_exact"] = json!(held_out.exact_share());
        }
        self.curve.push(point);
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
        note.insert("curve".into(), Value::Array(self.curve.clone()));
        Value::Object(note)
    }
}

/// What is trained: whichever model the registry gave.
type Model = dyn MoleculeAutoencoder;

impl Observer<Model> for Watch<'_> {
    fn on_step(&mut self, _: &Model, step: &StepReport) -> Result<Control> {
        let before = self.smooth_loss.unwrap_or(step.loss);
        let loss = before + (step.loss - before) * SMOOTHING;
        self.smooth_loss = Some(loss);
        let left = step
            .elapsed
            .mul_f64((1.0 - step.progress) / step.progress.max(1e-9));
        let message = format!(
            "epoch {}/{}  loss {}  {} molecules/s  {} left",
            step.epoch,
            step.epochs,
            short(loss),
            rate(step.examples_per_second),
            clock(left.min(LONGEST)),
        );
        if !self.progress.is_shown() && step.elapsed >= self.heard + SILENCE {
            self.heard = step.elapsed;
            let (place, all) = (step.step_in_epoch, step.steps_per_epoch);
            self.progress
                .say(&format_args!("step {place}/{all} of {message}"));
        }
        self.progress.done_share(step.progress, message);
        Ok(if interrupt::is_asked() {
            Control::Stop
        } else {
            Control::Continue
        })
    }

    fn on_epoch(&mut self, model: &mut Model, epoch: &EpochReport) -> Result<Control> {
        let held_out = self.evaluate(model, epoch.is_last)?;
        let note = self.record(epoch, held_out.as_ref());
        model.provenance_mut().note(TRAINING, note);
        model.save(self.out)?;
        self.heard = epoch.elapsed;
        self.saved = Some(Saved {
            epoch: epoch.epoch,
            loss: epoch.loss,
            held_out,
        });
        self.progress.say(&line(epoch, held_out.as_ref()));
        Ok(if interrupt::is_asked() {
            Control::Stop
        } else {
            Control::Continue
        })
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
