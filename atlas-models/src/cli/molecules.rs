//! SMILES files, row by row.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::data::{Invalid, Molecules, Rows, Skipped};
use crate::models::MoleculeAutoencoder;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;

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
pub fn read(path: &Path, skip_invalid: bool) -> Outcome<Molecules> {
    warn_of_terminal(path);
    // A file of nothing but bad rows is an error either way; this one names them.
    let invalid = if skip_invalid {
        Invalid::Skip
    } else {
        Invalid::Refuse
    };
    let molecules = match Molecules::read(path, Invalid::Skip) {
        Err(_) if path != Path::new("-") => Molecules::read(path, invalid)?,
        molecules => molecules?,
    };
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
    let mut skipped = Vec::new();
    molecules
        .rows
        .retain(|row| match model.prepare(&row.smiles) {
            Ok(_) => true,
            Err(error) => {
                skipped.push(Skipped {
                    line: row.line,
                    why: error.to_string(),
                });
                false
            }
        });
    if skipped.is_empty() {
        return Ok(());
    }
    molecules.skipped.extend(skipped);
    molecules.skipped.sort_by_key(|row| row.line);
    refuse_skipped(molecules, skip_invalid)?;
    if molecules.is_empty() {
        let message = format!(
            "{} holds no molecule that the model knows the tokens of",
            molecules.source
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

fn refuse_skipped(molecules: &Molecules, skip_invalid: bool) -> Outcome {
    match skip_invalid {
        true => Ok(()),
        false => refuse(
            &molecules.source,
            &molecules.skipped,
            molecules.skipped.len(),
        ),
    }
}

/// An error if there are bad rows, of which `rows` are the first.
pub fn refuse(source: &str, rows: &[Skipped], count_of_all: usize) -> Outcome {
    if count_of_all == 0 {
        return Ok(());
    }
    let mut problems: Vec<String> = rows
        .iter()
        .take(NAMED)
        .map(|row| format!("{source}:{}: {}", row.line, row.why))
        .collect();
    if count_of_all > problems.len() {
        problems.push(format!("and {} more", count_of_all - problems.len()));
    }
    let problems = problems.join("\n  ");
    match count_of_all {
        1 => Err(Failure::new(format_args!(
            "{problems}\n(--skip-invalid leaves such rows out)"
        ))),
        bad => Err(Failure::new(format_args!(
            "{source}: {}\n  {problems}\n(--skip-invalid leaves such rows out)",
            count(bad, "bad row")
        ))),
    }
}

/// Says which rows were left out, of which `rows` are the first.
pub fn report_skipped(source: &str, rows: &[Skipped], count_of_all: usize) {
    for row in rows.iter().take(NAMED) {
        output::say(&format_args!("skipped {source}:{}: {}", row.line, row.why));
    }
    if count_of_all > 0 {
        output::say(&format_args!(
            "skipped {} of {source}",
            count(count_of_all, "row")
        ));
    }
}

/// Nothing seems to happen while a command waits for somebody to type.
pub fn warn_of_terminal(path: &Path) {
    if path == Path::new("-") && io::stdin().is_terminal() {
        output::say(&"reading from the terminal; Ctrl-D ends the input");
    }
}
