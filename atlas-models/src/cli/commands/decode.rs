//! `atlas decode`: latents in, SMILES out.

use std::path::PathBuf;

use candle_core::{Device, Tensor};

use crate::chem;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result};
use crate::cli::model::for_model;
use crate::cli::molecules::{source_name, warn_of_terminal};
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::text::{count, percent};
use crate::cli::terminal::{output, progress};
use crate::data::LatentReader;

const EXAMPLES: &str = "\
Examples:
  atlas decode runs/gru-vae -i latents.npy -o molecules.smi
  atlas encode runs/gru-vae < molecules.smi | atlas decode runs/gru-vae";

/// Latents that are decoded at a time.
const BATCH: usize = 512;

/// Turn latents into SMILES
///
/// Writes a line for each latent, in order: the most probable string that the model finds, which
/// need not be a molecule. A message at the end says how many are.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Latents: .csv, .npy or .parquet; - is standard input, as CSV. In CSV the header and the
    /// column of SMILES may be missing
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// File to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

pub fn run(args: &Args, models: &Models) -> Result {
    warn_of_terminal(&args.input);
    let source = source_name(&args.input);
    let mut output = OutputFile::create(&args.output)?;
    let mut latents = LatentReader::open(&args.input)?;
    let model = models.load(&args.bundle)?;
    output.watch_interrupts()?;
    let bar = progress::counter(None, "latents");
    let (mut decoded, mut valid) = (0, 0);
    loop {
        let values = latents.read(BATCH)?;
        let rows = values.len() / latents.width().max(1);
        if rows == 0 {
            break;
        }
        let batch = Tensor::from_vec(values, (rows, latents.width()), &Device::Cpu)?;
        let strings = model.decode(&for_model(&*model, &batch)?);
        for string in strings.map_err(|error| error.within(&source))? {
            output.line(&string)?;
            valid += usize::from(chem::is_valid(&string));
        }
        decoded += rows;
        bar.set_position(decoded as u64);
        output.check_interrupt()?;
    }
    drop(bar);
    if decoded == 0 {
        return Err(Failure::new(format_args!("{source} holds no latents")));
    }
    output.finish()?;
    output::say(&format_args!(
        "decoded {}: {}, {}",
        count(decoded, "latent"),
        count(valid, "valid molecule"),
        percent(valid as f64 / decoded as f64)
    ));
    Ok(())
}
