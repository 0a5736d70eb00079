//! `atlas train`: trains a model and saves it as a bundle.

mod args;
mod budget;
mod follower;
mod metrics_file;
mod observer;
mod parameters;
mod plan;
mod run_folder;
mod settings;
mod tensorboard;

use serde_json::{Value, json};

use crate::chem::Smiles;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result};
use crate::cli::prior;
use crate::cli::processes::Processes;
use crate::cli::slurm;
use crate::cli::terminal::text::{clock, count, grouped};
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{interrupt, output};
use crate::cli::training_note::{headline, molecules_of, scores_json};
use crate::models::{COMPONENTS, MoleculeAutoencoder, PRIOR};
use atlas_core::train::{self, Dataset, Observer, Outcome, Run, Stopped};
use atlas_core::{Bundle, Checkpoint};
use observer::{SavedEpoch, TrainingObserver};
use plan::Plan;

pub use args::Args;
pub use run_folder::RunFolder;

pub fn run(args: &Args, models: &Models) -> Result {
    let job = args.requeue.then(slurm::job_to_requeue).transpose()?;
    let result = run_once(args, models);
    if let (Err(Failure::Interrupted(_)), Some(job)) = (&result, &job)
        && interrupt::is_for_requeue()
    {
        slurm::requeue(job)?;
    }
    result
}

fn run_once(args: &Args, models: &Models) -> Result {
    // The molecules are read, too, until a signal comes.
    interrupt::watch("stopping after this step")?;
    let checkpoint_requested = interrupt::watch_for_checkpoint_requests()?;
    let processes = Processes::join()?;
    let workers = processes.workers();
    if workers.rank() > 0 {
        return processes.or_end_all(follower::run(args, models, workers));
    }
    let (plan, mut model) = processes.or_end_all(Plan::new(args, models, workers))?;
    let remembered = RunFolder::training_molecules(&plan.out);
    let saved = plan.known.save(&remembered, &plan.trained_on.id());
    processes.or_end_all(saved.map_err(Failure::from))?;
    announce(&plan, &*model);
    let mut observer = TrainingObserver::new(&plan, args, checkpoint_requested);
    let resumed = plan.resumed.as_ref();
    let resumed = resumed.map(|resumed| (&resumed.checkpoint, resumed.is_extended));
    let outcome = go_on(
        &mut *model,
        &plan.training,
        &plan.run,
        resumed,
        &mut observer,
    );
    let saved = observer.saved();
    drop(observer);
    let bundle = plan.out.display();
    let outcome = outcome.inspect_err(|_| {
        if let Some(saved) = &saved {
            let epoch = saved.epoch;
            output::say(&format_args!("{bundle} is whole and holds epoch {epoch}"));
        }
    });
    let outcome = processes.or_end_all(outcome.map_err(Failure::from))?;
    let Some(saved) = saved.filter(|_| outcome.stopped != Stopped::Interrupted) else {
        return Err(Failure::Interrupted(interrupted(&plan, &outcome, saved)));
    };
    // The run may have ended before, and its bundle may have been removed since.
    if !plan.out.exists() {
        model.snapshot()?.save(&plan.out)?;
    }
    drop(model);
    fit_prior(&plan, models)?;
    if args.json {
        return output::print_json_line(&summary(&plan, &outcome, &saved)?);
    }
    let held_out = saved.held_out.as_ref();
    let held_out = held_out.map_or("no molecules held out".to_owned(), |scores| {
        headline(scores, saved.of_held_out_blocks.as_ref())
    });
    output::print(&format!("{bundle}: {held_out}\n"))
}

