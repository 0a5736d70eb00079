//! Rows of text: cells that a delimiter separates, or a SMILES and what follows it.

use std::io::{self, Read};

use atlas_core::{Error, Result};
use csv::ByteRecord;

use super::RawRow;
use super::columns::{Column, Columns, Wanted, called_smiles};
use super::open_file::RowReader;
use crate::chem::{self, Smiles};

/// Rows by which the columns are known.
const SAMPLED: usize = 1000;
/// A line of more bytes is no line of text.
const LONGEST: u64 = 1 << 20;
/// What can separate cells. None of them can be part of a SMILES.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// How cells are separated: by a delimiter, or by white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Delimited(u8),
    Words,
}

impl Shape {
    /// The shape of a text that begins with `sample`, in a file of that ending.
    pub fn of(sample: &str, ending: &str) -> Self {
        let mut lines = sample.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default();
        let count = |delimiter: u8| first.bytes().filter(|byte| *byte == delimiter).count();
        match ending {
            "tsv" | "tab" => return Self::Delimited(b'\t'),
            "csv" => {
                // The last of equals, hence the comma.
                let most = DELIMITERS.into_iter().rev().max_by_key(|&it| count(it));
                return Self::Delimited(most.unwrap_or(b','));
            }
            _ => {}
        }
        let names_smiles = |delimiter: &u8| {
            let shape = Self::Delimited(*delimiter);
            let header = shape.sample(first, true);
            count(*delimiter) > 0
                && header
                    .first()
                    .is_some_and(|cells| called_smiles(cells) != Ok(None))
        };
        let word = first.split_ascii_whitespace().next().unwrap_or_default();
        let separates = |delimiter: &u8| match delimiter {
            b'\t' => count(b'\t') > 0 && Smiles::parse(word).is_err() && !is_header(first),
            delimiter => word.as_bytes().contains(delimiter),
        };
        let found = DELIMITERS.into_iter().find(names_smiles);
        let found = found.or_else(|| DELIMITERS.into_iter().find(separates));
        found.map_or(Self::Words, Self::Delimited)
    }

    /// The first rows, of which the last may be cut off unless the text is whole.
    pub fn sample(self, text: &str, is_whole: bool) -> Vec<Vec<String>> {
        let end = if is_whole {
            text.len()
        } else {
            text.rfind('\n').unwrap_or(0)
        };
        let text = &text[..end];
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        match self {
            Self::Words => lines
                .take(SAMPLED)
                .map(|line| line.split_ascii_whitespace().map(str::to_owned).collect())
                .collect(),
            Self::Delimited(delimiter) => reader(text.as_bytes(), delimiter)
                .records()
                .map_while(|record| record.ok())
                .filter(|record| !is_empty(record.iter().map(str::as_bytes)))
                .take(SAMPLED)
                .map(|record| record.iter().map(|cell| cell.trim().to_owned()).collect())
                .collect(),
        }
    }

    /// The columns of a text of which these are the first rows.
    pub fn columns(
        self,
        rows: &[Vec<String>],
        wanted: &Wanted,
    ) -> std::result::Result<Columns, String> {
        if self != Self::Words || wanted.smiles.is_some() {
            return Columns::find(rows, wanted);
        }
        // The first word of a row is its SMILES, whatever else could be.
        let has_header = rows
            .first()
            .is_some_and(|cells| is_header(&cells.join(" ")));
        if has_header {
            return Columns::find(rows, wanted);
        }
        let first = Wanted {
            smiles: Some(Column::Number(1)),
            ..wanted.clone()
        };
        Ok(Columns {
            has_header: false,
            remark: None,
            ..Columns::find(rows, &first)?
        })
    }
}

/// Whether a line of words is the header of a list of SMILES.
fn is_header(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    words
        .next()
        .is_some_and(|word| called_smiles(&[word]) == Ok(Some(0)))
}

fn reader<R: Read>(from: R, delimiter: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(from)
}

/// Knows whether a text has an odd number of quotes so far.
struct Quotes {
    from: RowReader,
    is_odd: bool,
    has_begun: bool,
}

impl Read for Quotes {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        // A table that begins by one byte is not searched for a mark: that of the file is gone, and
        // what is in its middle belongs to a cell.
        let most = if self.has_begun { to.len() } else { 1 };
        self.has_begun = true;
        let most = most.min(to.len());
        let read = self.from.read(&mut to[..most])?;
        let quotes = to[..read].iter().filter(|byte| **byte == b'"').count();
        self.is_odd ^= quotes % 2 == 1;
        Ok(read)
    }
}

fn is_empty<'a>(mut cells: impl Iterator<Item = &'a [u8]>) -> bool {
    cells.all(|cell| cell.trim_ascii().is_empty())
}

