//! `atlas sample`: molecules from the prior.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use atlas_core::Draws;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::chem;
use crate::cli::Models;
use crate::cli::drawing::GridFile;
use crate::cli::failure::{Failure, Result};
use crate::cli::model::{for_model, in_line};
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::{count, grouped, percent};
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{output, progress};
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas sample runs/gru-vae -n 1000 -o new.smi
  atlas sample runs/gru-vae -n 1000 --valid --unique --seed 7
  atlas sample runs/gru-vae -n 10 --greedy --json";

/// Molecules that are drawn at a time.
const BATCH: usize = 512;
/// After so many draws in a row of which none was wanted, the command gives up.
const PATIENCE: usize = 10_000;

/// Draw new molecules from the prior
///
/// Draws latents from the model's prior, standard normal unless the model has another, and from each
/// a string token by token, by the model's own probabilities. Draw number i of a seed is always the
/// same, however many are drawn. An empty string is written as <empty>. A message at the end says
/// how many are valid molecules, and how many of those are distinct.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Strings to write
    #[arg(short, long = "number", value_name = "N", default_value_t = 10, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    number: usize,
    /// What the model's logits are divided by: below 1 probable strings are drawn more often, above
    /// 1 less often
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    temperature: f64,
    /// From each latent take the most probable string that the model finds
    #[arg(long, conflicts_with = "temperature")]
    greedy: bool,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Leave out strings that are not valid molecules, and draw on
    #[arg(long)]
    valid: bool,
    /// Leave out molecules that were drawn before, in whatever spelling, and draw on
    #[arg(long)]
    unique: bool,
    /// File to write, a string a line; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Draw the strings, with their numbers, as an SVG
    #[arg(long, value_name = "FILE.svg")]
    grid: Option<PathBuf>,
    /// Print a JSON object with every count and share; the strings as well, unless they go to a file
    #[arg(long)]
    json: bool,
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(temperature) if temperature > 0.0 && temperature.is_finite() => Ok(temperature),
        _ => Err("expected a finite number above 0".to_owned()),
    }
}

pub fn run(args: &Args, models: &Models) -> Result {
    // The strings belong to the JSON object where that is all that is printed.
    let is_collected = args.json && args.output == Path::new("-");
    let mut output = (!is_collected)
        .then(|| OutputFile::create(&args.output))
        .transpose()?;
    let mut grid = GridFile::create(args.grid.as_deref())?;
    let model = models.load(&args.bundle)?;
    if let Some(output) = &output {
        output.watch_interrupts()?;
    }
    let mut tally = Tally::default();
    let mut collected = Vec::new();
    let bar = progress::counter(Some(args.number), "strings");
    while tally.written < args.number {
        for string in draw(&*model, args, tally.drawn)? {
            if let Some(molecule) = tally.judge(string, args) {
                grid.add(&molecule.smiles, tally.written);
                match &mut output {
                    Some(output) => output.line(in_line(&molecule.smiles))?,
                    None => collected.push(molecule),
                }
            }
            if tally.written == args.number {
                break;
            }
        }
        bar.set_position(tally.written as u64);
        tally.check_patience(args)?;
        if let Some(output) = &mut output {
            output.flush()?;
            output.check_interrupt()?;
        }
    }
    drop(bar);
    if let Some(output) = output {
        output.finish()?;
    }
    grid.finish()?;
    if args.json {
        let collected = is_collected.then_some(collected);
        return output::print_json(&tally.to_json(args, &model.digest()?, collected));
    }
    output::say(&tally.to_text(args));
    Ok(())
}

/// The strings of the draws from number `first` on.
fn draw(model: &dyn MoleculeAutoencoder, args: &Args, first: usize) -> Result<Vec<String>> {
    // Some of the draws may be left out.
    let batch = if args.valid || args.unique {
        BATCH
    } else {
        BATCH.min(args.number - first)
    };
    let draws = Draws {
        seed: args.seed,
        first: first as u64,
    };
    let latents = for_model(model, &model.prior(draws, batch)?)?;
    Ok(if args.greedy {
        model.decode(&latents)?
    } else {
        model.sample(&latents, draws, args.temperature)?
    })
}

/// A string that was drawn and is wanted.
struct Molecule {
    smiles: String,
    is_valid: bool,
}

/// Counts of the draws.
#[derive(Default)]
struct Tally {
    drawn: usize,
    written: usize,
    valid: usize,
    empty: usize,
    /// Distinct molecules among the valid ones.
    distinct: usize,
    /// Draws since the last one that was wanted.
    unwanted: usize,
    /// What was drawn, by digests, which are shorter: of canonical forms, and of strings that have
    /// none.
    seen: HashSet<[u8; 32]>,
}

impl Tally {
    /// Counts a string; gives it back if it is wanted.
    fn judge(&mut self, smiles: String, args: &Args) -> Option<Molecule> {
        let canonical = chem::canonical(&smiles);
        let is_valid = canonical.is_ok();
        let is_new = match canonical {
            Ok(form) => self.seen.insert(digest(b"molecule ", &form)),
            Err(_) => self.seen.insert(digest(b"string ", &smiles)),
        };
        self.drawn += 1;
        self.valid += usize::from(is_valid);
        self.empty += usize::from(smiles.is_empty());
        self.distinct += usize::from(is_valid && is_new);
        if (args.valid && !is_valid) || (args.unique && !is_new) {
            self.unwanted += 1;
            return None;
        }
        self.unwanted = 0;
        self.written += 1;
        Some(Molecule { smiles, is_valid })
    }

    /// # Errors
    /// If nothing that is wanted was drawn for too long.
    fn check_patience(&self, args: &Args) -> Result {
        if self.unwanted < PATIENCE {
            return Ok(());
        }
        let wanted = match (args.valid, args.unique) {
            (true, true) => "valid and new",
            (true, false) => "valid",
            (false, _) => "new",
        };
        Err(Failure::new(format_args!(
            "{} of {} after {}: none of the last {} was {wanted}",
            grouped(self.written),
            count(args.number, "string"),
            count(self.drawn, "draw"),
            grouped(self.unwanted),
        )))
    }

    fn to_json(&self, args: &Args, digest: &str, molecules: Option<Vec<Molecule>>) -> Value {
        let mut object = json!({
            "bundle": path_json(&args.bundle),
            "digest": digest,
            "seed": args.seed,
            "temperature": (!args.greedy).then_some(args.temperature),
            "drawn": self.drawn,
            "written": self.written,
            "valid": self.valid,
            "valid_share": share(self.valid, self.drawn),
            "empty": self.empty,
            "unique": self.distinct,
            "unique_share": share(self.distinct, self.valid),
        });
        if let Some(molecules) = molecules {
            let to_json = |molecule: Molecule| json!({ "smiles": molecule.smiles, "valid": molecule.is_valid });
            object["molecules"] = molecules.into_iter().map(to_json).collect();
        }
        object
    }

    fn to_text(&self, args: &Args) -> String {
        let empty = match self.empty {
            0 => String::new(),
            empty => format!("; {} empty", grouped(empty)),
        };
        format!(
            "drew {} with seed {}: {}, {}; {} of them distinct, {}{empty}",
            count(self.drawn, "string"),
            args.seed,
            count(self.valid, "valid molecule"),
            percent(share(self.valid, self.drawn)),
            grouped(self.distinct),
            percent(share(self.distinct, self.valid)),
        )
    }
}

fn digest(kind: &[u8], text: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(text.as_bytes());
    *hasher.finalize().as_bytes()
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
