//! Files of molecules, row by row.

mod columns;
mod open_file;
mod sdf;
mod skipped;
mod text;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::vec;

use atlas_core::Result;

use serde::{Deserialize, Serialize};

use super::input::{Input, InputFile, Piece};
use super::source::{Progress, Source};
use crate::chem::{Smiles, Standardise};
use open_file::OpenFile;

pub use columns::Column;
pub(super) use open_file::{SAMPLE, cut_of};
pub use skipped::{SkippedRow, SkippedRows};

/// Rows between two calls of what watches the reading.
const WATCHED: usize = 1 << 12;
/// One molecule of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The file that it is in.
    pub file: Arc<InputFile>,
    /// The first byte of the row in the file, or in what the file is unpacked to.
    pub offset: u64,
    /// The line in the file, from 1; the first of them where a row has several. 0, which is not
    /// known, where the file is not read from its beginning.
    pub line: usize,
    /// The place among the rows that are read, from 1. Rows that are left out count, a header and
    /// empty lines do not.
    pub row: usize,
    /// The molecule.
    pub smiles: Smiles,
    /// What it is called.
    pub name: Option<String>,
    /// How much it counts in training, where a column says so; above zero.
    pub weight: Option<f64>,
}

/// How a file of molecules is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowOptions {
    /// The column of SMILES. Without it one that is called `smiles` is read or, where there is no
    /// header, the only one in which every cell is SMILES; the first, of rows without a delimiter.
    /// Of an SDF, a data field in place of the structure.
    pub smiles_column: Option<Column>,
    /// The column of names. Without it one that is called `name`, `id` or `title` is read; of rows
    /// without a delimiter and a header, what follows the SMILES; of an SDF the title.
    pub name_column: Option<Column>,
    /// The column that says how much each row counts in training.
    pub weight_column: Option<Column>,
    /// What is done to each molecule.
    pub standardise: Standardise,
    /// Keeps every row that is left out with its reason, not the first thousand alone.
    #[serde(skip)]
    pub keep_skipped: bool,
}

/// Files of molecules that are read row by row, from beginning to end: pipes are read as files are.
///
/// | layout | known by |
/// |---|---|
/// | rows of SMILES, optionally followed by white space and a name | anything that is none of the others |
/// | a table, its cells separated by `,`, `;` or tabs, quoted where necessary | the extension `.csv`, `.tsv` or `.tab`, a header with a column of SMILES, a delimiter in the first word |
/// | an SDF, V2000 or V3000 | the extension `.sdf`, `.sd` or `.mol`, its fourth line |
///
/// Each may be compressed by gzip or zstd, whatever its name. Lines end in `\n`, `\r\n` or `\r`;
/// empty ones count as lines and hold nothing.
///
/// Gives each row as a molecule or as the reason why it is none; an error is one of reading.
pub struct Rows {
    /// The file that is being read; nothing of a shard without rows.
    current: Option<OpenFile>,
    rest: vec::IntoIter<Piece>,
    source: String,
    options: RowOptions,
    progress: Progress,
    rows: usize,
    watch: Option<Watch>,
    /// What is worth knowing of the files before the current one.
    remarks: Vec<String>,
    is_located: bool,
    is_share: bool,
}

/// What is called now and then while rows are read.
type Watch = Box<dyn FnMut(&Progress, usize) -> Result<()>>;

/// A row as it is in its file.
#[derive(Debug)]
pub(super) struct RawRow {
    pub file: Arc<InputFile>,
    pub offset: u64,
    pub line: usize,
    pub row: usize,
    /// What should be SMILES.
    pub text: String,
    pub name: Option<String>,
    pub weight: Option<String>,
    /// Whether ChemAxon's extension of SMILES follows, which is not read.
    pub has_extension: bool,
    /// Why there is no molecule, if the layout already says so.
    pub why: Option<String>,
}

/// A molecule, or a row that is none.
pub(super) type Row = std::result::Result<Record, SkippedRow>;

impl Rows {
    /// The rows of the file at `path`; `-` is standard input.
    ///
    /// # Errors
    /// If the file cannot be opened, is not text, or its columns are not clear.
    pub fn open(path: &Path, options: RowOptions) -> Result<Self> {
        Self::of_input(&Input::file(path), options)
    }

    /// The rows of several files, or of a shard.
    ///
    /// # Errors
    /// Where [`open`](Rows::open) fails, of the first file.
    pub fn of_input(input: &Input, options: RowOptions) -> Result<Self> {
        let mut rest = input.pieces().into_iter();
        let progress = Progress::of(input.length());
        let first = rest.next();
        let open = |piece| OpenFile::of_piece(piece, &options, &progress);
        Ok(Self {
            current: first.map(open).transpose()?,
            rest,
            source: input.name().to_owned(),
            progress,
            rows: 0,
            watch: None,
            remarks: Vec::new(),
            is_located: input.is_located(),
            is_share: input.of_shard().is_some(),
            options,
        })
    }

