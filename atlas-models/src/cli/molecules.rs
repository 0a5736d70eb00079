//! SMILES files: which of their rows are used, refused or left out, and what is said of these.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::cli::failure::{Failure, Result};
use crate::cli::model::check_known;
use crate::cli::terminal::output;
use crate::cli::terminal::text::count;
use crate::data::{Molecules, Row, Rows, Skipped};
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
pub fn read(path: &Path) -> Result<Molecules> {
    let rows = open(path)?;
    let mut molecules = Molecules {
        source: rows.source().to_owned(),
        rows: Vec::new(),
        skipped: Vec::new(),
    };
    for row in rows {
        match row? {
            Ok(row) => molecules.rows.push(row),
            Err(row) => molecules.skipped.push(row),
        }
    }
    Ok(molecules)
}

/// The row, or why it is left out: the model cannot represent its molecule.
pub fn check_row(model: &dyn MoleculeAutoencoder, row: Row) -> Result<Row, Skipped> {
    match check_known(model, &row.smiles) {
        Ok(()) => Ok(row),
        Err(error) => Err(Skipped {
            line: row.line,
            why: error.to_string(),
        }),
    }
}

/// Leaves out the molecules that the model cannot represent.
pub fn keep_known(molecules: &mut Molecules, model: &dyn MoleculeAutoencoder) {
    for row in std::mem::take(&mut molecules.rows) {
        match check_row(model, row) {
            Ok(row) => molecules.rows.push(row),
            Err(row) => molecules.skipped.push(row),
        }
    }
    molecules.skipped.sort_by_key(|row| row.line);
}

/// An error if there are bad rows, of which `rows` are the first.
pub fn refuse(source: &str, rows: &[Skipped], count_of_all: usize) -> Result {
    if count_of_all == 0 {
        return Ok(());
    }
    let named = rows.iter().take(NAMED);
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
