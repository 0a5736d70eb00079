//! `atlas sample`: molecules from the prior.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use atlas_core::Draws;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::chem;
use crate::cli::Models;
use crate::cli::drawing::GridFile;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::generation::{Comparison, FIGURES, table_of, write_each};
use crate::cli::model::{PriorChoice, in_line, latents, write_guided};
use crate::cli::molecules::RowArgs;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::{count, grouped, percent};
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{interrupt, output, progress};
use crate::cli::training_note::TrainedOn;
use crate::data::Molecules;
use crate::models::MoleculeAutoencoder;
use crate::nn::TokenChoice;

const EXAMPLES: &str = "\
Examples:
  atlas sample runs/gru-vae -n 1000 -o new.smi
  atlas sample runs/gru-vae -n 1000 --valid --unique --seed 7
  atlas sample runs/gru-vae -n 10 --greedy --json
  atlas sample runs/gru-vae -n 1000 --guided --prior standard
  atlas sample runs/gru-vae -n 10000 -o new.smi --reference zinc.smi --per-molecule new.csv";

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
#[command(after_help = EXAMPLES, after_long_help = format!("{FIGURES}\n\n{EXAMPLES}"))]
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
    /// Write no token after which no molecule can follow, by the grammar of molecules
    #[arg(long)]
    guided: bool,
    /// What latents are drawn from: the standard normal distribution, or the density that was fitted
    /// to the latents of the training set [default: fitted, where there is one]
    #[arg(long, value_name = "PRIOR")]
    prior: Option<PriorChoice>,
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
    /// Say also how the strings that are written compare with the molecules of FILE, and how many of
    /// them are not in it
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    rows: RowArgs,
    /// Write what each string is to a CSV file: its number, from 1 as in --grid, whether it is valid,
    /// its canonical form, logP, SA, QED and weight in g/mol; with --reference also Tanimoto's
    /// similarity to the nearest molecule of FILE, and whether it is in it
    #[arg(long, value_name = "FILE")]
    per_molecule: Option<PathBuf>,
    /// Draw the strings, the first 500, with their numbers, as an SVG
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
    if args.reference.is_none() && (args.rows.is_given() || args.rows.skip_invalid) {
        return Err(usage(Failure::new(
            "--smiles-column, --name-column, --standardise, --skip-invalid and --skipped say how \
             --reference is read",
        )));
    }
    // The strings belong to the JSON object where that is all that is printed.
    let is_collected = args.json && args.output == Path::new("-");
    let mut output = (!is_collected)
        .then(|| OutputFile::create(&args.output))
        .transpose()?;
    let each = args.per_molecule.as_deref().map(OutputFile::create);
    let each = each.transpose()?;
    let mut grid = GridFile::create(args.grid.as_deref())?;
    let model = models.load(&args.bundle)?;
    check_prior(&*model, args)?;
    let known = args.reference.as_deref();
    let known = known.map(|path| read_reference(path, &args.rows, &*model));
    let known = known.transpose()?;
    if let Some(output) = &output {
        output.watch_interrupts()?;
    }
    let mut tally = Tally::default();
    let mut collected = Vec::new();
    let mut compared = Vec::new();
    let bar = progress::counter(Some(args.number), "strings");
    while tally.written < args.number {
        for string in draw(&*model, args, tally.drawn)? {
            if let Some(molecule) = tally.judge(string, args) {
                if known.is_some() || each.is_some() {
                    compared.push(molecule.smiles.clone());
                }
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
    // The strings are written.
    interrupt::set_waiting(true);
    let comparison = known.as_ref().map(Comparison::new).transpose()?;
    let figures = comparison.as_ref();
    let figures = figures.map(|with| with.figures(&compared, args.seed));
    if let Some(table) = each {
        write_each(table, &compared, comparison.as_ref())?;
    }
    grid.finish()?;
    if args.json {
        let collected = is_collected.then_some(collected);
        let mut object = tally.to_json(args, &*model, collected)?;
        if let (Some(figures), Some(known)) = (figures, known) {
            object["reference"] = known.source().into();
            object["generation"] = json!(figures);
        }
        return output::print_json(&object);
    }
    output::say(&tally.to_text(args));
    if let Some(figures) = figures {
        output::say(&table_of(&figures).render(None).trim_end());
    }
    Ok(())
}

/// An error if the prior that is asked for was not fitted.
fn check_prior(model: &dyn MoleculeAutoencoder, args: &Args) -> Result {
    if args.prior == Some(PriorChoice::Fitted) && !model.has_fitted_prior() {
        let bundle = args.bundle.display();
        return Err(Failure::new(format_args!(
            "the prior of {bundle} is not fitted: `atlas fit-prior {bundle}` fits one"
        )));
    }
    Ok(())
}

/// The molecules that strings are compared with.
fn read_reference(
    path: &Path,
    rows: &RowArgs,
    model: &dyn MoleculeAutoencoder,
) -> Result<Molecules> {
    let trained = TrainedOn::of(model.provenance());
    let trained = trained.as_ref().map(|known| &known.data.rows.standardise);
    let data = rows.read_all(path, trained)?;
    rows.settle(&data)?;
    Ok(data)
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
    let latents = latents(model, args.prior, draws, batch)?;
    if args.guided {
        let choice = if args.greedy {
            TokenChoice::Greedy
        } else {
            TokenChoice::drawn(draws, args.temperature)
        };
        return write_guided(model, &latents, choice);
    }
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

    fn to_json(
        &self,
        args: &Args,
        model: &dyn MoleculeAutoencoder,
        molecules: Option<Vec<Molecule>>,
    ) -> Result<Value> {
        let fitted = model.has_fitted_prior().then_some(PriorChoice::Fitted);
        let mut object = json!({
            "bundle": path_json(&args.bundle),
            "digest": model.digest()?,
            "seed": args.seed,
            "temperature": (!args.greedy).then_some(args.temperature),
            "guided": args.guided,
            "prior": args.prior.or(fitted).map(PriorChoice::name),
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
        Ok(object)
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
