//! What another process than the first does in training: it computes its shards, of what the first has
//! read and from the checkpoint that it has made, and writes nothing.

use atlas_core::train::{
    CheckpointSummary, Control, EpochReport, Observer, Run, StepReport, Training, Workers,
};
use atlas_core::{Bundle, Error, LoadOptions, Result};

use super::observer::{RunState, control};
use super::plan::{self, PREVENTED};
use super::run_folder::RunFolder;
use super::{Args, go_on};
use crate::cli::problems::Problems;
use crate::cli::{Models, failure};
use crate::data::SharedMolecules;

pub fn run(args: &Args, models: &Models, workers: &Workers) -> failure::Result {
    // Process 0 has written what is read here.
    workers.any(false)?;
    let folder = RunFolder::beside(&plan::out(args, models)?);
    let path = RunFolder::checkpoint_in(&folder);
    let checkpoint = Bundle::open(&path)?.checkpoint()?;
    let checkpoint = checkpoint
        .ok_or_else(|| Error::new(format_args!("{} is no checkpoint", path.display())))?;
    let mut model = models.load_with(&path, &LoadOptions::new().trainable(true))?;
    let mut settings = RunState::of(&checkpoint)?.settings;
    for network in &settings.frozen {
        model.set_frozen(network, true)?;
    }
    let mut problems = Problems::default();
    let steps = CheckpointSummary::of(&checkpoint)?.steps;
    let is_extended = settings.go_on(args, steps, &mut problems);
    let run = settings.run(&mut problems);
    problems.into_result(PREVENTED, Some(()))?;
    let run = Run {
        workers: workers.clone(),
        ..run
    };
    let molecules = SharedMolecules::open(&RunFolder::shared_molecules_in(&folder))?;
    workers.any(false)?;
    let checkpoint_path = path.display().to_string();
    let resumed = Some((&checkpoint, is_extended));
    go_on(
        &mut *model,
        &molecules,
        &run,
        resumed,
        &mut Follower(checkpoint_path),
    )?;
    Ok(())
}

/// Says whether a signal came, and where the checkpoint is.
struct Follower(String);

impl<M: ?Sized> Observer<M> for Follower {
    fn on_step(&mut self, _: &mut M, _: &StepReport, _: &Training<'_>) -> Result<Control> {
        Ok(control())
    }

    fn on_epoch(&mut self, _: &mut M, _: &EpochReport, _: &Training<'_>) -> Result<Control> {
        Ok(control())
    }

    fn last_checkpoint(&self) -> Option<String> {
        Some(self.0.clone())
    }
}
