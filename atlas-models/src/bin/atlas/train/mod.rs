//! `atlas train`

mod folder;
mod metrics;
mod parameters;
mod plan;
mod problems;
mod settings;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use atlas_core::train::{self, Outcome as Ended, Stopped};
use atlas_models::models::MoleculeAutoencoder;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::notes::{headline, molecules_of, scores};
use crate::output;
use crate::text::{clock, count, grouped};
use plan::Plan;
use watch::{Saved, Watch};

const EXAMPLES: &str = "\
Examples:
  atlas train
  atlas train --data zinc.smi --out runs/zinc --max-minutes 30
  atlas train --data zinc.smi --set latent_size=64 --set dropout=0.1 --weight kl=0.1
  atlas train --data zinc.smi --params params.json --epochs 50 --json | jq .held_out.exact_share
  atlas train --data zinc.smi --train-set 'annealing.weights=[\"kl\"]' --train-set schedule=step
  atlas train --resume --out runs/zinc

Parameters are the model's defaults or, without --data, smaller ones that suit the built-in
molecules; then those of the --params file; then those of --set. The last line printed is the
bundle's path and how many held-out molecules it reconstructs.

Beside the bundle DIR the folder DIR.run holds metrics.jsonl, with a line for every step and epoch,
and the checkpoint. After Ctrl-C, a crash or a kill, the same command with --resume goes on from it
and ends with the very model that it would have ended with; without a checkpoint it starts anew.
A run that has not ended is only replaced with --restart. The exit code after Ctrl-C is 130.";

/// Train an autoencoder and save it as a bundle, after every epoch
///
/// Everything that can be checked is checked before training starts, and reported at once. Equal
/// commands without --max-minutes give equal models, to the bit, on one machine, whatever the
/// number of threads; processors with other vector instructions round otherwise.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// SMILES file: one molecule a line, optionally followed by white space and a name; - is
    /// standard input [default: the built-in molecules]
    #[arg(help_heading = "Data", long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Molecules that are kept out of training, to evaluate on [default: a tenth, at most 1000]
    #[arg(help_heading = "Data", long, value_name = "N")]
    held_out: Option<usize>,
    /// Seed that draws the held-out molecules; the same ones whatever --seed is [default: 0]
    #[arg(help_heading = "Data", long, value_name = "N")]
    split_seed: Option<u64>,
    /// Leave out, and count, rows that are not SMILES or have a token that the model does not know
    #[arg(help_heading = "Data", long)]
    skip_invalid: bool,
    /// Memory for the texts of molecules, beyond which they go to a temporary file in TMPDIR; some
    /// 40 bytes a molecule come on top [default: 512]
    #[arg(help_heading = "Data", long, value_name = "MIB")]
    memory: Option<usize>,
    /// Architecture; `atlas models` lists them [default: gru-vae]
    #[arg(help_heading = "Model", long, value_name = "MODEL")]
    model: Option<String>,
    /// Set a parameter of the model; `atlas params MODEL` lists them. Can be repeated
    #[arg(help_heading = "Model", long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// JSON object of parameters of the model
    #[arg(help_heading = "Model", long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Times that every molecule is seen [default: 20; 5 for the built-in molecules]
    #[arg(help_heading = "Training", long, value_name = "N")]
    epochs: Option<usize>,
    /// End training after so many minutes; evaluation and saving do not count. The schedules then
    /// follow the clock, and the model depends on how fast the machine is [default: none]
    #[arg(
        help_heading = "Training",
        long,
        value_name = "MINUTES",
        allow_negative_numbers = true
    )]
    max_minutes: Option<f64>,
    /// Molecules in a batch [default: 128]
    #[arg(help_heading = "Training", long, value_name = "N")]
    batch: Option<usize>,
    /// Height of the learning rate [default: 0.001; 0.003 for the built-in molecules]
    #[arg(
        help_heading = "Training",
        long,
        value_name = "RATE",
        allow_negative_numbers = true
    )]
    lr: Option<f64>,
    /// Seed of initial weights, order of molecules and noise [default: 0]
    #[arg(help_heading = "Training", long, value_name = "N")]
    seed: Option<u64>,
    /// Set a parameter of training; `atlas params --train` lists them. Can be repeated
    #[arg(help_heading = "Training", long, value_name = "NAME=VALUE")]
    train_set: Vec<String>,
    /// Weigh a part of the loss. Can be repeated
    #[arg(help_heading = "Training", long, value_name = "NAME=WEIGHT", value_parser = parse_weight)]
    weight: Vec<(String, f64)>,
    /// Leave a network as it starts; `atlas inspect` lists networks. Can be repeated
    #[arg(help_heading = "Training", long, value_name = "NETWORK")]
    freeze: Vec<String>,
    /// Folder of the bundle; a bundle that is there is replaced [default: runs/MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the checkpoint in DIR.run; flags may be left out, but --tensorboard,
    /// --checkpoint-minutes, --memory and --json are not remembered
    #[arg(long)]
    resume: bool,
    /// Start anew where DIR.run holds a run that has not ended, and lose that run
    #[arg(long, conflicts_with = "resume")]
    restart: bool,
    /// Minutes of training between checkpoints; there is one after every epoch, too
    #[arg(
        long,
        value_name = "MINUTES",
        default_value_t = 5.0,
        allow_negative_numbers = true
    )]
    checkpoint_minutes: f64,
    /// Write a TensorBoard event file to DIR.run
    #[arg(long)]
    tensorboard: bool,
    /// Print a JSON object on one line at the end
    #[arg(long)]
    json: bool,
}