/// Rows of text, the header left out.
pub struct Lines {
    from: Cells,
    shape: Shape,
    columns: Columns,
    /// Cells of the first row, which the others must have, too.
    width: Option<usize>,
    /// Whether all that follows the SMILES is its name.
    rest_is_name: bool,
    skips_header: bool,
    /// Whether the file is cut between lines, which no row may then go over.
    is_cut: bool,
}

enum Cells {
    Words {
        from: RowReader,
        bytes: Vec<u8>,
    },
    Delimited {
        from: csv::Reader<Quotes>,
        record: ByteRecord,
        /// Rows with a cell of several lines, and the line of the last of them.
        of_lines: (usize, u64),
    },
}

impl Cells {
    fn new(from: RowReader, shape: Shape) -> Self {
        match shape {
            Shape::Words => Self::Words {
                from,
                bytes: Vec::new(),
            },
            Shape::Delimited(delimiter) => {
                let quotes = Quotes {
                    from,
                    is_odd: false,
                    has_begun: false,
                };
                Self::Delimited {
                    from: reader(quotes, delimiter),
                    record: ByteRecord::new(),
                    of_lines: (0, 0),
                }
            }
        }
    }
}

impl Lines {
    pub fn new(from: RowReader, shape: Shape, columns: Columns) -> Self {
        let rest_is_name = shape == Shape::Words
            && columns.smiles == 0
            && columns
                .name
                .is_none_or(|name| name == 1 && columns.has_header)
            && columns.weight.is_none();
        Self {
            from: Cells::new(from, shape),
            shape,
            skips_header: columns.has_header,
            columns,
            width: None,
            rest_is_name,
            is_cut: false,
        }
    }

