//! Latents as CSV.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;

use atlas_core::{Error, Result};
use csv::StringRecord;

use super::columns::{column_name, columns, numbered};
use super::{LatentLayout, LatentRows, Sink, Source, is_name, is_smiles};
use crate::chem::Smiles;
use crate::data::Record;

pub(super) struct Writer<W: io::Write> {
    to: csv::Writer<W>,
    layout: LatentLayout,
    /// The number being written.
    digits: String,
}

impl<W: io::Write> Writer<W> {
    pub(super) fn new(to: W, layout: LatentLayout) -> io::Result<Self> {
        let mut writer = Self {
            to: csv::Writer::from_writer(to),
            layout,
            digits: String::new(),
        };
        writer.header().map_err(into_io)?;
        Ok(writer)
    }

    fn header(&mut self) -> csv::Result<()> {
        let place: &[&str] = if self.layout.is_located {
            &["file", "offset"]
        } else {
            &["row"]
        };
        for name in ["smiles", "name"].iter().chain(place) {
            self.to.write_field(name)?;
        }
        for dimension in 0..self.layout.width {
            self.to.write_field(column_name(dimension))?;
        }
        self.to.write_record(None::<&[u8]>)
    }

    fn row(&mut self, record: &Record, latent: &[f32]) -> csv::Result<()> {
        self.to.write_field(record.smiles.as_str())?;
        self.to.write_field(record.name.as_deref().unwrap_or(""))?;
        if self.layout.is_located {
            self.to.write_field(record.file.name())?;
            self.to.write_field(record.offset.to_string())?;
        } else {
            self.to.write_field(record.row.to_string())?;
        }
        for value in latent {
            self.digits.clear();
            // The shortest decimal that reads back to the same bits. Writing into a string cannot
            // fail.
            let _ = write!(self.digits, "{value:?}");
            self.to.write_field(&self.digits)?;
        }
        self.to.write_record(None::<&[u8]>)
    }
}

impl<W: io::Write> Sink for Writer<W> {
    fn write(&mut self, records: &[Record], latents: &[f32]) -> io::Result<()> {
        let width = self.layout.width;
        let mut rows = records.iter().enumerate();
        rows.try_for_each(|(row, record)| self.row(record, &latents[row * width..][..width]))
            .map_err(into_io)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.to.flush()
    }
}

/// The I/O error itself, so that its kind is known.
fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

pub(super) struct Reader<R> {
    from: csv::Reader<R>,
    name: String,
    /// The column of each dimension.
    columns: Vec<usize>,
    /// The column of the names.
    names: Option<usize>,
    /// The column of the molecules.
    smiles: Option<usize>,
    /// Columns of every row.
    all: usize,
    /// Bytes of all, where it is known.
    length: Option<u64>,
    /// The first rows of a table without a header.
    waiting: VecDeque<StringRecord>,
}

impl<R: io::Read> Reader<R> {
    /// Reads from something of `length` bytes, if that is known.
    pub(super) fn new(from: R, name: String, length: Option<u64>) -> Result<Self> {
        let from = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(from);
        let mut reader = Self {
            from,
            name,
            columns: Vec::new(),
            names: None,
            smiles: None,
            all: 0,
            length,
            waiting: VecDeque::new(),
        };
        let mut record = StringRecord::new();
        if !reader.next(&mut record)? {
            return Err(Error::new(format_args!("{} holds no latents", reader.name)));
        }
        let names: Vec<&str> = record.iter().map(str::trim).collect();
        reader.all = names.len();
        if is_header(&names) {
            reader.columns = columns(&names, &[]).map_err(|why| reader.wrong(&record, why))?;
            reader.names = names.iter().position(|name| is_name(name));
            reader.smiles = names.iter().position(|name| is_smiles(name));
        } else {
            // Without a header, a first column that is no number is a SMILES.
            let before = usize::from(names[0].parse::<f32>().is_err());
            reader.columns = (before..names.len()).collect();
            reader.smiles = (before == 1).then_some(0);
            let counts = counts_up(&names);
            reader.waiting.push_back(record.clone());
            let mut second = StringRecord::new();
            if reader.next(&mut second)? {
                if counts && !second.iter().all(|cell| is_digits(cell.trim())) {
                    let why = "is this row a header or a latent? call the columns of latents \
                               z0, z1, …, or write its numbers as 1.0";
                    return Err(reader.wrong(&record, why.to_owned()));
                }
                reader.waiting.push_back(second);
            }
        }
        Ok(reader)
    }

