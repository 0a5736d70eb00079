//! Reads a file of molecules for a command, and reports the rows that are refused or left out.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use crate::chem::Standardise;
use crate::cli::failure::{Failure, Result};
use crate::cli::limits;
use crate::cli::output_file::{OutputFile, note_input};
use crate::cli::terminal::text::{count, grouped};
use crate::cli::terminal::{interrupt, output, progress};
use crate::data::{
    CheckedRows, Column, Input, MemoryLimit, MoleculeStream, Molecules, RowOptions, Rows,
    SkippedRows,
};
use crate::models::MoleculeAutoencoder;

/// Bad rows that are named; further ones are counted.
const NAMED: usize = 20;

/// What every command is told of a file of molecules.
// A doc comment on it would take the place of the command's own.
#[derive(clap::Args, Clone, Debug)]
pub struct RowArgs {
    /// Column of the SMILES, by its name or its number from 1; of an SDF, a data field in place of
    /// the structure [default: the one that is called smiles or, where there is none, the only one
    /// in which every cell is SMILES]
    #[arg(long, value_name = "COLUMN")]
    pub smiles_column: Option<Column>,
    /// Column of the names [default: the one that is called name, id or title; what follows the
    /// SMILES where no delimiter separates them; of an SDF the title]
    #[arg(long, value_name = "COLUMN")]
    pub name_column: Option<Column>,
    /// Draw molecules alike before they are used: some of spelling, largest-fragment, no-stereo,
    /// no-atom-maps, canonical, separated by commas; or none [default: what the bundle was trained
    /// on; none in a new training]
    #[arg(long, value_name = "WAYS")]
    pub standardise: Option<Standardise>,
    /// Leave out, and count, rows that are not SMILES or, of molecules for the model, have a token that
    /// it does not know
    #[arg(long)]
    pub skip_invalid: bool,
    /// Write every row that --skip-invalid leaves out, and why, to a CSV file
    #[arg(long, value_name = "FILE", requires = "skip_invalid")]
    pub skipped: Option<PathBuf>,
}

impl RowArgs {
    /// Whether it is said how a file is read.
    pub fn is_given(&self) -> bool {
        self.smiles_column.is_some() || self.name_column.is_some() || self.standardise.is_some()
    }

    /// How rows are read; `trained` is how the molecules were drawn that a bundle was trained on.
    pub fn options(&self, trained: Option<&Standardise>) -> RowOptions {
        RowOptions {
            smiles_column: self.smiles_column.clone(),
            name_column: self.name_column.clone(),
            weight_column: None,
            standardise: self
                .standardise
                .as_ref()
                .or(trained)
                .cloned()
                .unwrap_or_default(),
            keep_skipped: self.skipped.is_some(),
        }
    }

    /// The molecules of a file that the model can represent.
    ///
    /// # Errors
    /// If there are others and they are not to be left out, or none is left.
    pub fn read(
        &self,
        path: &Path,
        trained: Option<&Standardise>,
        model: &dyn MoleculeAutoencoder,
    ) -> Result<Molecules> {
        self.read_input(&Input::file(path), trained, model)
    }

    /// The molecules of several files or of a shard, which may have none, that the model can
    /// represent.
    ///
    /// # Errors
    /// Where [`read`](Self::read) fails.
    pub fn read_input(
        &self,
        input: &Input,
        trained: Option<&Standardise>,
        model: &dyn MoleculeAutoencoder,
    ) -> Result<Molecules> {
        let options = self.options_said(trained);
        let mut data = read_rows(input, options, |rows| {
            Molecules::from_rows(rows, MemoryLimit::default())
        })?;
        data.keep_representable(model)?;
        self.settle(&data)?;
        check_left(input, data.len())?;
        if let Some(note) = limits::too_long(model, &data)? {
            output::say(&note);
        }
        Ok(data)
    }

    /// The molecules that the model can represent, to be read once.
    ///
    /// # Errors
    /// Where [`read`](Self::read) fails.
    pub fn stream(
        &self,
        input: &Input,
        trained: Option<&Standardise>,
        model: &dyn MoleculeAutoencoder,
    ) -> Result<MoleculeStream> {
        let options = self.options_said(trained);
        let data = read_rows(input, options, |rows| {
            MoleculeStream::from_rows(rows, model)
        })?;
        self.settle(&data)?;
        check_left(input, data.len())?;
        if let Some(note) = limits::too_long_of_sizes(model, data.source(), data.sizes()) {
            output::say(&note);
        }
        Ok(data)
    }

    /// All molecules of a file, with the rows that are left out yet to [settle](Self::settle).
    pub fn read_all(&self, path: &Path, trained: Option<&Standardise>) -> Result<Molecules> {
        read(path, self.options_said(trained), MemoryLimit::default())
    }

