//! `atlas sample`

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::chem;
use crate::models::{self, MoleculeAutoencoder};
use atlas_core::Draws;
use serde_json::{Value, json};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::partial::Partial;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::output;
use crate::cli::terminal::progress::Progress;
use crate::cli::terminal::text::{count, grouped, percent};

const EXAMPLES: &str = "\
Examples:
  atlas sample runs/gru-vae -n 1000 -o new.smi
  atlas sample runs/gru-vae -n 1000 --valid --unique --seed 7
  atlas sample runs/gru-vae -n 10 --greedy --json";

/// Molecules that are drawn at a time.
const BATCH: usize = 512;
/// Draws in a row of which none was wanted, after which there is no point in going on.
const PATIENCE: u64 = 10_000;

/// Draw new molecules from the prior
///
/// Draws latents from the model's prior, standard normal unless the model has another, and from each
/// a string token by token, by the model's own probabilities. Draw number i of a seed is always the
/// same, however many are drawn. How many are valid molecules, and how many of those are distinct,
/// is said at the end.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Strings to write
    #[arg(short, long = "number", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    /// What the model's logits are divided by: below 1 its favourites are drawn more often, above 1
    /// less
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
    /// Leave out molecules that were drawn before, however they are spelt, and draw on
    #[arg(long)]
    unique: bool,
    /// File to write, a string a line; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
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

pub fn run(args: Args) -> Outcome {
    let mut target = Target::open(&args)?;
    let model = models::registry().load(&args.bundle)?;
    if let Target::File(..) = target {
        interrupt::watch("stopping after this batch, leaving no file")?;
    }
    let mut tally = Tally::default();
    let mut fruitless = 0;
    let progress = Progress::counting(Some(size(args.number)), "strings");
    while tally.written < args.number {
        for string in draw(&*model, &args, tally.drawn)? {
            let wanted = tally.judge(string, &args);
            fruitless = if wanted.is_some() { 0 } else { fruitless + 1 };
            if let Some(row) = wanted {
                target.write(row)?;
            }
            if tally.written == args.number {
                break;
            }
        }
        target.flush()?;
        progress.done(size(tally.written));
        if fruitless >= PATIENCE {
            return Err(Failure::new(format_args!(
                "{} of {} after {}: none of the last {} was {}",
                grouped(size(tally.written)),
                counted(args.number, "string"),
                counted(tally.drawn, "draw"),
                grouped(size(fruitless)),
                wanted(&args),
            )));
        }
        if interrupt::is_asked() {
            return Err(Failure::Interrupted(format!(
                "interrupted; {} is as it was",
                args.output.display()
            )));
        }
    }
    drop(progress);
    let rows = target.finish()?;
    if args.json {
        return output::print_json(&tally.to_json(&args, &model.digest()?, rows));
    }
    output::say(&tally.to_text(&args));
    Ok(())
}

/// The strings of the draws from number `first` on.
fn draw(model: &dyn MoleculeAutoencoder, args: &Args, first: u64) -> Outcome<Vec<String>> {
    let is_choosy = args.valid || args.unique;
    let batch = match is_choosy {
        true => BATCH,
        false => BATCH.min(size(args.number - first)),
    };
    let draws = Draws {
        seed: args.seed,
        first,
    };
    let latents = model
        .prior(draws, batch)?
        .to_dtype(model.dtype())?
        .to_device(model.device())?;
    Ok(match args.greedy {
        true => model.decode(&latents)?,
        false => model.sample(&latents, draws, args.temperature)?,
    })
}

/// A string that was drawn and is wanted.
struct Row {
    smiles: String,
    is_valid: bool,
}

/// What the draws came to.
#[derive(Default)]
struct Tally {
    drawn: u64,
    written: u64,
    valid: u64,
    /// Molecules among the valid ones.
    distinct: u64,
    /// Digests, shorter than what they stand for: of canonical forms, and of what has none.
    seen: HashSet<[u8; 32]>,
}

