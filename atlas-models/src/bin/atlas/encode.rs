//! `atlas encode`

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use atlas_models::chem::Smiles;
use atlas_models::data::{LatentFormat, LatentWriter, Record, SkippedRow, SkippedRows};
use atlas_models::models::{self, MoleculeAutoencoder};
use candle_core::DType;

use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::molecules;
use crate::output;
use crate::partial::Partial;
use crate::progress::Progress;
use crate::text::count;

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
    /// File to write: .csv, .npy or .parquet; - is standard output, as CSV
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Leave out, and count, rows that are not SMILES or have a token that the model does not know
    #[arg(long)]
    skip_invalid: bool,
}

pub fn run(args: Args) -> Outcome {
    let target = Target::open(&args.output)?;
    let mut rows = molecules::open(&args.input)?;
    let model = models::registry().load(&args.bundle)?;
    if let Target::File(..) = target {
        interrupt::watch("stopping after this batch, leaving no file")?;
    }
    let mut encoding = Encoding {
        model: &*model,
        target: Some(target),
        to: None,
        partial: None,
        count: 0,
        width: 0,
    };
    let mut skipped = SkippedRows::default();
    let progress = Progress::counting(None, "molecules");
    loop {
        let batch: Vec<_> = rows.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        let smiles = known(&*model, batch, &mut skipped);
        if !args.skip_invalid {
            molecules::refuse(rows.source(), &skipped)?;
        }
        encoding.write(&smiles)?;
        progress.done(encoding.count);
        if interrupt::is_asked() {
            return Err(Failure::Interrupted(format!(
                "interrupted; {} is as it was",
                args.output.display()
            )));
        }
    }
    drop(progress);
    molecules::report_skipped(rows.source(), &skipped);
    if encoding.count == 0 {
        return Err(Failure::new(format_args!(
            "{} holds no molecule",
            rows.source()
        )));
    }
    let (encoded, width) = (
        count(encoding.count, "molecule"),
        count(encoding.width, "dimension"),
    );
    encoding.finish()?;
    if args.output != Path::new("-") {
        output::say(&format_args!(
            "{}: the latents of {encoded}, {width} each",
            args.output.display()
        ));
    }
    Ok(())
}

/// The molecules of a batch that the model can represent.
fn known(
    model: &dyn MoleculeAutoencoder,
    batch: Vec<Result<Record, SkippedRow>>,
    skipped: &mut SkippedRows,
) -> Vec<Smiles> {
    let mut smiles = Vec::with_capacity(batch.len());
    for row in batch {
        let row = row.and_then(|row| match model.size(&row.smiles) {
            Ok(_) => Ok(row.smiles),
            Err(error) => Err(SkippedRow {
                line: row.line,
                why: error.to_string(),
            }),
        });
        match row {
            Ok(parsed) => smiles.push(parsed),
            Err(row) => skipped.push(row),
        }
    }
    smiles
}

/// Where latents go.
enum Target {
    Output,
    File(Partial, File, LatentFormat),
}

impl Target {
    fn open(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Ok(Self::Output);
        }
        let format = LatentFormat::of(path)?;
        let (partial, file) = Partial::create(path)?;
        Ok(Self::File(partial, file, format))
    }
}

/// Encoding under way.
struct Encoding<'a> {
    model: &'a dyn MoleculeAutoencoder,
    /// Until the first latents say how wide a row is.
    target: Option<Target>,
    to: Option<LatentWriter<'static>>,
    partial: Option<Partial>,
    count: usize,
    width: usize,
}

impl Encoding<'_> {
    fn write(&mut self, smiles: &[Smiles]) -> Outcome {
        if smiles.is_empty() {
            return Ok(());
        }
        let latents = self.model.encode(smiles)?;
        let (rows, width) = latents.dims2()?;
        let values = latents
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        if rows != smiles.len() {
            return Err(Failure::new(format_args!(
                "the model encoded {} molecules to {rows} latents",
                smiles.len()
            )));
        }
        self.width = width;
        self.start(width)?;
        let texts: Vec<&str> = smiles.iter().map(Smiles::as_str).collect();
        if let Some(to) = &mut self.to {
            let written = to.write(&texts, &values);
            written.map_err(|error| self.failed(error))?;
        }
        self.count += rows;
        Ok(())
    }

    fn start(&mut self, width: usize) -> Outcome {
        let (partial, to) = match self.target.take() {
            None => return Ok(()),
            Some(Target::Output) => (None, LatentWriter::csv(io::stdout(), width)),
            Some(Target::File(partial, file, format)) => {
                (Some(partial), LatentWriter::file(file, format, width))
            }
        };
        self.partial = partial;
        self.to = Some(to.map_err(|error| self.failed(error))?);
        Ok(())
    }

    fn finish(mut self) -> Outcome {
        if let Some(to) = self.to.take() {
            to.finish().map_err(|error| self.failed(error))?;
        }
        self.partial.take().map_or(Ok(()), Partial::commit)
    }

    /// Standard output may have been closed; a file may be on a full disk.
    fn failed(&self, error: io::Error) -> Failure {
        match &self.partial {
            None => Failure::Output(error),
            Some(partial) => partial.failed(error),
        }
    }
}