    /// Goes on with those lines of the same file that begin at its byte `start`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn continued(mut self, from: RowReader, start: u64) -> Result<Self> {
        let first = loop {
            match self.read()? {
                Some(_) if self.is_blank() => {}
                found => break found,
            }
        };
        // All lines before the first row are blank.
        let is_after = first.is_some_and(|row| row.offset < start);
        if let Cells::Delimited { record, .. } = &self.from {
            self.width = Some(record.len()).filter(|_| is_after);
        }
        self.skips_header &= !is_after;
        self.from = Cells::new(from, self.shape);
        self.is_cut = true;
        Ok(self)
    }

    /// Whether names are what follows SMILES on their lines.
    pub fn rest_is_name(&self) -> bool {
        self.rest_is_name && !self.columns.has_header
    }

    /// What is worth saying of the rows, once they were read.
    pub fn remark(&self) -> Option<String> {
        match self.from {
            Cells::Delimited {
                of_lines: (rows @ 1.., line),
                ..
            } => Some(format!(
                "cells go over several lines in {rows} rows, the last of them in line {line}: is a \
                 quote closed where it should be?"
            )),
            _ => None,
        }
    }

    /// The next row that holds something.
    pub fn next(&mut self) -> Result<Option<RawRow>> {
        loop {
            let Some(mut row) = self.read()? else {
                return Ok(None);
            };
            if self.is_blank() {
                continue;
            }
            if std::mem::take(&mut self.skips_header) {
                if let Cells::Delimited { record, .. } = &self.from {
                    self.width = Some(record.len());
                }
                continue;
            }
            if let Err(why) = self.understand(&mut row) {
                row.why = Some(why);
            }
            return Ok(Some(row));
        }
    }

    /// Reads the next line or record; where it is, or none at the end.
    fn read(&mut self) -> Result<Option<RawRow>> {
        match &mut self.from {
            Cells::Words { from, bytes } => {
                bytes.clear();
                let place = from.place;
                let read = from.read_line(bytes, LONGEST)?;
                let row = from.row(from.line, place);
                if read == LONGEST {
                    return Err(Error::new(format_args!(
                        "{}: a line of more than {LONGEST} bytes: not a text of molecules",
                        row.place()
                    )));
                }
                Ok((read > 0).then_some(row))
            }
            Cells::Delimited {
                from,
                record,
                of_lines,
            } => {
                let before = record.position().map_or(0, csv::Position::line);
                let read = from.read_byte_record(record);
                let read = read.map_err(|error| match error.into_kind() {
                    csv::ErrorKind::Io(error) => from.get_ref().from.failed(error),
                    other => Error::new(format_args!("{}: {other:?}", from.get_ref().from.label())),
                })?;
                let Quotes { from, is_odd, .. } = from.get_ref();
                let position = record.position();
                let (mut place, mut line) =
                    position.map_or((0, 0), |position| (position.byte(), position.line()));
                // A quote that is never closed makes one cell of all lines that follow.
                if !read && *is_odd && of_lines.1 == before && before > 0 {
                    return Err(Error::new(format_args!(
                        "{}:{before}: a quote that opens in this row is not closed, and takes all that \
                         follows",
                        from.label()
                    )));
                }
                let is_of_lines = |cell: &[u8]| cell.trim_ascii().contains(&b'\n');
                if read && record.iter().any(is_of_lines) {
                    *of_lines = (of_lines.0 + 1, line);
                }
                if !read {
                    return Ok(None);
                }
                // A record begins after the empty lines before it.
                let empty = from.empty_lines(place);
                place += empty;
                line += empty;
                let row = from.row(line as usize, place);
                if self.is_cut && record.iter().any(|cell| cell.contains(&b'\n')) {
                    return Err(Error::new(format_args!(
                        "{}: a cell of this row goes over several lines: such a table cannot be cut \
                         into shards; compressed, it is left whole",
                        row.place()
                    )));
                }
                Ok(Some(row))
            }
        }
    }

    fn is_blank(&self) -> bool {
        match &self.from {
            Cells::Words { bytes, .. } => bytes.trim_ascii().is_empty(),
            Cells::Delimited { record, .. } => is_empty(record.iter()),
        }
    }

    fn cell(&self, place: usize) -> std::result::Result<String, String> {
        let cell = match &self.from {
            Cells::Words { bytes, .. } => bytes
                .split(u8::is_ascii_whitespace)
                .filter(|cell| !cell.is_empty())
                .nth(place),
            Cells::Delimited { record, .. } => record.get(place),
        };
        let cell = cell.ok_or_else(|| format!("there is no column {}", place + 1))?;
        let text =
            std::str::from_utf8(cell).map_err(|_| format!("column {} is not UTF-8", place + 1))?;
        Ok(text.trim().to_owned())
    }

    fn understand(&mut self, row: &mut RawRow) -> std::result::Result<(), String> {
        if let Cells::Delimited { record, .. } = &self.from {
            let width = *self.width.get_or_insert(record.len());
            if record.len() != width {
                return Err(format!(
                    "{} columns, where the first row has {width}",
                    record.len()
                ));
            }
        }
        let (smiles, extension) = split_extension(&self.cell(self.columns.smiles)?);
        row.text = smiles;
        if row.text.is_empty() {
            return Err("the column of SMILES is empty".to_owned());
        }
        row.has_extension = extension;
        check_tokens(&row.text)?;
        if let Some(place) = self.columns.weight {
            row.weight = Some(self.cell(place)?);
        }
        match (&self.from, self.columns.name) {
            (Cells::Words { bytes, .. }, _) if self.rest_is_name => {
                let line = std::str::from_utf8(bytes)
                    .map_err(|error| format!("byte {}: not UTF-8", error.valid_up_to()))?
                    .trim_ascii();
                check_tokens(line)?;
                let (_, rest) = line
                    .split_once(|character: char| character.is_ascii_whitespace())
                    .unwrap_or((line, ""));
                let (name, extension) = without_extension(rest.trim_ascii());
                row.name = Some(name.to_owned());
                row.has_extension |= extension;
            }
            (_, Some(place)) => row.name = Some(self.cell(place)?),
            (_, None) => {}
        }
        Ok(())
    }
}

/// A cell of SMILES without ChemAxon's extension (`CCO |w:1.0|`), and whether it had one.
fn split_extension(cell: &str) -> (String, bool) {
    match cell.split_once(|character: char| character.is_ascii_whitespace()) {
        Some((smiles, rest)) if rest.trim_ascii().starts_with('|') => (smiles.to_owned(), true),
        _ => (cell.to_owned(), false),
    }
}

/// A name without ChemAxon's extension before it, and whether it had one.
fn without_extension(rest: &str) -> (&str, bool) {
    let end = rest.strip_prefix('|').and_then(|rest| rest.find('|'));
    end.map_or((rest, false), |end| (rest[end + 2..].trim_ascii(), true))
}

/// An error if a line is one molecule whose tokens are separated by blanks.
fn check_tokens(line: &str) -> std::result::Result<(), String> {
    let mut words = line.split_ascii_whitespace();
    let is_spaced = words.clone().nth(1).is_some() && words.all(chem::is_single_token);
    if !is_spaced {
        return Ok(());
    }
    let joined: String = line.split_ascii_whitespace().collect();
    match Smiles::parse(&joined) {
        Ok(_) => Err(format!(
            "tokens that blanks separate: without the blanks it is `{joined}`"
        )),
        Err(_) => Ok(()),
    }
}
