//! `atlas train`

mod parameters;
mod plan;
mod problems;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use atlas_models::models::DEFAULT_MODEL;
use atlas_models::train::{self, Outcome as Ended, Run, Stopped};
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

Parameters are the model's defaults or, without --data, smaller ones that suit the built-in
molecules; then those of the --params file; then those of --set. The last line printed is the bundle's path and how many
held-out molecules it reconstructs. Ctrl-C ends training after the step under way and leaves the
bundle of the last full epoch; the exit code is then 130.";

/// Train an autoencoder and save it as a bundle, after every epoch
///
/// Everything that can be checked is checked before training starts, and reported at once. Equal
/// commands give equal models, to the bit, on one machine and number of threads, unless the time
/// runs out.
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
    /// Seed that draws the held-out molecules; the same ones whatever --seed is
    #[arg(help_heading = "Data", long, value_name = "N", default_value_t = 0)]
    split_seed: u64,
    /// Leave out, and count, rows that are not SMILES or have a token that the model does not know
    #[arg(help_heading = "Data", long)]
    skip_invalid: bool,
    /// Architecture; `atlas models` lists them
    #[arg(help_heading = "Model", long, value_name = "MODEL", default_value = DEFAULT_MODEL)]
    model: String,
    /// Set a parameter of the model; `atlas params MODEL` lists them. Can be repeated
    #[arg(help_heading = "Model", long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// JSON object of parameters of the model
    #[arg(help_heading = "Model", long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Times that every molecule is seen [default: 20; 8 for the built-in molecules]
    #[arg(help_heading = "Training", long, value_name = "N")]
    epochs: Option<usize>,
    /// End training after so many minutes; evaluation and saving do not count [default: none; 4.5
    /// for the built-in molecules, unless --epochs is given]
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
    /// Seed of initial weights, order of molecules and noise
    #[arg(help_heading = "Training", long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Weigh a part of the loss. Can be repeated
    #[arg(help_heading = "Training", long, value_name = "NAME=WEIGHT", value_parser = parse_weight)]
    weight: Vec<(String, f64)>,
    /// Leave a network as it starts; `atlas inspect` lists networks. Can be repeated
    #[arg(help_heading = "Training", long, value_name = "NETWORK")]
    freeze: Vec<String>,
    /// Folder of the bundle; a bundle that is there is replaced [default: runs/MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
    let mut plan = Plan::of(&args)?;
    plan.announce();
    interrupt::watch("stopping after this step")?;
    let run = Run {
        params: plan.settings.clone(),
        seed: args.seed,
        max_time: plan.max_time,
        weights: args.weight.clone(),
        rows: &plan.lines,
    };
    let mut watch = Watch::new(&plan.out, &plan.held_out, plan.note.clone());
    let ended = train::train(&mut *plan.model, &plan.examples, &run, &mut watch);
    let saved = watch.finish();
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
            output::print(&format!("{}\n", result(&plan, &ended, &saved, args.json)?))
        }
        saved => Err(Failure::Interrupted(interrupted(&plan, &ended, saved))),
    }
}

/// What is said after Ctrl-C: how far training got, and what is left of it.
fn interrupted(plan: &Plan, ended: &Ended, saved: Option<Saved>) -> String {
    let steps = grouped(usize::try_from(ended.steps).unwrap_or(usize::MAX));
    let (epoch, epochs) = (ended.epochs, plan.settings.epochs);
    let place = format!("interrupted in epoch {epoch} of {epochs}, at step {steps}");
    let Some(saved) = saved else {
        return format!("{place}; nothing was saved: the first save is after the first epoch");
    };
    let held_out = saved
        .held_out
        .map_or(String::new(), |scores| format!(", {}", headline(&scores)));
    format!(
        "{place}; {} is whole and holds epoch {}{held_out}",
        plan.out.display(),
        saved.epoch
    )
}

/// The last line.
fn result(plan: &Plan, ended: &Ended, saved: &Saved, json: bool) -> Outcome<String> {
    if json {
        return Ok(summary(plan, ended, saved)?.to_string());
    }
    let held_out = saved.held_out.as_ref();
    let held_out = held_out.map_or("no molecules held out".to_owned(), headline);
    Ok(format!("{}: {held_out}", plan.out.display()))
}

fn summary(plan: &Plan, ended: &Ended, saved: &Saved) -> Outcome<Value> {
    Ok(json!({
        "bundle": plan.out,
        "model": plan.model.name(),
        "digest": plan.model.digest()?,
        "data": plan.note.trained_on.data,
        "stopped": stopped(ended.stopped),
        "epochs": ended.epochs,
        "steps": ended.steps,
        "seconds": ended.elapsed.as_secs_f64(),
        "loss": saved.loss,
        "held_out": saved.held_out.as_ref().map(scores),
    }))
}

/// Why training ended, in a word.
fn stopped(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Finished => "finished",
        Stopped::TimeUp => "time-up",
        Stopped::Interrupted => "interrupted",
    }
}

impl Plan {
    /// Says what is about to happen.
    fn announce(&self) {
        let elements: usize = self
            .model
            .networks()
            .iter()
            .map(atlas_core::NetworkVars::elements)
            .sum();
        let limit = self.max_time.map_or(String::new(), |time: Duration| {
            format!(", at most {} in all", clock(time))
        });
        output::say(&format_args!(
            "{}: {} weights; {} to train on, {} held out; {} of {}{limit}",
            self.model.name(),
            grouped(elements),
            molecules_of(&self.note.trained_on.data.source, self.examples.len(), ""),
            grouped(self.held_out.len()),
            count(self.settings.epochs, "epoch"),
            count(self.examples.len().div_ceil(self.settings.batch), "step"),
        ));
        if self.replaces {
            output::say(&format_args!(
                "the bundle in {} will be replaced after the first epoch",
                self.out.display()
            ));
        }
    }
}