    /// How rows are read; it is said where the bundle decides.
    fn options_said(&self, trained: Option<&Standardise>) -> RowOptions {
        let options = self.options(trained);
        if self.standardise.is_none() && !options.standardise.is_empty() {
            output::say(&format_args!(
                "the molecules are drawn as those were that the bundle was trained on: {}",
                options.standardise
            ));
        }
        options
    }

    /// Reports the rows that are left out.
    ///
    /// # Errors
    /// If they are not to be left out, or the file of them cannot be written.
    pub fn settle(&self, data: &impl CheckedRows) -> Result {
        let (source, skipped) = (data.source(), data.skipped());
        if !self.skip_invalid {
            refuse(source, skipped)?;
        }
        if let Some(path) = &self.skipped {
            write_left_out(path, skipped, data.is_located())?;
        }
        report(data);
        Ok(())
    }
}

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

/// An error if the model can represent no molecule of an input; a shard may have none.
fn check_left(input: &Input, molecules: usize) -> Result {
    if molecules == 0 && input.of_shard().is_none() {
        return Err(Failure::new(format_args!(
            "{} holds no molecule that the model can represent",
            input.name()
        )));
    }
    Ok(())
}

/// Reads all molecules of a file. Rows that are not SMILES are left out.
pub fn read(path: &Path, options: RowOptions, limit: MemoryLimit) -> Result<Molecules> {
    let input = Input::file(path);
    read_rows(&input, options, |rows| Molecules::from_rows(rows, limit))
}

/// Reads all rows of an input, as `read` does.
fn read_rows<T>(
    input: &Input,
    options: RowOptions,
    read: impl FnOnce(Rows) -> atlas_core::Result<T>,
) -> Result<T> {
    for file in input.files() {
        note_input(file.path())?;
        warn_of_terminal(file.path());
    }
    let is_known = input.files().all(|file| file.path().is_file());
    let bar = progress::reading(is_known, "rows read");
    // Nothing has been done that could be lost.
    interrupt::set_waiting(true);
    let rows = Rows::of_input(input, options).map(|rows| {
        rows.watched_by(move |progress, rows| {
            progress::show_read(&bar, rows, progress.share());
            Ok(())
        })
    });
    let read = rows.and_then(read);
    interrupt::set_waiting(false);
    Ok(read?)
}

/// An error if there are bad rows.
pub fn refuse(source: &str, skipped: &SkippedRows) -> Result {
    let count_of_all = skipped.count;
    if count_of_all == 0 {
        return Ok(());
    }
    let named = skipped.first.iter().take(NAMED);
    let mut problems: Vec<String> = named
        .map(|row| format!("{}: {}", row.place(), row.why))
        .collect();
    if count_of_all > problems.len() {
        problems.push(format!(
            "and {} more",
            grouped(count_of_all - problems.len())
        ));
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

/// Says which rows were left out, and what else is worth knowing of a file.
pub fn report(data: &impl CheckedRows) {
    let (source, skipped, impossible) = (data.source(), data.skipped(), data.impossible());
    for remark in data.remarks() {
        output::say(&format_args!("{source}: {remark}"));
    }
    for row in skipped.first.iter().take(NAMED) {
        output::say(&format_args!("skipped {}: {}", row.place(), row.why));
    }
    if skipped.count > 0 {
        output::say(&format_args!(
            "skipped {} of {source}",
            count(skipped.count, "row")
        ));
    }
    if let Some(row) = impossible.first.first() {
        output::say(&format_args!(
            "{source}: {} cannot exist, which alone leaves no row out; the first is in {}: `{}`: {}",
            count(impossible.count, "molecule"),
            match row.line {
                0 => row.place(),
                line => format!("line {line}"),
            },
            row.text,
            row.why
        ));
    }
}

/// Writes a table of rows that are left out.
pub fn write_skipped(path: &Path, skipped: &SkippedRows) -> Result {
    write_left_out(path, skipped, false)
}

/// Writes a table of rows that are left out; whether they are known by their file and first byte.
fn write_left_out(path: &Path, skipped: &SkippedRows, is_located: bool) -> Result {
    let mut output = OutputFile::create(path)?;
    let [first, second] = if is_located {
        ["file", "offset"]
    } else {
        ["row", "line"]
    };
    output.row([first, second, "text", "why"])?;
    for row in &skipped.first {
        let [first, second] = if is_located {
            [row.file.name().to_owned(), row.offset.to_string()]
        } else {
            [row.row.to_string(), row.line.to_string()]
        };
        output.row([&first, &second, &row.text, &row.why])?;
    }
    output.finish()
}