fn parse_weight(text: &str) -> Result<(String, f64), String> {
    let (name, weight) = text
        .split_once('=')
        .ok_or("expected NAME=WEIGHT, such as kl=0.1")?;
    let weight = weight
        .trim()
        .parse()
        .map_err(|_| format!("`{weight}` is not a number"))?;
    Ok((name.trim().to_owned(), weight))
}

pub fn run(args: Args) -> Outcome {
    let (plan, mut model) = Plan::of(&args)?;
    plan.announce(&*model);
    interrupt::watch("stopping after this step")?;
    let mut watch = Watch::new(&plan, &args);
    let ended = match &plan.resumed {
        Some((checkpoint, _)) => train::resume(
            &mut *model,
            &plan.training,
            &plan.run,
            checkpoint,
            &mut watch,
        ),
        None => train::train(&mut *model, &plan.training, &plan.run, &mut watch),
    };
    let saved = watch.saved();
    drop(watch);
    let ended = ended.inspect_err(|_| {
        if let Some(saved) = &saved {
            let bundle = plan.out.display();
            output::say(&format_args!(
                "{bundle} is whole and holds epoch {}",
                saved.epoch
            ));
        }
    })?;
    match saved {
        Some(saved) if ended.stopped != Stopped::Interrupted => {
            // A run that had ended before may have lost its bundle since.
            if !plan.out.exists() {
                model.save(&plan.out)?;
            }
            let result = result(&plan, &*model, &ended, &saved, args.json)?;
            output::print(&format!("{result}\n"))
        }
        saved => Err(Failure::Interrupted(interrupted(&plan, &ended, saved))),
    }
}

/// What is said after Ctrl-C: how far training got, and what is left of it.
fn interrupted(plan: &Plan, ended: &Ended, saved: Option<Saved>) -> String {
    let steps = grouped(usize::try_from(ended.steps).unwrap_or(usize::MAX));
    let (epoch, epochs) = (ended.epochs, plan.run.params.epochs);
    let place = format!("interrupted in epoch {epoch} of {epochs}, at step {steps}");
    let bundle = plan.out.display();
    let bundle = match saved {
        None => format!("there is no {bundle} before the first epoch has ended"),
        Some(saved) => {
            let held_out = saved
                .held_out
                .map_or(String::new(), |scores| format!(", {}", headline(&scores)));
            format!(
                "{bundle} is whole and holds epoch {}{held_out}",
                saved.epoch
            )
        }
    };
    format!("{place}; {bundle}; the same command with --resume goes on from this step")
}

/// The last line.
fn result(
    plan: &Plan,
    model: &dyn MoleculeAutoencoder,
    ended: &Ended,
    saved: &Saved,
    json: bool,
) -> Outcome<String> {
    if json {
        return Ok(summary(plan, model, ended, saved)?.to_string());
    }
    let held_out = saved.held_out.as_ref();
    let held_out = held_out.map_or("no molecules held out".to_owned(), headline);
    Ok(format!("{}: {held_out}", plan.out.display()))
}

fn summary(
    plan: &Plan,
    model: &dyn MoleculeAutoencoder,
    ended: &Ended,
    saved: &Saved,
) -> Outcome<Value> {
    Ok(json!({
        "bundle": plan.out,
        "model": model.name(),
        "digest": model.digest()?,
        "data": plan.note.trained_on.data,
        "stopped": ended.stopped,
        "epochs": ended.epochs,
        "steps": ended.steps,
        "seconds": ended.elapsed.as_secs_f64(),
        "loss": saved.loss,
        "held_out": saved.held_out.as_ref().map(scores),
    }))
}

impl Plan {
    /// Says what is about to happen.
    fn announce(&self, model: &dyn MoleculeAutoencoder) {
        let elements: usize = model
            .networks()
            .iter()
            .map(atlas_core::NetworkVars::elements)
            .sum();
        let limit = self.run.max_time.map_or(String::new(), |time: Duration| {
            format!(", at most {} in all", clock(time))
        });
        output::say(&format_args!(
            "{}: {} weights; {} to train on, {} held out; {} of {}{limit}",
            model.name(),
            grouped(elements),
            molecules_of(&self.note.trained_on.data.source, self.training.len(), ""),
            grouped(self.held_out.len()),
            count(self.run.params.epochs, "epoch"),
            count(self.training.len().div_ceil(self.run.params.batch), "step"),
        ));
        if self.resumed.is_some() {
            let checkpoint = self.folder.checkpoint();
            output::say(&format_args!("going on from {}", checkpoint.display()));
        }
        if self.replaces {
            output::say(&format_args!(
                "the bundle in {} will be replaced after the first epoch",
                self.out.display()
            ));
        }
    }
}
