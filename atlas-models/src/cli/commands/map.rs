//! `atlas map`: where a model puts molecules, as a picture.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use rayon::prelude::*;

use super::encode::encode;
use crate::chem::Descriptors;
use crate::cli::Models;
use crate::cli::drawing::{Points, PrincipalAxes, map};
use crate::cli::failure::Result;
use crate::cli::molecules::RowArgs;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::{count, percent};
use crate::cli::terminal::{output, progress};
use crate::cli::training_note::TrainedOn;
use crate::data::Record;

const EXAMPLES: &str = "\
Examples:
  atlas map runs/gru-vae --data molecules.smi -o map.svg
  atlas map runs/gru-vae --data molecules.csv --colour logp --points 2000 > map.svg";

/// Molecules that are encoded at a time.
const BATCH: usize = 512;

/// Draw where a model puts molecules
///
/// Encodes the molecules, and draws their latents along the two directions in which these differ
/// most, their first two principal components, as an SVG.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Molecules: SMILES, one a line and optionally followed by a name; a table (.csv, .tsv); an
    /// SDF; each of them also as .gz or .zst; - is standard input
    #[arg(
        short = 'i',
        long = "data",
        visible_alias = "input",
        value_name = "FILE",
        default_value = "-"
    )]
    input: PathBuf,
    /// SVG to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// What the colours show
    #[arg(long, visible_alias = "color", value_enum, default_value_t)]
    colour: Colour,
    /// Molecules to draw; of more, some that are spread over the whole file
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    points: usize,
    #[command(flatten)]
    rows: RowArgs,
}

/// What a molecule is coloured by.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Colour {
    /// The tokens of its SMILES
    #[default]
    Length,
    /// Crippen's logP
    Logp,
    /// The quantitative estimate of drug-likeness, from 0 to 1
    Qed,
    /// The score of synthetic accessibility, from 1, easy, to 10, hard
    Sa,
    /// The average weight
    Weight,
}

impl Colour {
    /// What stands beside the scale.
    fn label(self) -> &'static str {
        match self {
            Self::Length => "tokens",
            Self::Logp => "logP",
            Self::Qed => "QED",
            Self::Sa => "SA",
            Self::Weight => "g/mol",
        }
    }

    /// NaN for a molecule that has none.
    fn of(self, record: &Record) -> f64 {
        if let Self::Length = self {
            return record.smiles.tokens().count() as f64;
        }
        let described = Descriptors::of(record.smiles.as_str());
        described.map_or(f64::NAN, |described| match self {
            Self::Length => f64::NAN,
            Self::Logp => described.log_p,
            Self::Qed => described.qed,
            Self::Sa => described.sa,
            Self::Weight => described.weight,
        })
    }
}

pub fn run(args: &Args, models: &Models) -> Result {
    let mut output = OutputFile::of_svg(&args.output)?;
    let model = models.load(&args.bundle)?;
    output.watch_interrupts()?;
    let trained_on = TrainedOn::of(model.provenance());
    let standardised = trained_on
        .as_ref()
        .map(|known| &known.data.rows.standardise);
    let data = args.rows.read(&args.input, standardised, &*model)?;
    let every = data.len().div_ceil(args.points).max(1);
    let bar = progress::counter(Some(data.len().div_ceil(every)), "molecules");
    let (mut latents, mut values) = (Vec::new(), Vec::new());
    let mut records = data.records().step_by(every);
    loop {
        let batch: Vec<Record> = records.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        latents.extend(encode(&*model, &batch)?);
        let of_batch: Vec<f64> = batch.par_iter().map(|r| args.colour.of(r)).collect();
        values.extend(of_batch);
        bar.set_position(values.len() as u64);
        output.check_interrupt()?;
    }
    drop(bar);
    let width = model.latent_size();
    let principal = PrincipalAxes::of(&latents, width);
    let places: Vec<[f64; 2]> = latents
        .chunks_exact(width.max(1))
        .map(|latent| principal.project(latent))
        .collect();
    let [first, second] = principal.shares.map(percent);
    let drawn = count(places.len(), "molecule");
    output.line(&map(&Points {
        places: &places,
        values: &values,
        label: args.colour.label(),
        title: &format!("latents of {drawn} of {}", data.source()),
        axes: [
            &format!("first principal component, {first} of the variance"),
            &format!("second principal component, {second} of the variance"),
        ],
    }))?;
    output.finish()?;
    if args.output != Path::new("-") {
        let path = args.output.display();
        output::say(&format_args!(
            "{path}: {drawn}; the two axes have {first} and {second} of the variance"
        ));
    }
    Ok(())
}