    /// Reads the next record; `false` at the end.
    fn next(&mut self, record: &mut StringRecord) -> Result<bool> {
        self.from.read_record(record).map_err(|error| {
            let place = error
                .position()
                .map_or(String::new(), |position| format!(":{}", position.line()));
            let why = match error.kind() {
                csv::ErrorKind::Utf8 { err, .. } => {
                    format!("column {}: not UTF-8", err.field() + 1)
                }
                _ => error.to_string(),
            };
            match error.into_kind() {
                csv::ErrorKind::Io(error) => Error::io("read", &self.name, error),
                _ => Error::new(format_args!("{}{place}: {why}", self.name)),
            }
        })
    }

    /// Appends a record.
    fn row(&self, record: &StringRecord, batch: &mut LatentRows) -> Result<()> {
        if record.len() != self.all {
            let why = format!(
                "{} columns, where the first row has {}",
                record.len(),
                self.all
            );
            return Err(self.wrong(record, why));
        }
        if self.columns.is_empty() {
            return Err(self.wrong(record, "there is no latent".to_owned()));
        }
        for &place in &self.columns {
            let text = record.get(place).unwrap_or_default();
            let value = text
                .trim()
                .parse::<f32>()
                .ok()
                .filter(|value| value.is_finite());
            let not_finite = || {
                format!(
                    "column {}: `{}` is not a finite number",
                    place + 1,
                    shorten(text)
                )
            };
            let value = value.ok_or_else(|| self.wrong(record, not_finite()))?;
            batch.latents.push(value);
        }
        let text = |column: Option<usize>| {
            let cell = column.and_then(|place| record.get(place));
            cell.filter(|cell| !cell.is_empty()).map(str::to_owned)
        };
        batch.names.push(text(self.names));
        batch.smiles.push(text(self.smiles));
        Ok(())
    }

    fn wrong(&self, record: &StringRecord, why: String) -> Error {
        Error::new(format_args!(
            "{}:{}: {why}",
            self.name,
            record.position().map_or(0, csv::Position::line)
        ))
    }
}

impl<R: io::Read> Source for Reader<R> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn share(&self) -> Option<f64> {
        let length = self.length.filter(|length| *length > 0)?;
        Some(self.from.position().byte() as f64 / length as f64)
    }

    fn read(&mut self, rows: usize, batch: &mut LatentRows) -> Result<()> {
        let mut record = StringRecord::new();
        for _ in 0..rows {
            match self.waiting.pop_front() {
                Some(first) => record = first,
                None if self.next(&mut record)? => {}
                None => break,
            }
            self.row(&record, batch)?;
        }
        Ok(())
    }
}

/// Whether the first row names the columns.
fn is_header(cells: &[&str]) -> bool {
    if cells
        .iter()
        .any(|cell| cell.parse::<f32>().is_ok() && !is_digits(cell))
    {
        return false;
    }
    let mut numbers = cells.iter().filter(|cell| is_digits(cell)).peekable();
    if numbers.peek().is_none() {
        let is_known = |cell: &&str| {
            let is_column = ["smiles", "name", "row"]
                .iter()
                .any(|name| cell.eq_ignore_ascii_case(name));
            is_column || numbered(cell).is_some_and(|(prefix, number)| prefix == "z" || number == 0)
        };
        return cells.iter().any(is_known);
    }
    // Numbers alone name the columns of an array that pandas or polars wrote, after the name of an
    // index or of the SMILES.
    let are_in_order = numbers
        .enumerate()
        .all(|(place, cell)| cell.parse() == Ok(place));
    let is_after_name = !is_digits(cells[0]) && Smiles::parse(cells[0]).is_err();
    are_in_order && (is_after_name || (is_digits(cells[0]) && cells.len() > 1))
}

/// Whether a row is whole numbers, each one more than the one before.
fn counts_up(cells: &[&str]) -> bool {
    let numbers: Option<Vec<u64>> = cells
        .iter()
        .map(|cell| cell.parse().ok().filter(|_| is_digits(cell)))
        .collect();
    numbers.is_some_and(|numbers| {
        numbers.len() > 1
            && numbers
                .windows(2)
                .all(|pair| pair[0].checked_add(1) == Some(pair[1]))
    })
}

fn is_digits(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text that fits on a line of a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
