//! `atlas encode`: SMILES in, latents out.

#[cfg(feature = "parquet")]
mod check;
#[cfg(feature = "parquet")]
mod part;

use std::path::{Path, PathBuf};

use candle_core::DType;

use crate::chem::Smiles;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::molecules::RowArgs;
use crate::cli::output_file::OutputFile;
use crate::cli::shard::ShardArgs;
use crate::cli::terminal::text::count;
use crate::cli::terminal::{output, progress};
use crate::cli::training_note::TrainedOn;
#[cfg(feature = "parquet")]
use crate::data::CheckedRows;
use crate::data::{Input, LatentFormat, LatentLayout, LatentType, MoleculeStream, Record, Shard};
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas encode runs/gru-vae -i molecules.smi -o latents.npy
  echo 'CC(=O)Nc1ccc(O)cc1' | atlas encode runs/gru-vae
  atlas encode runs/gru-vae < molecules.smi | atlas decode runs/gru-vae
  atlas encode runs/gru-vae -i 'zinc/*.smi' --shard 3/100 -o latents
  atlas encode --check latents";

/// Molecules that are encoded at a time.
const BATCH: usize = 512;

/// Turn SMILES into latents
///
/// The latent of a molecule is the mean of its posterior: the same molecule always has the same
/// latent. A file that is being written takes its place when it is complete.
///
/// With --shard, each of N jobs encodes its share of the rows into one folder, as
/// part-00003-of-00100.parquet. Such a file has the columns file and offset, the first byte of the row
/// in it or, of a compressed file, in what it is unpacked to, and says what it was made of. A part that
/// is there already is left; one of another bundle, of other files or options is refused. --check says
/// whether all parts are there.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    #[arg(required_unless_present = "check")]
    bundle: Option<PathBuf>,
    /// Molecules: SMILES, one a line and optionally followed by a name; a table (.csv, .tsv); an
    /// SDF; each of them also as .gz or .zst; several as a pattern in quotes, such as 'zinc/*.smi'; -
    /// is standard input
    #[arg(
        short = 'i',
        long = "data",
        visible_alias = "input",
        value_name = "FILE",
        default_value = "-"
    )]
    input: PathBuf,
    /// File to write: .csv, .npy or .parquet, with the name and the number of each row, or of several
    /// files the file and the first byte; of z.npy they are in z.rows.csv; - is standard output, as
    /// CSV; with --shard the folder of all parts
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// How precise the latents are: f32, or f16 in .npy and .parquet
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: LatentType,
    #[command(flatten)]
    shard: ShardArgs,
    /// Check that all parts of a folder are there, whole, and of one input
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["bundle", "input", "output", "shard", "dtype"])]
    check: Option<PathBuf>,
    #[command(flatten)]
    rows: RowArgs,
    /// Print a JSON object with whole, shards, rows, skipped, missing (the numbers of shards), bundle
    /// (its digest) and findings
    #[arg(long, requires = "check")]
    json: bool,
}

pub fn run(args: &Args, models: &Models) -> Result {
    if let Some(folder) = &args.check {
        return check(folder, args.json);
    }
    let bundle = args.bundle.as_deref().unwrap_or(Path::new(""));
    if let Some(shard) = args.shard.shard()? {
        return run_shard(args, bundle, shard, models);
    }
    let format = LatentFormat::of(&args.output).map_err(usage)?;
    if args.dtype == LatentType::F16 && format == LatentFormat::Csv {
        return Err(usage(Failure::new(
            "--dtype f16: CSV holds f32 alone; write .npy or .parquet",
        )));
    }
    let output = OutputFile::of_latents(&args.output, format)?;
    let input = Input::find(&args.input)?;
    let model = models.load(bundle)?;
    output.watch_interrupts()?;
    let data = read(args, &input, &*model)?;
    let count = data.len();
    encode_all(args, &input, data, &*model, &output, format, None)?;
    output.finish()?;
    if args.output != Path::new("-") {
        say_written(&args.output, count, &*model);
    }
    Ok(())
}

#[cfg(not(feature = "parquet"))]
fn check(folder: &Path, _: bool) -> Result {
    let parts = folder.join("part.parquet");
    LatentFormat::of(&parts).map(drop).map_err(usage)
}

