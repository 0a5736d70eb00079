//! SMILES files, row by row.

use std::io::{self, IsTerminal};
use std::path::Path;

use atlas_models::data::{MemoryLimit, Molecules, Rows, SkippedRows};
use atlas_models::models::MoleculeAutoencoder;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::text::count;

/// Bad rows that are named; further ones are counted.
const NAMED: usize = 20;

/// The name of what `path` leads to, for messages.
pub fn source_name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Reads all molecules of a file. Rows that are not SMILES are skipped or, named one by one, an
/// error.
pub fn read(path: &Path, limit: MemoryLimit, skip_invalid: bool) -> Outcome<Molecules> {
    warn_of_terminal(path);
    let molecules = Molecules::read(path, limit)?;
    refuse_skipped(&molecules, skip_invalid)?;
    Ok(molecules)
}

/// Skips the molecules that a model cannot represent or, unless they are to be skipped, makes
/// them an error.
pub fn keep_known(
    molecules: &mut Molecules,
    model: &dyn MoleculeAutoencoder,
    skip_invalid: bool,
) -> Outcome {
    molecules.keep_representable(model)?;
    refuse_skipped(molecules, skip_invalid)?;
    if molecules.is_empty() {
        let message = format!(
            "{} holds no molecule that the model knows the tokens of",
            molecules.source()
        );
        return Err(Failure::new(message));
    }
    Ok(())
}

/// Opens a file that is read some rows at a time.
pub fn open(path: &Path) -> Outcome<Rows> {
    warn_of_terminal(path);
    Ok(Rows::open(path)?)
}

/// An error if there are bad rows, unless they are to be skipped.
pub fn refuse_skipped(molecules: &Molecules, skip_invalid: bool) -> Outcome {
    if skip_invalid {
        Ok(())
    } else {
        refuse(molecules.source(), molecules.skipped())
    }
}

/// An error if there are bad rows.
pub fn refuse(source: &str, skipped: &SkippedRows) -> Outcome {
    if skipped.count == 0 {
        return Ok(());
    }
    let named = skipped.first.iter().take(NAMED);
    let mut problems: Vec<String> = named
        .map(|row| format!("{source}:{}: {}", row.line, row.why))
        .collect();
    if skipped.count > problems.len() {
        problems.push(format!("and {} more", skipped.count - problems.len()));
    }
    let problems = problems.join("\n  ");
    match skipped.count {
        1 => Err(Failure::new(format_args!(
            "{problems}\n(--skip-invalid leaves such rows out)"
        ))),
        bad => Err(Failure::new(format_args!(
            "{source}: {}\n  {problems}\n(--skip-invalid leaves such rows out)",
            count(bad, "bad row")
        ))),
    }
}

/// Says which rows were left out.
pub fn report_skipped(source: &str, skipped: &SkippedRows) {
    for row in skipped.first.iter().take(NAMED) {
        output::say(&format_args!("skipped {source}:{}: {}", row.line, row.why));
    }
    if skipped.count > 0 {
        output::say(&format_args!(
            "skipped {} of {source}",
            count(skipped.count, "row")
        ));
    }
}

/// Nothing seems to happen while a command waits for somebody to type.
pub fn warn_of_terminal(path: &Path) {
    if path == Path::new("-") && io::stdin().is_terminal() {
        output::say(&"reading from the terminal; Ctrl-D ends the input");
    }
}
