//! `atlas decode`

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::chem;
use crate::data::LatentReader;
use crate::models;
use atlas_core::Error;
use candle_core::{Device, Tensor};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::molecules;
use crate::cli::partial::Partial;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::output;
use crate::cli::terminal::progress::Progress;
use crate::cli::terminal::text::{count, percent};

const EXAMPLES: &str = "\
Examples:
  atlas decode runs/gru-vae -i latents.npy -o molecules.smi
  atlas encode runs/gru-vae < molecules.smi | atlas decode runs/gru-vae";

/// Latents that are decoded at a time.
const BATCH: usize = 512;

/// Turn latents into SMILES
///
/// Writes a line for each latent, in order: the most probable string that the model finds, which
/// need not be a molecule. How many are is said at the end.
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

pub fn run(args: Args) -> Outcome {
    molecules::warn_of_terminal(&args.input);
    let (mut to, partial) = open(&args.output)?;
    let mut latents = LatentReader::open(&args.input)?;
    let model = models::registry().load(&args.bundle)?;
    if partial.is_some() {
        interrupt::watch("stopping after this batch, leaving no file")?;
    }
    let progress = Progress::counting(None, "latents");
    let (mut decoded, mut valid) = (0, 0);
    loop {
        let values = latents.read(BATCH)?;
        let rows = values.len() / latents.width().max(1);
        if rows == 0 {
            break;
        }
        let batch = Tensor::from_vec(values, (rows, latents.width()), &Device::Cpu)?
            .to_dtype(model.dtype())?;
        let source = molecules::source_name(&args.input);
        let strings = model
            .decode(&batch)
            .map_err(|error: Error| error.within(source))?;
        for string in &strings {
            writeln!(to, "{string}").map_err(|error| failed(&partial, error))?;
            valid += usize::from(chem::is_valid(string));
        }
        decoded += rows;
        progress.done(decoded);
        if partial.is_some() && interrupt::is_asked() {
            return Err(Failure::Interrupted(format!(
                "interrupted; {} is as it was",
                args.output.display()
            )));
        }
    }
    drop(progress);
    if decoded == 0 {
        return Err(Failure::new(format_args!(
            "{} holds no latents",
            molecules::source_name(&args.input)
        )));
    }
    to.flush().map_err(|error| failed(&partial, error))?;
    partial.map_or(Ok(()), Partial::commit)?;
    output::say(&format_args!(
        "decoded {}: {}, {}",
        count(decoded, "latent"),
        count(valid, "valid molecule"),
        percent(valid as f64 / decoded as f64)
    ));
    Ok(())
}

fn open(path: &Path) -> Outcome<(Box<dyn Write>, Option<Partial>)> {
    if path == Path::new("-") {
        return Ok((Box::new(BufWriter::new(io::stdout())), None));
    }
    let (partial, file) = Partial::create(path)?;
    Ok((Box::new(BufWriter::new(file)), Some(partial)))
}

fn failed(partial: &Option<Partial>, error: io::Error) -> Failure {
    match partial {
        None => Failure::Output(error),
        Some(partial) => partial.failed(error),
    }
}
