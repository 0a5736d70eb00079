//! `atlas evaluate`: how well a model reconstructs molecules.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::cli::Models;
use crate::cli::failure::{Failure, Result};
use crate::cli::molecules;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{grouped, percent};
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{output, progress};
use crate::cli::training_note::{TrainedOn, molecules_of, scores_json};
use crate::data::{MemoryLimit, Molecules};
use crate::metrics::{Reconstruction, reconstruction};
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas evaluate runs/gru-vae
  atlas evaluate runs/gru-vae --data other.smi --limit 5000
  atlas evaluate runs/gru-vae --json | jq .exact_share";

/// Measure how many molecules survive encoding and decoding
///
/// Molecules that the model has seen say little. Of the molecules that a bundle was trained on, which
/// are recognised by their digest, only those that were held out are evaluated.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// SMILES file, - for standard input [default: what the bundle was trained on, if it is still
    /// there]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Evaluate every molecule, also those that the model was trained on
    #[arg(long)]
    all: bool,
    /// Evaluate no more than the first N molecules
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
    /// Leave out, and count, rows that are not SMILES or have a token that the model does not know
    #[arg(long)]
    skip_invalid: bool,
    /// Print a JSON object with every count and share
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let model = models.load(&args.bundle)?;
    let trained_on = TrainedOn::of(model.provenance());
    let data = match &args.data {
        Some(path) => read(path, &*model, args.skip_invalid)?,
        None => read_again(&args.bundle, trained_on.as_ref(), &*model)?,
    };
    molecules::report_skipped(data.source(), data.skipped());
    let mut chosen = choose(&data, trained_on.as_ref(), args.all)?;
    if let Some(limit) = args.limit {
        chosen.molecules = chosen.molecules.first(limit);
    }
    let scores = evaluate(&*model, &chosen.molecules)?;
    if !args.json {
        return output::print(&to_text(args, data.source(), chosen.part, &scores));
    }
    let mut object = json!({
        "bundle": path_json(&args.bundle),
        "digest": model.digest()?,
        "data": data.source(),
        "part": chosen.part,
        "skipped": data.skipped().count,
    });
    if let Value::Object(members) = &mut object {
        members.extend(scores_json(&scores));
    }
    output::print_json(&object)
}

/// The molecules of a file that the model can represent; others are an error unless they are to be
/// skipped.
fn read(path: &Path, model: &dyn MoleculeAutoencoder, skip_invalid: bool) -> Result<Molecules> {
    let mut data = molecules::read(path, MemoryLimit::default())?;
    data.keep_representable(model)?;
    if !skip_invalid {
        molecules::refuse(data.source(), data.skipped())?;
    }
    if data.is_empty() {
        return Err(Failure::new(format_args!(
            "{} holds no molecule that the model can represent",
            data.source()
        )));
    }
    Ok(data)
}

/// The molecules that the bundle was trained on, known by their digest.
fn read_again(
    bundle: &Path,
    trained_on: Option<&TrainedOn>,
    model: &dyn MoleculeAutoencoder,
) -> Result<Molecules> {
    let bundle = bundle.display();
    let refused = |why: &dyn Display| Failure::new(format_args!("{why}; name molecules by --data"));
    let Some(TrainedOn { data: known, .. }) = trained_on else {
        return Err(refused(&format_args!(
            "{bundle} does not say what it was trained on"
        )));
    };
    let mut built_in = Molecules::built_in(MemoryLimit::default())?;
    if known.source == built_in.source() {
        // Training has left out, and not digested, what the model cannot represent.
        built_in.keep_representable(model)?;
        if known.digest == built_in.digest()? {
            return Ok(built_in);
        }
        return Err(refused(&format_args!(
            "{bundle} was trained on the built-in molecules of atlas {}, which are not those of \
             this version",
            model.provenance().atlas()
        )));
    }
    let path = Path::new(&known.source);
    if !path.is_file() {
        return Err(refused(&format_args!(
            "{bundle} was trained on {}, which is not here",
            known.source
        )));
    }
    let data = read(path, model, known.skipped > 0)?;
    if data.digest()? != known.digest {
        return Err(refused(&format_args!(
            "{} has changed since {bundle} was trained on it",
            known.source
        )));
    }
    Ok(data)
}

/// Molecules to evaluate.
struct Chosen {
    molecules: Molecules,
    /// `held-out` or `all`.
    part: &'static str,
}

/// The part that was held out of the data that the model was trained on, all of other data.
fn choose(data: &Molecules, trained_on: Option<&TrainedOn>, all: bool) -> Result<Chosen> {
    let everything = || Chosen {
        molecules: data.clone(),
        part: "all",
    };
    let digest = data.digest()?;
    let Some(known) = trained_on.filter(|known| known.data.digest == digest) else {
        return Ok(everything());
    };
    if all {
        output::say(&format_args!(
            "the model has seen most of these molecules: it was trained on {}",
            data.source()
        ));
        return Ok(everything());
    }
    if known.held_out.molecules == 0 {
        return Err(Failure::new(format_args!(
            "the model was trained on all of {}; --all evaluates it on what it has seen",
            data.source()
        )));
    }
    let split = data.split(known.held_out.molecules, known.held_out.seed)?;
    Ok(Chosen {
        molecules: split.held_out,
        part: "held-out",
    })
}

fn evaluate(model: &dyn MoleculeAutoencoder, molecules: &Molecules) -> Result<Reconstruction> {
    let bar = progress::counter(Some(molecules.len()), "molecules");
    Ok(reconstruction(model, molecules, &mut |done| {
        bar.set_position(done as u64)
    })?)
}

fn to_text(args: &Args, source: &str, part: &str, result: &Reconstruction) -> String {
    let part = if part == "all" { "" } else { "held-out " };
    let what = molecules_of(source, result.molecules, part);
    let heading = output::heading(&format!("{} on {what}", args.bundle.display()));
    let mut table = Table::new(&[], [1]);
    let mut row = |name: &str, share: f64, of: [usize; 2], what: &str| {
        table.row([
            name.to_owned(),
            percent(share),
            format!("{} of {}", grouped(of[0]), grouped(of[1])),
            what.to_owned(),
        ]);
    };
    row(
        "exact",
        result.exact_share(),
        [result.exact, result.molecules],
        "came back as the same string",
    );
    row(
        "canonical",
        result.canonical_share(),
        [result.canonical, result.molecules],
        "came back as the same molecule",
    );
    row(
        "valid",
        result.valid_share(),
        [result.valid, result.molecules],
        "came back as a possible molecule",
    );
    row(
        "tokens",
        result.token_share(),
        [result.tokens_right, result.tokens],
        "tokens came back in their place",
    );
    format!("{heading}\n{}", table.render(None))
}
