//! `atlas evaluate`: how well a model reconstructs molecules, and what else it makes of its latents.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use atlas_core::Error;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use super::train::RunFolder;
use crate::cli::Models;
use crate::cli::drawing::GridFile;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::generation::{FIGURES, number_row, share_interval};
use crate::cli::latent_space::{LatentSpace, LatentSpaceArgs};
use crate::cli::model::BeamArgs;
use crate::cli::molecules::{self, RowArgs};
use crate::cli::output_file::OutputFile;
use crate::cli::shard::ShardArgs;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{count, grouped, percent};
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{interrupt, output, progress};
use crate::cli::training_note::{
    TrainedOn, intervals_json, molecules_of, of_held_out_blocks, scores_json,
};
use crate::data::{
    BUILT_IN, Input, KnownMolecules, MemoryLimit, Molecules, Record, RowOptions, Split,
};
use crate::metrics::{Estimate, Reconstructed, Reconstruction, reconstruction};
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas evaluate runs/gru-vae
  atlas evaluate runs/gru-vae --data other.smi --limit 5000
  atlas evaluate runs/gru-vae --beam 5
  atlas evaluate runs/gru-vae --samples 30000 --json | jq .generation
  atlas evaluate runs/gru-vae --samples 0 --interpolations 0 --json | jq .exact_share";

