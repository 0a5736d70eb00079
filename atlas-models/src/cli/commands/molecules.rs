//! `atlas molecules`: writes the molecules that a bundle was trained on, or the built-in ones.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::Models;
use crate::cli::failure::{Failure, Result, usage};
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;
use crate::cli::training_note::TrainedOn;
use crate::data::{MemoryLimit, Molecules};

const EXAMPLES: &str = "\
Examples:
  atlas molecules -o built-in.smi
  atlas molecules runs/zinc -o held-out.smi
  atlas molecules runs/zinc --part training -o training.smi";

/// Write the molecules that a bundle was trained on, or those that it did not see
///
/// Each on a line, followed by its name, in the order of the split. Without a bundle the built-in
/// molecules are written, in theirs.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder [default: the built-in molecules]
    bundle: Option<PathBuf>,
    /// Which of them [default: held-out of a bundle, all of the built-in ones]
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// File to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// Those that training did not see
    HeldOut,
    /// Those that it saw
    Training,
    /// Both, in the order of the file
    All,
    /// Built-in ones made of building blocks that those to train on lack
    HeldOutBlocks,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let mut output = OutputFile::create(&args.output)?;
    output.watch_interrupts()?;
    let limit = MemoryLimit::default();
    let molecules = match (&args.bundle, args.part) {
        (None, Some(Part::HeldOutBlocks)) => Molecules::of_held_out_blocks(limit)?,
        (Some(_), Some(Part::HeldOutBlocks)) => {
            return Err(usage(Failure::new(
                "--part held-out-blocks: they are the same for every bundle; name none",
            )));
        }
        (None, None | Some(Part::All)) => Molecules::built_in(limit)?,
        (None, Some(Part::HeldOut | Part::Training)) => {
            return Err(usage(Failure::new(
                "--part: a bundle says what was held out of its training; name one",
            )));
        }
        (Some(bundle), part) => of_bundle(bundle, part.unwrap_or(Part::HeldOut), models)?,
    };
    for record in molecules.records() {
        let record = record?;
        match record.name {
            Some(name) => output.line(&format!("{} {name}", record.smiles))?,
            None => output.line(record.smiles.as_str())?,
        }
    }
    output.finish()?;
    if args.output != Path::new("-") {
        let path = args.output.display();
        output::say(&format_args!(
            "{path}: {}",
            count(molecules.len(), "molecule")
        ));
    }
    Ok(())
}

fn of_bundle(bundle: &Path, part: Part, models: &Models) -> Result<Molecules> {
    let model = models.load(bundle)?;
    let trained_on = TrainedOn::of(model.provenance()).ok_or_else(|| {
        let bundle = bundle.display();
        Failure::new(format_args!("{bundle} does not say what it was trained on"))
    })?;
    let data = trained_on.read_again(bundle, &*model)?;
    Ok(match part {
        Part::All | Part::HeldOutBlocks => data,
        Part::HeldOut => trained_on.split_again(&data)?.held_out,
        Part::Training => trained_on.split_again(&data)?.training,
    })
}
