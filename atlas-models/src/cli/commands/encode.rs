//! `atlas encode`: SMILES in, latents out.

use std::path::{Path, PathBuf};

use candle_core::DType;

use crate::chem::Smiles;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::molecules::RowArgs;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::count;
use crate::cli::terminal::{output, progress};
use crate::cli::training_note::TrainedOn;
use crate::data::{LatentFormat, Record};
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas encode runs/gru-vae -i molecules.smi -o latents.npy
  echo 'CC(=O)Nc1ccc(O)cc1' | atlas encode runs/gru-vae
  atlas encode runs/gru-vae < molecules.smi | atlas decode runs/gru-vae";

/// Molecules that are encoded at a time.
const BATCH: usize = 512;

/// Turn SMILES into latents
///
/// The latent of a molecule is the mean of its posterior: the same molecule always has the same
/// latent. A file that is being written takes its place when it is complete.
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
    /// File to write: .csv, .npy or .parquet, with the name and the number of each row; of z.npy they
    /// are in z.rows.csv; - is standard output, as CSV
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    rows: RowArgs,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let format = LatentFormat::of(&args.output).map_err(usage)?;
    let output = OutputFile::of_latents(&args.output, format)?;
    let model = models.load(&args.bundle)?;
    output.watch_interrupts()?;
    // All rows are read before the first is encoded, so that a bad one is known at once.
    let trained_on = TrainedOn::of(model.provenance());
    let standardised = trained_on
        .as_ref()
        .map(|known| &known.data.rows.standardise);
    let data = args.rows.read(&args.input, standardised, &*model)?;
    let mut writer = output.latents(format, model.latent_size())?;
    let bar = progress::counter(Some(data.len()), "molecules");
    let mut encoded = 0;
    let mut records = data.records();
    loop {
        let batch: Vec<Record> = records.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        let latents = encode(&*model, &batch)?;
        let written = writer.write(&batch, &latents);
        written.map_err(|error| output.failure(error))?;
        encoded += batch.len();
        bar.set_position(encoded as u64);
        output.check_interrupt()?;
    }
    drop(bar);
    let finished = writer.finish();
    finished.map_err(|error| output.failure(error))?;
    output.finish()?;
    if args.output != Path::new("-") {
        output::say(&format_args!(
            "{}: the latents of {}, {} each",
            args.output.display(),
            count(encoded, "molecule"),
            count(model.latent_size(), "dimension")
        ));
    }
    Ok(())
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
