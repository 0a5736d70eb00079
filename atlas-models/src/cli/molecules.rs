//! Reads a file of molecules for a command, and reports the rows that are refused or left out.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::cli::failure::{Failure, Result};
use crate::cli::model::check_known;
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;
use crate::data::{MemoryLimit, Molecules, Record, Rows, SkippedRow, SkippedRows};
use crate::models::MoleculeAutoencoder;

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

/// Without it, a command that waits for somebody to type seems to do nothing.
pub fn warn_of_terminal(path: &Path) {
    if path == Path::new("-") && io::stdin().is_terminal() {
        output::say(&"reading from the terminal; Ctrl-D ends the input");
    }
}

/// Opens a file that is read some rows at a time.
pub fn open(path: &Path) -> Result<Rows> {
    warn_of_terminal(path);
    Ok(Rows::open(path)?)
}

/// Reads all molecules of a file. Rows that are not SMILES are left out.
pub fn read(path: &Path, limit: MemoryLimit) -> Result<Molecules> {
    warn_of_terminal(path);
    Ok(Molecules::read(path, limit)?)
}

/// The row, or why it is left out: the model cannot represent its molecule.
pub fn check_row(model: &dyn MoleculeAutoencoder, row: Record) -> Result<Record, SkippedRow> {
    match check_known(model, &row.smiles) {
        Ok(()) => Ok(row),
        Err(error) => Err(SkippedRow {
            line: row.line,
            why: error.to_string(),
        }),
    }
}

/// An error if there are bad rows.
pub fn refuse(source: &str, skipped: &SkippedRows) -> Result {
    let count_of_all = skipped.count;
    if count_of_all == 0 {
        return Ok(());
    }
    let named = skipped.first.iter().take(NAMED);
    let mut problems: Vec<String> = named
        .map(|row| format!("{source}:{}: {}", row.line, row.why))
        .collect();
    if count_of_all > problems.len() {
        problems.push(format!("and {} more", count_of_all - problems.len()));
    }
    let heading = if count_of_all > 1 {
        format!("{source}: {}\n  ", count(count_of_all, "bad row"))
    } else {
        String::new()
    };
    Err(Failure::new(format_args!(
        "{heading}{}\n(--skip-invalid leaves such rows out)",
        problems.join("\n  ")
    )))
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