    /// The rows of a text that messages call `source`.
    ///
    /// # Errors
    /// Where [`open`](Rows::open) fails.
    pub fn new(from: impl Read + 'static, source: &str, options: RowOptions) -> Result<Self> {
        Self::of_text(from, source, "", options)
    }

    fn of_text(
        from: impl Read + 'static,
        source: &str,
        ending: &str,
        options: RowOptions,
    ) -> Result<Self> {
        let progress = Progress::default();
        let file = Arc::new(InputFile::of_text(source));
        let from = Source::new(from, &file, &progress)?;
        Ok(Self {
            current: Some(OpenFile::new(from, ending, &options)?),
            rest: Vec::new().into_iter(),
            source: source.to_owned(),
            options,
            progress,
            rows: 0,
            watch: None,
            remarks: Vec::new(),
            is_located: false,
            is_share: false,
        })
    }

    /// What messages call the file or the files.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Calls `watch` now and then, with how much was read and the number of rows. An error of it
    /// ends the reading.
    #[must_use]
    pub fn watched_by(
        mut self,
        watch: impl FnMut(&Progress, usize) -> Result<()> + 'static,
    ) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// What is done to each molecule.
    pub fn standardise(&self) -> &Standardise {
        &self.options.standardise
    }

    pub(super) fn keeps_skipped(&self) -> bool {
        self.options.keep_skipped
    }

    /// Whether a row is known by its file and its first byte there.
    pub(super) fn is_located(&self) -> bool {
        self.is_located
    }

    /// Whether these are the rows of a shard, which may have none.
    pub(super) fn is_share(&self) -> bool {
        self.is_share
    }

    /// What a user should know of how the files were read, once they were.
    ///
    /// # Errors
    /// If most of the names are SMILES: they are then molecules that would be lost.
    pub fn remarks(&self) -> Result<Vec<String>> {
        let mut remarks = self.remarks.clone();
        if let Some(file) = &self.current {
            let label = if self.is_located {
                format!("{}: ", file.label())
            } else {
                String::new()
            };
            let of_file = file.remarks()?.into_iter();
            remarks.extend(of_file.map(|remark| format!("{label}{remark}")));
        }
        Ok(remarks)
    }

    /// The next row, not yet understood.
    pub(super) fn next_raw(&mut self) -> Result<Option<RawRow>> {
        if let Some(watch) = self
            .watch
            .as_mut()
            .filter(|_| self.rows.is_multiple_of(WATCHED))
        {
            watch(&self.progress, self.rows)?;
        }
        while let Some(file) = &mut self.current {
            if let Some(mut row) = file.next()? {
                self.rows += 1;
                row.row = self.rows;
                return Ok(Some(row));
            }
            let Some(piece) = self.rest.next() else {
                break;
            };
            self.remarks = self.remarks()?;
            let next = OpenFile::of_piece(piece, &self.options, &self.progress)?;
            self.current = Some(next);
        }
        Ok(None)
    }
}

impl RawRow {
    /// What messages call it.
    pub(super) fn place(&self) -> String {
        self.file.place(self.line, self.offset)
    }

    /// The molecule, or why there is none.
    pub(super) fn read(self, standardise: &Standardise) -> Row {
        let (file, offset, line, row) = (self.file, self.offset, self.line, self.row);
        let skipped = |text: String, why: String| SkippedRow {
            file: Arc::clone(&file),
            offset,
            line,
            row,
            text: shorten(&text),
            why,
        };
        if let Some(why) = self.why {
            return Err(skipped(self.text, why));
        }
        let parsed = Smiles::parse(&self.text)
            .and_then(|smiles| standardise.apply(smiles))
            .map_err(|error| format!("`{}`: {error}", shorten(&self.text)));
        let smiles = match parsed {
            Ok(smiles) => smiles,
            Err(why) => return Err(skipped(self.text, why)),
        };
        let weight = match self.weight.as_deref().map(weight).transpose() {
            Ok(weight) => weight,
            Err(why) => return Err(skipped(self.text, why)),
        };
        let name = self.name.map(|name| one_line(&name));
        Ok(Record {
            file,
            offset,
            line,
            row,
            smiles,
            name: name.filter(|name| !name.is_empty()),
            weight,
        })
    }
}

fn weight(text: &str) -> std::result::Result<f64, String> {
    // As it is kept.
    let weight = text.trim().parse::<f32>().ok();
    weight
        .filter(|weight| *weight > 0.0 && weight.is_finite())
        .map(f64::from)
        .ok_or_else(|| {
            let text = shorten(text);
            format!("the weight `{text}` is not a finite number above zero")
        })
}

impl Iterator for Rows {
    type Item = Result<std::result::Result<Record, SkippedRow>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_raw().transpose()?;
        Some(row.map(|row| row.read(&self.options.standardise)))
    }
}

/// A name on one line, as lists of molecules need it.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ").trim().to_owned()
}

/// A text that fits on a line of a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
