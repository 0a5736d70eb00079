//! SMILES files, row by row.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use atlas_core::{Error, Result};

use crate::chem::Smiles;

/// One molecule of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line in the file, from 1.
    pub line: usize,
    /// The molecule.
    pub smiles: Smiles,
    /// What follows the SMILES on its line.
    pub name: Option<String>,
}

/// A row that is not a molecule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line in the file, from 1.
    pub line: usize,
    /// Why it was left out.
    pub why: String,
}

/// A SMILES file as it is read: one molecule a line, optionally followed by white space and a
/// name; empty lines count as lines and hold nothing.
///
/// Gives each row as a molecule or as the reason why it is none; an error is one of reading.
pub struct Rows {
    from: Box<dyn BufRead>,
    source: String,
    line: usize,
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
        let source = path.display().to_string();
        let file = File::open(path)
            .map_err(|error| Error::new(format_args!("cannot open {source}: {error}")))?;
        Ok(Self::new(BufReader::with_capacity(1 << 18, file), &source))
    }

    /// The rows of a text that messages call `source`.
    pub fn new(from: impl BufRead + 'static, source: &str) -> Self {
        Self {
            from: Box::new(from),
            source: source.to_owned(),
            line: 0,
            bytes: Vec::new(),
        }
    }

    /// What messages call the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    fn read(&mut self) -> Result<Option<std::result::Result<Row, Skipped>>> {
        loop {
            self.bytes.clear();
            let read = self.from.read_until(b'\n', &mut self.bytes);
            let read = read.map_err(|error| {
                Error::new(format_args!("cannot read {}: {error}", self.source))
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let line = self.line;
            match parse(line, &self.bytes) {
                Ok(None) => {}
                Ok(Some(row)) => return Ok(Some(Ok(row))),
                Err(why) => return Ok(Some(Err(Skipped { line, why }))),
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<std::result::Result<Row, Skipped>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The molecule of a line, nothing for an empty line, or why the line is no molecule.
fn parse(line: usize, bytes: &[u8]) -> std::result::Result<Option<Row>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("byte {}: not UTF-8", error.valid_up_to()))?;
    // A file from Windows ends its lines in two characters and may begin with a mark.
    let text = text
        .strip_prefix('\u{feff}')
        .filter(|_| line == 1)
        .unwrap_or(text)
        .trim_ascii_end();
    let Some(first) = text.split_ascii_whitespace().next() else {
        return Ok(None);
    };
    let start = text.len() - text.trim_ascii_start().len();
    let smiles = Smiles::parse(first).map_err(|error| format!("`{}`: {error}", shorten(first)))?;
    let name = text[start + first.len()..].trim_ascii();
    Ok(Some(Row {
        line,
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
