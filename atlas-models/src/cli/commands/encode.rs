//! `atlas encode`: SMILES in, latents out.

use std::path::{Path, PathBuf};

use candle_core::DType;

use crate::chem::Smiles;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::molecules;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::count;
use crate::cli::terminal::{output, progress};
use crate::data::{LatentFormat, Record, SkippedRow, SkippedRows};
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
    /// SMILES file: one molecule a line, optionally followed by white space and a name
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// File to write: .csv, .npy or .parquet, with the name and the number of each row; of z.npy they
    /// are in z.rows.csv; - is standard output, as CSV
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Leave out, and count, rows that are not SMILES or have a token that the model does not know
    #[arg(long)]
    skip_invalid: bool,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let format = LatentFormat::of(&args.output).map_err(usage)?;
    let output = OutputFile::of_latents(&args.output, format)?;
    let mut rows = molecules::open(&args.input)?;
    let model = models.load(&args.bundle)?;
    output.watch_interrupts()?;
    // Opened with the first latents, so that a bad row before them leaves no header behind.
    let mut writer = None;
    let mut encoded = 0;
    let mut skipped = SkippedRows::default();
    let bar = progress::counter(None, "molecules");
    loop {
        let batch: Vec<_> = rows.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        let records = known(&*model, batch, &mut skipped);
        if !args.skip_invalid {
            molecules::refuse(rows.source(), &skipped)?;
        }
        if !records.is_empty() {
            let smiles: Vec<Smiles> = records.iter().map(|row| row.smiles.clone()).collect();
            let latents = encode(&*model, &smiles)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(output.latents(format, model.latent_size())?),
            };
            let written = writer.write(&records, &latents);
            written.map_err(|error| output.failure(error))?;
        }
        encoded += records.len();
        bar.set_position(encoded as u64);
        output.check_interrupt()?;
    }
    drop(bar);
    let source = rows.source();
    molecules::report_skipped(source, &skipped);
    let Some(writer) = writer else {
        return Err(Failure::new(format_args!("{source} holds no molecule")));
    };
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

/// The molecules of a batch that the model can represent.
fn known(
    model: &dyn MoleculeAutoencoder,
    batch: Vec<Result<Record, SkippedRow>>,
    skipped: &mut SkippedRows,
) -> Vec<Record> {
    let mut records = Vec::with_capacity(batch.len());
    for row in batch {
        match row.and_then(|row| molecules::check_row(model, row)) {
            Ok(row) => records.push(row),
            Err(row) => skipped.push(row),
        }
    }
    records
}

/// The latents of molecules, row by row.
fn encode(model: &dyn MoleculeAutoencoder, smiles: &[Smiles]) -> Result<Vec<f32>> {
    let latents = model.encode(smiles)?;
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