/// Measure how many molecules survive encoding and decoding, and how good new ones are
///
/// Molecules that the model has seen say little. Of the molecules that a bundle was trained on, which
/// are recognised by their digest, only those that were held out are evaluated. Of other molecules it
/// is said how many were trained on, in whatever spelling. All molecules of a shard are evaluated;
/// the counts of all shards can be added up.
///
/// Strings from the prior are compared with the evaluated molecules; novel are those that training
/// did not see. What lies between the latents of molecules, and how many dimensions of a latent are
/// used, is measured too.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{FIGURES}\n\n{EXAMPLES}"))]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Molecules: SMILES, one a line and optionally followed by a name; a table (.csv, .tsv); an
    /// SDF; each of them also as .gz or .zst; several as a pattern in quotes, such as 'zinc/*.smi'; -
    /// is standard input [default: what the bundle was trained on, if it is still there]
    #[arg(short = 'i', long, visible_alias = "input", value_name = "FILE")]
    data: Option<PathBuf>,
    /// What the bundle was trained on, to tell how many of the evaluated molecules it has seen
    /// [default: what BUNDLE.run remembers of it, or the file that the bundle names]
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Evaluate every molecule, also those that the model was trained on
    #[arg(long)]
    all: bool,
    /// Evaluate no more than the first N molecules
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
    /// Write what became of each molecule to a CSV file: its part (all, held-out or
    /// held-out-blocks), row, line (of several files and of a shard: file, offset) and name, what
    /// it was decoded to, whether that is the string that the model was to write, the same molecule and valid,
    /// Tanimoto's similarity of the two, and whether it was trained on
    #[arg(long, value_name = "FILE")]
    per_molecule: Option<PathBuf>,
    /// Draw the first 250 molecules that did not come back, each beside what it was decoded to, as an
    /// SVG
    #[arg(long, value_name = "FILE.svg")]
    grid: Option<PathBuf>,
    #[command(flatten)]
    beam: BeamArgs,
    #[command(flatten)]
    latent_space: LatentSpaceArgs,
    #[command(flatten)]
    rows: RowArgs,
    #[command(flatten)]
    shard: ShardArgs,
    /// Print a JSON object with every count, share and figure, and their intervals
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, models: &Models) -> Result {
    if args.data.is_none() && (args.rows.is_given() || args.rows.skipped.is_some()) {
        return Err(usage(Failure::new(
            "--smiles-column, --name-column, --standardise and --skipped say how --data is \
             read; what a bundle was trained on is read as it was then",
        )));
    }
    let shard = args.shard.shard()?;
    if args.data.is_none() && shard.is_some() {
        return Err(usage(Failure::new(
            "--shard cuts the files that --data names; what a bundle was trained on is not cut",
        )));
    }
    let mut table = args
        .per_molecule
        .as_deref()
        .map(OutputFile::create)
        .transpose()?;
    let mut grid = GridFile::create(args.grid.as_deref())?;
    match &table {
        Some(table) => table.watch_interrupts()?,
        None => interrupt::watch_for_bars()?,
    }
    let model = models.load(&args.bundle)?;
    let trained_on = TrainedOn::of(model.provenance());
    let data = match &args.data {
        Some(path) => {
            let trained = trained_on
                .as_ref()
                .map(|known| &known.data.rows.standardise);
            let input = Input::find(path)?;
            let input = match shard {
                Some(shard) => input.shard(shard)?,
                None => input,
            };
            args.rows.read_input(&input, trained, &*model)?
        }
        None => read_again(&args.bundle, trained_on.as_ref(), &*model)?,
    };
    // A share is not recognised as a part of what the model was trained on.
    let mut chosen = if shard.is_some() {
        Chosen::all_of(&data)
    } else {
        choose(&data, trained_on.as_ref(), args.all, &*model)?
    };
    if let Some(limit) = args.limit {
        let others = chosen.of_held_out_blocks;
        chosen.of_held_out_blocks = others.map(|molecules| molecules.first(limit));
        chosen.molecules = chosen.molecules.first(limit);
    }
    let known = match (&args.train, chosen.trained_on.take()) {
        (None, Some(known)) => Some(known),
        _ => known(args, trained_on.as_ref(), &*model)?,
    };
    let seen = |molecules| known.as_ref().map(|known| Seen::new(known, molecules));
    let seen_of_blocks = chosen
        .of_held_out_blocks
        .as_ref()
        .and_then(seen)
        .transpose()?;
    let seen = seen(&chosen.molecules).transpose()?;
    if let Some(table) = &mut table {
        let place = if data.is_located() {
            ["file", "offset"]
        } else {
            ["row", "line"]
        };
        table.row(["part"].iter().chain(&place).chain(&HEADER))?;
    }
    let (part, molecules) = (chosen.part, &chosen.molecules);
    let mut files = (table.as_mut(), &mut grid);
    let beam = args.beam.beam;
    let scores = evaluate(&*model, part, molecules, beam, seen.as_ref(), &mut files)?;
    let of_blocks = chosen.of_held_out_blocks.as_ref().map(|molecules| {
        let seen = seen_of_blocks.as_ref();
        evaluate(
            &*model,
            "held-out-blocks",
            molecules,
            beam,
            seen,
            &mut files,
        )
    });
    let of_blocks = of_blocks.transpose()?;
    grid.finish()?;
    if let Some(table) = table {
        table.finish()?;
    }
    // A shard may have no molecule.
    let latent_space = (!molecules.is_empty())
        .then(|| LatentSpace::new(&args.latent_space, &*model, molecules, known.as_ref()))
        .transpose()?;
    if !args.json {
        let mut text = to_text(args, data.source(), &chosen, seen.as_ref(), &scores);
        if let Some(scores) = of_blocks {
            let what = count(scores.molecules, "molecule");
            text += &output::heading(&format!(
                "\non {what} of building blocks that training lacks"
            ));
            text += &format!("\n{}", table_of(&scores).render(None));
        }
        text += &latent_space.map_or(String::new(), |found| found.to_text());
        return output::print(&text);
    }
    let mut object = json!({
        "bundle": path_json(&args.bundle),
        "digest": model.digest()?,
        "data": data.source(),
        "shard": shard.map(|shard| json!({ "index": shard.index, "count": shard.count })),
        "part": chosen.part,
        "beam": beam,
        "skipped": data.skipped().count,
        "impossible": data.impossible().count,
        "trained_on": seen.map(|seen| seen.count),
    });
    if let Value::Object(members) = &mut object {
        let with_intervals = |scores: &Reconstruction| {
            let mut members = scores_json(scores);
            members.insert("intervals".to_owned(), intervals_json(scores));
            members
        };
        members.extend(with_intervals(&scores));
        if let Some(scores) = &of_blocks {
            let scores = Value::Object(with_intervals(scores));
            members.insert("of_held_out_blocks".to_owned(), scores);
        }
        members.extend(latent_space.iter().flat_map(LatentSpace::to_json));
    }
    output::print_json(&object)
}

/// The molecules that the bundle was trained on.
fn read_again(
    bundle: &Path,
    trained_on: Option<&TrainedOn>,
    model: &dyn MoleculeAutoencoder,
) -> Result<Molecules> {
    let known = trained_on.ok_or_else(|| {
        let bundle = bundle.display();
        Failure::new(format_args!("{bundle} does not say what it was trained on"))
    });
    let data = known.and_then(|known| known.read_again(bundle, model));
    data.map_err(|failure| match failure {
        Failure::Error(error) => Failure::new(format_args!("{error}; name molecules by --data")),
        other => other,
    })
}