/// Trains from the beginning, or goes on from a checkpoint, to other limits if they were extended.
fn go_on(
    model: &mut (dyn MoleculeAutoencoder + 'static),
    data: &dyn Dataset<Smiles>,
    run: &Run,
    resumed: Option<(&Checkpoint, bool)>,
    observer: &mut dyn Observer<dyn MoleculeAutoencoder>,
) -> atlas_core::Result<Outcome> {
    match resumed {
        None => train::train(model, data, run, observer),
        Some((checkpoint, false)) => train::resume(model, data, run, checkpoint, observer),
        Some((checkpoint, true)) => train::extend(model, data, run, checkpoint, observer),
    }
}

/// Fits the prior to what was trained on, if the model has one that can be.
fn fit_prior(plan: &Plan, models: &Models) -> Result {
    let bundle = Bundle::open(&plan.out)?;
    if bundle.params().get(PRIOR.0).is_none() || plan.training.len() < 2 {
        return Ok(());
    }
    let (place, seed) = (plan.out.as_path(), plan.settings.seed);
    let bundle = place.display();
    let without = format!("{bundle} is whole; `atlas fit-prior {bundle}` fits its prior");
    // Nothing that is lost takes long to do again.
    interrupt::set_waiting(true);
    if interrupt::is_requested() {
        return Err(Failure::Interrupted(without));
    }
    output::say(&format_args!(
        "fitting the prior; a signal ends that, and leaves {bundle} without it"
    ));
    let fitted = prior::fit(models, [place; 2], &plan.training, &COMPONENTS, seed);
    interrupt::set_waiting(false);
    fitted.inspect_err(|_| output::say(&without))?;
    Ok(())
}

/// Says what is about to happen.
fn announce(plan: &Plan, model: &dyn MoleculeAutoencoder) {
    let networks = model.networks().iter();
    let elements: usize = networks.map(|network| network.elements()).sum();
    let limit = plan.run.max_time.map_or(String::new(), |time| {
        format!(", at most {} in all", clock(time))
    });
    let molecules = plan.training.len();
    output::say(&format_args!(
        "{}: {} weights; {} to train on, {} held out; {} of {}{limit}",
        model.name(),
        grouped(elements),
        molecules_of(&plan.trained_on.data.source, molecules, ""),
        grouped(plan.held_out.len()),
        count(plan.run.params.epochs, "epoch"),
        count(molecules.div_ceil(plan.run.params.batch), "step"),
    ));
    for note in &plan.notes {
        output::say(note);
    }
    if let Some(resumed) = &plan.resumed {
        let checkpoint = plan.folder.checkpoint();
        let checkpoint = checkpoint.display();
        if resumed.has_ended {
            output::say(&format_args!(
                "the run in {checkpoint} has ended; a larger --epochs or --max-minutes goes on with it"
            ));
        } else {
            output::say(&format_args!("going on from {checkpoint}"));
        }
    } else if plan.replaces {
        output::say(&format_args!(
            "the bundle in {} will be replaced after the first epoch",
            plan.out.display()
        ));
    }
}

/// What is said after a signal: how far training got, and what is left of it.
fn interrupted(plan: &Plan, outcome: &Outcome, saved: Option<SavedEpoch>) -> String {
    let steps = grouped(usize::try_from(outcome.steps).unwrap_or(usize::MAX));
    let (epoch, epochs) = (outcome.epochs, plan.run.params.epochs);
    let bundle = plan.out.display();
    let bundle = match saved {
        None => format!("there is no {bundle} before the first epoch has ended"),
        Some(saved) => {
            let held_out = saved.held_out.as_ref();
            let held_out = held_out.map_or(String::new(), |scores| {
                format!(", {}", headline(scores, None))
            });
            let epoch = saved.epoch;
            format!("{bundle} is whole and holds epoch {epoch}{held_out}")
        }
    };
    format!(
        "interrupted in epoch {epoch} of {epochs}, at step {steps}; {bundle}; the same command \
         with --resume goes on from this step"
    )
}

fn summary(plan: &Plan, outcome: &Outcome, saved: &SavedEpoch) -> Result<Value> {
    let bundle = Bundle::open(&plan.out)?;
    Ok(json!({
        "bundle": path_json(&plan.out),
        "model": bundle.model(),
        "digest": bundle.digest(),
        "data": plan.trained_on.data,
        "stopped": outcome.stopped,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "seconds": outcome.elapsed.as_secs_f64(),
        "loss": saved.loss,
        "held_out": saved.held_out.as_ref().map(scores_json),
        "of_held_out_blocks": saved.of_held_out_blocks.as_ref().map(scores_json),
    }))
}