#[cfg(feature = "parquet")]
fn check(folder: &Path, as_json: bool) -> Result {
    check::run(folder, as_json)
}

#[cfg(not(feature = "parquet"))]
fn run_shard(args: &Args, _: &Path, _: Shard, _: &Models) -> Result {
    check(&args.output, false)
}

/// Encodes the share of a shard into its part.
#[cfg(feature = "parquet")]
fn run_shard(args: &Args, bundle: &Path, shard: Shard, models: &Models) -> Result {
    part::check_folder(&args.output).map_err(usage)?;
    let input = Input::find(&args.input)?.shard(shard)?;
    let model = models.load(bundle)?;
    let trained_on = TrainedOn::of(model.provenance());
    let standardised = trained_on
        .as_ref()
        .map(|known| &known.data.rows.standardise);
    let mut note = part::PartNote::new(
        &input,
        shard,
        model.digest()?,
        args.dtype,
        args.rows.skip_invalid,
        args.rows.options(standardised),
    )?;
    let Some(path) = part::place(&args.output, &note)? else {
        let path = args.output.join(note.file_name());
        output::say(&format_args!("{}: is there already", path.display()));
        return Ok(());
    };
    let output = OutputFile::create(&path)?;
    output.watch_interrupts()?;
    let data = read(args, &input, &*model)?;
    let count = data.len();
    note.rows = count as u64;
    note.skipped = data.skipped().count as u64;
    let note = serde_json::to_string(&note).map_err(atlas_core::Error::other)?;
    let format = LatentFormat::Parquet;
    encode_all(args, &input, data, &*model, &output, format, Some(note))?;
    output.finish()?;
    say_written(&path, count, &*model);
    Ok(())
}

/// Reads all rows before the first is encoded, so that every bad one is known at once.
fn read(args: &Args, input: &Input, model: &dyn MoleculeAutoencoder) -> Result<MoleculeStream> {
    let trained_on = TrainedOn::of(model.provenance());
    let standardised = trained_on
        .as_ref()
        .map(|known| &known.data.rows.standardise);
    args.rows.stream(input, standardised, model)
}

fn say_written(path: &Path, molecules: usize, model: &dyn MoleculeAutoencoder) {
    output::say(&format_args!(
        "{}: the latents of {}, {} each",
        path.display(),
        count(molecules, "molecule"),
        count(model.latent_size(), "dimension")
    ));
}

/// Writes the latents of all molecules.
fn encode_all(
    args: &Args,
    input: &Input,
    mut data: MoleculeStream,
    model: &dyn MoleculeAutoencoder,
    output: &OutputFile,
    format: LatentFormat,
    note: Option<String>,
) -> Result {
    let layout = LatentLayout {
        width: model.latent_size(),
        dtype: args.dtype,
        is_located: input.is_located(),
    };
    let mut writer = output.latents(format, layout, note)?;
    let bar = progress::counter(Some(data.len()), "molecules");
    loop {
        let batch = data.read(BATCH)?;
        if batch.is_empty() {
            break;
        }
        let latents = encode(model, &batch)?;
        let written = writer.write(&batch, &latents);
        written.map_err(|error| output.failure(error))?;
        bar.inc(batch.len() as u64);
        output.check_interrupt()?;
    }
    drop(bar);
    let finished = writer.finish();
    finished.map_err(|error| output.failure(error))
}

/// The latents of molecules, row by row.
pub(super) fn encode(model: &dyn MoleculeAutoencoder, batch: &[Record]) -> Result<Vec<f32>> {
    let smiles: Vec<Smiles> = batch.iter().map(|record| record.smiles.clone()).collect();
    let latents = model.encode(&smiles)?;
    let expected = (smiles.len(), model.latent_size());
    if latents.dims2()? != expected {
        return Err(Failure::new(format_args!(
            "the model encoded {} molecules to latents {:?}; expected {expected:?}",
            smiles.len(),
            latents.dims()
        )));
    }
    let latents = latents.to_dtype(DType::F32)?.flatten_all()?;
    Ok(latents.to_vec1()?)
}