/// Molecules to evaluate.
struct Chosen {
    molecules: Molecules,
    /// `held-out` or `all`.
    part: &'static str,
    /// What was trained on, where it is known from the same file.
    trained_on: Option<KnownMolecules>,
    /// Those made of building blocks that training lacks, of the built-in molecules.
    of_held_out_blocks: Option<Molecules>,
}

impl Chosen {
    fn all_of(data: &Molecules) -> Self {
        Self {
            molecules: data.clone(),
            part: "all",
            trained_on: None,
            of_held_out_blocks: None,
        }
    }
}

/// The part that was held out of the data that the model was trained on, all of other data.
fn choose(
    data: &Molecules,
    trained_on: Option<&TrainedOn>,
    all: bool,
    model: &dyn MoleculeAutoencoder,
) -> Result<Chosen> {
    let digest = data.digest()?;
    let Some(known) = trained_on.filter(|known| known.data.digest == digest) else {
        return Ok(Chosen::all_of(data));
    };
    let Split {
        held_out,
        trained_on,
        ..
    } = known.split_again(data)?;
    if all {
        return Ok(Chosen {
            trained_on: Some(trained_on),
            ..Chosen::all_of(data)
        });
    }
    if known.held_out.molecules == 0 {
        return Err(Failure::new(format_args!(
            "the model was trained on all of {}; --all evaluates it on what it has seen",
            data.source()
        )));
    }
    Ok(Chosen {
        molecules: held_out,
        part: "held-out",
        trained_on: Some(trained_on),
        of_held_out_blocks: (data.source() == BUILT_IN)
            .then(|| of_held_out_blocks(model))
            .transpose()?,
    })
}

