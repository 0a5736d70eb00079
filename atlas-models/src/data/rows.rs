//! Files of molecules, row by row.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use atlas_core::{Error, Result};

use crate::chem::Smiles;

/// One molecule of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line in the file, from 1; the first of them where a row has several.
    pub line: usize,
    /// The place among the file's rows, from 1. Rows that are left out count, empty lines do not.
    pub row: usize,
    /// The molecule.
    pub smiles: Smiles,
    /// What follows the SMILES on its line.
    pub name: Option<String>,
}

/// A row that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// The line in the file, from 1.
    pub line: usize,
    /// Why it is left out.
    pub why: String,
}

/// The rows that are left out of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// Some of them, in the order of their lines: the first thousand that were found.
    pub first: Vec<SkippedRow>,
    /// How many there are.
    pub count: usize,
}

impl SkippedRows {
    /// Rows that are kept with their reasons; further ones are counted.
    const KEPT: usize = 1000;

    /// Adds a row.
    pub fn push(&mut self, row: SkippedRow) {
        self.count += 1;
        if self.first.len() < Self::KEPT {
            let place = self.first.partition_point(|before| before.line <= row.line);
            self.first.insert(place, row);
        }
    }
}

/// A file of molecules that is read row by row: SMILES, one a line, optionally followed by white
/// space and a name. Empty lines count as lines and hold nothing.
///
/// Gives each row as a molecule or as the reason why it is none; an error is one of reading.
pub struct Rows {
    from: Box<dyn BufRead>,
    source: String,
    line: usize,
    row: usize,
    bytes: Vec<u8>,
}

impl Rows {
    /// The rows of the file at `path`; `-` is standard input.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::new(io::stdin().lock(), "standard input"));
        }
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        let source = path.display().to_string();
        Ok(Self::new(BufReader::with_capacity(1 << 18, file), &source))
    }

    /// The rows of a text that messages call `source`.
    pub fn new(from: impl BufRead + 'static, source: &str) -> Self {
        Self {
            from: Box::new(from),
            source: source.to_owned(),
            line: 0,
            row: 0,
            bytes: Vec::new(),
        }
    }

    /// What messages call the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The next row that holds something.
    fn read(&mut self) -> Result<Option<Row>> {
        loop {
            self.bytes.clear();
            let read = self.from.read_until(b'\n', &mut self.bytes);
            let read = read.map_err(|error| Error::io("read", &self.source, error))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let line = self.line;
            let parsed = parse(line, self.row + 1, &self.bytes);
            self.row += usize::from(!matches!(parsed, Ok(None)));
            match parsed {
                Ok(None) => {}
                Ok(Some(record)) => return Ok(Some(Ok(record))),
                Err(why) => return Ok(Some(Err(SkippedRow { line, why }))),
            }
        }
    }
}

/// A molecule, or a row that is none.
type Row = std::result::Result<Record, SkippedRow>;

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The molecule of a line, nothing for an empty line, or why the line is no molecule.
fn parse(line: usize, row: usize, bytes: &[u8]) -> std::result::Result<Option<Record>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("byte {}: not UTF-8", error.valid_up_to()))?;
    // A file from Windows ends its lines in two characters and may begin with a mark.
    let text = text
        .strip_prefix('\u{feff}')
        .filter(|_| line == 1)
        .unwrap_or(text)
        .trim_ascii();
    let (first, name) = text
        .split_once(|character: char| character.is_ascii_whitespace())
        .unwrap_or((text, ""));
    if first.is_empty() {
        return Ok(None);
    }
    let smiles = Smiles::parse(first).map_err(|error| format!("`{}`: {error}", shorten(first)))?;
    let name = name.trim_ascii();
    Ok(Some(Record {
        line,
        row,
        smiles,
        name: (!name.is_empty()).then(|| name.to_owned()),
    }))
}

/// A text that fits on a line of a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