impl Tally {
    /// Counts a string; gives it back if it is wanted.
    fn judge(&mut self, smiles: String, args: &Args) -> Option<Row> {
        let canonical = chem::canonical(&smiles);
        let is_valid = canonical.is_ok();
        let is_new = match canonical {
            Ok(form) => self.seen.insert(digest(b"molecule ", &form)),
            Err(_) => self.seen.insert(digest(b"string ", &smiles)),
        };
        self.drawn += 1;
        self.valid += u64::from(is_valid);
        self.distinct += u64::from(is_valid && is_new);
        if (args.valid && !is_valid) || (args.unique && !is_new) {
            return None;
        }
        self.written += 1;
        Some(Row { smiles, is_valid })
    }

    fn to_json(&self, args: &Args, digest: &str, rows: Option<Vec<Row>>) -> Value {
        let mut object = json!({
            "bundle": args.bundle,
            "digest": digest,
            "seed": args.seed,
            "temperature": (!args.greedy).then_some(args.temperature),
            "drawn": self.drawn,
            "written": self.written,
            "valid": self.valid,
            "valid_share": share(self.valid, self.drawn),
            "unique": self.distinct,
            "unique_share": share(self.distinct, self.valid),
        });
        if let Some(rows) = rows {
            let molecule = |row: Row| json!({ "smiles": row.smiles, "valid": row.is_valid });
            object["molecules"] = rows.into_iter().map(molecule).collect();
        }
        object
    }

    fn to_text(&self, args: &Args) -> String {
        format!(
            "drew {} with seed {}: {}, {}; {} of them distinct, {}",
            counted(self.drawn, "string"),
            args.seed,
            counted(self.valid, "valid molecule"),
            percent(share(self.valid, self.drawn)),
            grouped(size(self.distinct)),
            percent(share(self.distinct, self.valid)),
        )
    }
}

fn digest(kind: &[u8], text: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(text.as_bytes());
    *hasher.finalize().as_bytes()
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn counted(number: u64, what: &str) -> String {
    count(size(number), what)
}

/// What the strings that are left out are not.
fn wanted(args: &Args) -> &'static str {
    match (args.valid, args.unique) {
        (true, true) => "valid and new",
        (true, false) => "valid",
        (false, _) => "new",
    }
}

/// Where the strings go.
enum Target {
    Output(BufWriter<io::Stdout>),
    File(BufWriter<File>, Partial),
    /// Into the JSON object.
    Rows(Vec<Row>),
}

impl Target {
    fn open(args: &Args) -> Outcome<Self> {
        if args.output != Path::new("-") {
            let (partial, file) = Partial::create(&args.output)?;
            return Ok(Self::File(BufWriter::new(file), partial));
        }
        Ok(match args.json {
            true => Self::Rows(Vec::new()),
            false => Self::Output(BufWriter::new(io::stdout())),
        })
    }

    fn write(&mut self, row: Row) -> Outcome {
        match self {
            Self::Output(to) => writeln!(to, "{}", row.smiles).map_err(Failure::Output),
            Self::File(to, partial) => {
                writeln!(to, "{}", row.smiles).map_err(|error| partial.failed(error))
            }
            Self::Rows(rows) => {
                rows.push(row);
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Outcome {
        match self {
            Self::Output(to) => to.flush().map_err(Failure::Output),
            Self::File(to, partial) => to.flush().map_err(|error| partial.failed(error)),
            Self::Rows(_) => Ok(()),
        }
    }

    /// The rows that are to be printed with the counts.
    fn finish(mut self) -> Outcome<Option<Vec<Row>>> {
        self.flush()?;
        match self {
            Self::Output(_) => Ok(None),
            Self::File(_, partial) => partial.commit().map(|()| None),
            Self::Rows(rows) => Ok(Some(rows)),
        }
    }
}