/// The molecules that the bundle was trained on, if they are still known.
fn known(
    args: &Args,
    trained_on: Option<&TrainedOn>,
    model: &dyn MoleculeAutoencoder,
) -> Result<Option<KnownMolecules>> {
    if let Some(path) = &args.train {
        let rows = trained_on.map_or_else(RowOptions::default, |known| known.data.rows.clone());
        let all = molecules::read(path, rows, MemoryLimit::default())?;
        let mut data = all.clone();
        data.keep_representable(model)?;
        return Ok(Some(match trained_on {
            // Of the very file that the bundle names, training saw a part.
            Some(known) if known.data.digest == data.digest()? => {
                known.split_again(&data)?.trained_on
            }
            known => {
                if let Some(known) = known {
                    output::say(&format_args!(
                        "{}: these are not the {} of {} that {} was trained on",
                        data.source(),
                        count(known.data.molecules, "molecule"),
                        known.data.source,
                        args.bundle.display()
                    ));
                }
                KnownMolecules::new(all.keys()?)
            }
        }));
    }
    let Some(known) = trained_on else {
        say_unknown(&"the bundle does not say what it was trained on");
        return Ok(None);
    };
    let remembered = RunFolder::training_molecules(&args.bundle);
    if let Some(remembered) = KnownMolecules::load(&remembered, &known.id())? {
        return Ok(Some(remembered));
    }
    let again = known.read_again(&args.bundle, model);
    match again.and_then(|data| known.split_again(&data)) {
        Ok(split) => Ok(Some(split.trained_on)),
        Err(Failure::Error(why)) => {
            say_unknown(&why);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

fn say_unknown(why: &dyn Display) {
    output::say(&format_args!(
        "whether training saw these molecules is not known ({why}): --train names what it saw"
    ));
}

/// Which of the evaluated molecules were trained on.
struct Seen {
    molecules: Vec<bool>,
    count: usize,
}

impl Seen {
    fn new(known: &KnownMolecules, molecules: &Molecules) -> Result<Self> {
        let keys = molecules.keys()?;
        let molecules: Vec<bool> = keys.into_iter().map(|key| known.contains(key)).collect();
        Ok(Self {
            count: molecules.iter().filter(|seen| **seen).count(),
            molecules,
        })
    }
}

fn evaluate(
    model: &dyn MoleculeAutoencoder,
    part: &str,
    molecules: &Molecules,
    beam: usize,
    seen: Option<&Seen>,
    (table, grid): &mut (Option<&mut OutputFile>, &mut GridFile),
) -> Result<Reconstruction> {
    let bar = progress::counter(Some(molecules.len()), "molecules");
    let mut records = molecules.records();
    let mut failed = None;
    let mut done = 0;
    let scores = reconstruction(model, molecules, beam, &mut |molecule| {
        if !molecule.same {
            grid.add(molecule.original.as_str(), "");
            grid.add(molecule.decoded, "→");
        }
        if let Some(table) = table.as_deref_mut()
            && let Some(record) = records.next()
        {
            let seen = seen.map(|seen| seen.molecules[done]);
            let record = record?;
            let place = if molecules.is_located() {
                [record.file.name().to_owned(), record.offset.to_string()]
            } else {
                [record.row.to_string(), record.line.to_string()]
            };
            let written = table.row(cells(part, place, &record, molecule, seen));
            let written = written.and_then(|()| table.check_interrupt());
            written.map_err(|failure| {
                failed = Some(failure);
                Error::new("the table cannot be written")
            })?;
        }
        done += 1;
        bar.set_position(done as u64);
        Ok(())
    });
    match failed {
        Some(failure) => Err(failure),
        None => Ok(scores?),
    }
}

/// The columns of `--per-molecule` after those that say which row it is.
const HEADER: [&str; 8] = [
    "name",
    "smiles",
    "decoded",
    "exact",
    "same",
    "valid",
    "tanimoto",
    "trained_on",
];

/// The cells of a molecule. What is not known is empty.
fn cells(
    part: &str,
    [first, second]: [String; 2],
    record: &Record,
    molecule: &Reconstructed<'_>,
    seen: Option<bool>,
) -> [String; 11] {
    let similarity = molecule.similarity;
    [
        part.to_owned(),
        first,
        second,
        record.name.clone().unwrap_or_default(),
        molecule.original.to_string(),
        molecule.decoded.to_owned(),
        molecule.is_exact().to_string(),
        molecule.same.to_string(),
        molecule.valid.to_string(),
        similarity.map_or(String::new(), |similarity| format!("{similarity:.4}")),
        seen.map_or(String::new(), |seen| seen.to_string()),
    ]
}

fn to_text(
    args: &Args,
    source: &str,
    chosen: &Chosen,
    seen: Option<&Seen>,
    result: &Reconstruction,
) -> String {
    let part = match chosen.part {
        "all" => "",
        _ => "held-out ",
    };
    let what = molecules_of(source, result.molecules, part);
    let heading = output::heading(&format!("{} on {what}", args.bundle.display()));
    let mut table = table_of(result);
    if let Some(seen) = seen {
        let share = seen.count as f64 / result.molecules.max(1) as f64;
        let [seen, all] = [seen.count, result.molecules].map(grouped);
        table.row([
            "seen".to_owned(),
            percent(share),
            String::new(),
            format!("{seen} of {all} are molecules that training saw"),
        ]);
    }
    format!("{heading}\n{}", table.render(None))
}

fn table_of(result: &Reconstruction) -> Table {
    let mut table = Table::new(&[], [1]);
    for (name, part, what) in [
        (
            "exact",
            result.exact,
            "came back as they were to be written",
        ),
        (
            "canonical",
            result.canonical,
            "came back as the same molecule",
        ),
        ("valid", result.valid, "came back as a possible molecule"),
    ] {
        let share = Estimate::share(part, result.molecules);
        table.row(row(name, share, [part, result.molecules], what));
    }
    table.row(row(
        "tokens",
        result.token_estimate(),
        [result.tokens_right, result.tokens],
        "tokens came back in their place",
    ));
    if let Some(similarity) = result.failure_similarity() {
        let others = count(result.valid - result.canonical, "molecule");
        let what = format!("mean similarity of {others} that came back as another");
        table.row(number_row("failures", &similarity, what));
    }
    table
}

/// A share, its interval, of what and what of them.
fn row(name: &str, share: Option<Estimate>, of: [usize; 2], what: &str) -> [String; 4] {
    [
        name.to_owned(),
        percent(share.map_or(0.0, |share| share.value)),
        share.as_ref().map_or(String::new(), share_interval),
        format!("{} of {} {what}", grouped(of[0]), grouped(of[1])),
    ]
}
