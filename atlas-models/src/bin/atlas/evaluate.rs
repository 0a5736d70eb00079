//! `atlas evaluate`

use std::path::{Path, PathBuf};

use atlas_models::data::{MemoryLimit, Molecules};
use atlas_models::metrics::{Reconstruction, reconstruction};
use atlas_models::models::{self, MoleculeAutoencoder};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::molecules;
use crate::notes::{TrainedOn, molecules_of, scores};
use crate::output;
use crate::progress::Progress;
use crate::table::Table;
use crate::text::{grouped, percent};

const EXAMPLES: &str = "\
Examples:
  atlas evaluate runs/gru-vae
  atlas evaluate runs/gru-vae --data other.smi --limit 5000
  atlas evaluate runs/gru-vae --json | jq .exact_share";

/// Measure how many molecules survive encoding and decoding
///
/// Molecules that the model has seen say little: of the molecules that a bundle was trained on, which
/// are known by their digest, the part that was held out is evaluated.
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Leave out, and count, rows that are not SMILES or have a token that the model does not know
    #[arg(long)]
    skip_invalid: bool,
    /// Print a JSON object with every count and share
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let model = models::registry().load(&args.bundle)?;
    let trained_on = TrainedOn::of(model.provenance());
    let data = match &args.data {
        Some(path) => read(path, &*model, args.skip_invalid)?,
        None => read_again(&args.bundle, trained_on.as_ref(), &*model)?,
    };
    molecules::report_skipped(data.source(), data.skipped());
    let mut chosen = choose(&data, trained_on.as_ref(), args.all)?;
    if let Some(limit) = args.limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        chosen.molecules = chosen.molecules.first(limit);
    }
    let result = evaluate(&*model, &chosen.molecules)?;
    if args.json {
        let mut object = json!({
            "bundle": args.bundle,
            "digest": model.digest()?,
            "data": data.source(),
            "part": chosen.part,
            "skipped": data.skipped().count,
        });
        if let Value::Object(members) = &mut object {
            members.extend(scores(&result));
        }
        return output::print_json(&object);
    }
    output::print(&to_text(&args, data.source(), chosen.part, &result))
}

fn read(path: &Path, model: &dyn MoleculeAutoencoder, skip_invalid: bool) -> Outcome<Molecules> {
    let mut data = molecules::read(path, MemoryLimit::default(), skip_invalid)?;
    molecules::keep_known(&mut data, model, skip_invalid)?;
    Ok(data)
}

/// The molecules that the bundle was trained on, known by their digest.
fn read_again(
    bundle: &Path,
    trained_on: Option<&TrainedOn>,
    model: &dyn MoleculeAutoencoder,
) -> Outcome<Molecules> {
    let bundle = bundle.display();
    let Some(known) = trained_on.map(|known| &known.data) else {
        return Err(Failure::new(format_args!(
            "{bundle} does not say what it was trained on; name molecules by --data"
        )));
    };
    let mut built_in = Molecules::built_in(MemoryLimit::default())?;
    if known.source == built_in.source() {
        built_in.keep_representable(model)?;
        if known.digest == built_in.digest()? {
            return Ok(built_in);
        }
        return Err(Failure::new(format_args!(
            "{bundle} was trained on the built-in molecules of atlas {}, which are not those of \
             this version; name molecules by --data",
            model.provenance().atlas()
        )));
    }
    let path = Path::new(&known.source);
    if !path.is_file() {
        return Err(Failure::new(format_args!(
            "{bundle} was trained on {}, which is not here; name molecules by --data",
            known.source
        )));
    }
    let data = read(path, model, known.skipped > 0)?;
    if data.digest()? != known.digest {
        return Err(Failure::new(format_args!(
            "{} has changed since {bundle} was trained on it; name molecules by --data",
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
fn choose(data: &Molecules, trained_on: Option<&TrainedOn>, all: bool) -> Outcome<Chosen> {
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

fn evaluate(model: &dyn MoleculeAutoencoder, molecules: &Molecules) -> Outcome<Reconstruction> {
    let progress = Progress::counting(Some(molecules.len()), "molecules");
    Ok(reconstruction(model, molecules, &mut |done| {
        progress.done(done)
    })?)
}

fn to_text(args: &Args, source: &str, part: &str, result: &Reconstruction) -> String {
    let part = if part == "all" { "" } else { "held-out " };
    let what = molecules_of(source, result.molecules, part);
    let heading = output::heading(&format!("{} on {what}", args.bundle.display()));
    let mut table = Table::new(&[], &[1]);
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
