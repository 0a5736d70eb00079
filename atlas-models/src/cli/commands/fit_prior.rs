//! `atlas fit-prior`: fits the density that new latents are drawn from.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use serde_json::json;

use crate::cli::Models;
use crate::cli::failure::{Failure, Result};
use crate::cli::molecules::RowArgs;
use crate::cli::prior;
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{interrupt, output};
use crate::cli::training_note::TrainedOn;
use crate::models::COMPONENTS;

const EXAMPLES: &str = "\
Examples:
  atlas fit-prior runs/gru-vae
  atlas fit-prior runs/gru-vae --data mine.smi --out runs/mine
  atlas fit-prior runs/gru-vae --components 1,50";

/// Fit the prior to the latents of molecules
///
/// Training does so at its end. A normal distribution and mixtures of several are fitted to the latents
/// of molecules, of which a tenth is held out: the one under which these are likeliest becomes the
/// prior that `sample` draws from, unless the standard normal is better. It is part of the bundle.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Molecules whose latents it is fitted to [default: what the bundle was trained on, if it is
    /// still there]
    #[arg(short = 'i', long, visible_alias = "input", value_name = "FILE")]
    data: Option<PathBuf>,
    /// Folder of the bundle with the fitted prior [default: the bundle itself]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Numbers of components to try, in this order, until one is worse than the one before
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = COMPONENTS, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    components: Vec<usize>,
    /// Seed of the molecules that are drawn and of where the mixtures start
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    rows: RowArgs,
    /// Print a JSON object with what was tried
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, models: &Models) -> Result {
    interrupt::watch_for_bars()?;
    let model = models.load(&args.bundle)?;
    let trained_on = TrainedOn::of(model.provenance());
    let molecules = match (&args.data, &trained_on) {
        (Some(path), known) => {
            let trained = known.as_ref().map(|known| &known.data.rows.standardise);
            args.rows.read(path, trained, &*model)?
        }
        (None, Some(known)) => {
            let data = known.read_again(&args.bundle, &*model)?;
            known.split_again(&data)?.training
        }
        (None, None) => {
            return Err(Failure::new(format_args!(
                "{} does not say what it was trained on; name molecules by --data",
                args.bundle.display()
            )));
        }
    };
    drop(model);
    let out = args.out.as_ref().unwrap_or(&args.bundle);
    let note = prior::fit(
        models,
        [&args.bundle, out],
        &molecules,
        &args.components,
        args.seed,
    )?;
    if args.json {
        return output::print_json(&json!({ "bundle": path_json(out), "prior": note }));
    }
    output::print(&format!("{}\n", out.display()))
}
