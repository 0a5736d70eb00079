//! `atlas decode`: latents in, SMILES out.

use std::path::PathBuf;

use candle_core::{Device, Tensor};

use crate::chem;
use crate::cli::Models;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::model::{BeamArgs, for_model, in_line};
use crate::cli::molecules::{source_name, warn_of_terminal};
use crate::cli::output_file::{OutputFile, note_input};
use crate::cli::terminal::text::{count, grouped, percent};
use crate::cli::terminal::{interrupt, output, progress};
use crate::data::{LatentFormat, LatentReader};

const EXAMPLES: &str = "\
Examples:
  atlas decode runs/gru-vae -i latents.npy -o molecules.smi
  atlas decode runs/gru-vae -i latents.npy -o molecules.smi --beam 5
  atlas encode runs/gru-vae < molecules.smi | atlas decode runs/gru-vae";

/// Latents that are decoded at a time.
const BATCH: usize = 512;

/// Turn latents into SMILES
///
/// Writes a line for each latent, in order: the most probable string that the model finds, which
/// need not be a molecule, then a tab and the name where the file has a column `name`. An empty
/// string is written as <empty>. A message at the end says how many are molecules.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// Latents: .csv, .npy or .parquet; - is standard input, as CSV. Columns are z0, z1, … or the only
    /// ones that are numbered from 0; in CSV the header and the column of SMILES may be missing
    #[arg(
        short = 'i',
        long = "data",
        visible_alias = "input",
        value_name = "FILE",
        default_value = "-"
    )]
    input: PathBuf,
    /// File to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    beam: BeamArgs,
}

pub fn run(args: &Args, models: &Models) -> Result {
    LatentFormat::of(&args.input).map_err(usage)?;
    warn_of_terminal(&args.input);
    let source = source_name(&args.input);
    let mut output = OutputFile::create(&args.output)?;
    output.watch_interrupts()?;
    note_input(&args.input)?;
    interrupt::set_waiting(true);
    let latents = LatentReader::open(&args.input);
    interrupt::set_waiting(false);
    let mut latents = latents?;
    if let Some(table) = latents.table() {
        note_input(table)?;
        output::say(&format_args!("names are read from {}", table.display()));
    }
    let model = models.load(&args.bundle)?;
    let bar = progress::reading(latents.share().is_some(), "latents");
    let (mut decoded, mut valid, mut empty) = (0, 0, 0);
    let (mut known, mut same) = (0, 0);
    loop {
        let rows = latents.read(BATCH)?;
        if rows.is_empty() {
            break;
        }
        let shape = (rows.len(), latents.width());
        let batch = Tensor::from_vec(rows.latents, shape, &Device::Cpu)?;
        let strings = model.decode_by_beam(&for_model(&*model, &batch)?, args.beam.beam);
        let strings = strings.map_err(|error| error.within(&source))?;
        if strings.len() != rows.names.len() {
            return Err(Failure::new(format_args!(
                "the model decoded {} latents to {} strings",
                rows.names.len(),
                strings.len()
            )));
        }
        for ((string, name), smiles) in strings.iter().zip(rows.names).zip(rows.smiles) {
            output.line(&line(string, name))?;
            known += usize::from(smiles.is_some());
            same += usize::from(smiles.is_some_and(|smiles| chem::is_same(&smiles, string)));
            valid += usize::from(chem::is_valid(string));
            empty += usize::from(string.is_empty());
        }
        decoded += strings.len();
        progress::show_read(&bar, decoded, latents.share());
        output.check_interrupt()?;
    }
    drop(bar);
    if decoded == 0 {
        return Err(Failure::new(format_args!("{source} holds no latents")));
    }
    output.finish()?;
    let empty = match empty {
        0 => String::new(),
        empty => format!("; {} empty", grouped(empty)),
    };
    if same < known {
        output::say(&format_args!(
            "{} of {} do not come back as the molecule in the file",
            grouped(known - same),
            count(known, "latent")
        ));
    }
    output::say(&format_args!(
        "decoded {}: {}, {}{empty}",
        count(decoded, "latent"),
        count(valid, "valid molecule"),
        percent(valid as f64 / decoded as f64)
    ));
    Ok(())
}

/// The line of a string and its name, which may not end the line.
fn line(string: &str, name: Option<String>) -> String {
    let string = in_line(string);
    match name {
        Some(name) => format!("{string}\t{}", name.replace(char::is_control, " ")),
        None => string.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chem::Smiles;

    #[test]
    fn an_empty_string_keeps_its_line_and_its_name_and_is_no_molecule() {
        assert_eq!(line("", None), "<empty>");
        assert_eq!(line("", Some("a b".to_owned())), "<empty>\ta b");
        assert_eq!(line("CCO", Some("a\r\nb".to_owned())), "CCO\ta  b");
        assert!(Smiles::parse("<empty>").is_err());
    }
}
