//! Latents as CSV.

use std::fmt::Write as _;
use std::io;

use atlas_core::{Error, Result};
use csv::StringRecord;

use super::{Sink, Source, column_name, columns, dimension, disk_error};

pub(super) struct Writer<W: io::Write> {
    to: csv::Writer<W>,
    width: usize,
    /// The number being written.
    digits: String,
}

impl<W: io::Write> Writer<W> {
    pub(super) fn new(to: W, width: usize) -> io::Result<Self> {
        let mut writer = Self {
            to: csv::Writer::from_writer(to),
            width,
            digits: String::new(),
        };
        writer.header().map_err(into_io)?;
        Ok(writer)
    }

    fn header(&mut self) -> csv::Result<()> {
        self.to.write_field("smiles")?;
        for dimension in 0..self.width {
            self.to.write_field(column_name(dimension))?;
        }
        self.to.write_record(None::<&[u8]>)
    }

    fn row(&mut self, smiles: &str, latent: &[f32]) -> csv::Result<()> {
        self.to.write_field(smiles)?;
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
    fn write(&mut self, smiles: &[&str], latents: &[f32]) -> io::Result<()> {
        let mut rows = smiles.iter().zip(latents.chunks(self.width.max(1)));
        rows.try_for_each(|(smiles, latent)| self.row(smiles, latent))
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
    /// Columns of every row.
    all: usize,
    /// The first row of a table without a header.
    first: Option<StringRecord>,
}

impl<R: io::Read> Reader<R> {
    pub(super) fn new(from: R, name: String) -> Result<Self> {
        let from = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(from);
        let mut reader = Self {
            from,
            name,
            columns: Vec::new(),
            all: 0,
            first: None,
        };
        let mut record = StringRecord::new();
        if !reader.next(&mut record)? {
            return Err(Error::new(format_args!("{} holds no latents", reader.name)));
        }
        let names: Vec<&str> = record.iter().map(str::trim).collect();
        reader.all = names.len();
        if names
            .iter()
            .any(|name| dimension(name).is_some() || name.eq_ignore_ascii_case("smiles"))
        {
            reader.columns = columns(&names).map_err(|why| reader.wrong(&record, why))?;
        } else if let Some(before) = numbered(&names) {
            reader.columns = (before..names.len()).collect();
        } else {
            // Without a header, a first column that is no number is a SMILES.
            let before = usize::from(names[0].parse::<f32>().is_err());
            reader.columns = (before..names.len()).collect();
            reader.first = Some(record);
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
                csv::ErrorKind::Io(error) => disk_error("read", &self.name, error),
                _ => Error::new(format_args!("{}{place}: {why}", self.name)),
            }
        })
    }

    /// Appends the latent of a record.
    fn latent(&self, record: &StringRecord, latents: &mut Vec<f32>) -> Result<()> {
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
            latents.push(value.ok_or_else(|| self.wrong(record, not_finite()))?);
        }
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

    fn read(&mut self, rows: usize, latents: &mut Vec<f32>) -> Result<()> {
        let mut record = StringRecord::new();
        for _ in 0..rows {
            match self.first.take() {
                Some(first) => record = first,
                None if self.next(&mut record)? => {}
                None => break,
            }
            self.latent(&record, latents)?;
        }
        Ok(())
    }
}

/// The columns before the latents, if the names are those that pandas gives an array: numbers from
/// zero, after an empty name if it has written the index of the rows too.
fn numbered(names: &[&str]) -> Option<usize> {
    let before = usize::from(names.first().is_some_and(|name| name.is_empty()));
    let numbers = names
        .get(before..)
        .filter(|numbers| numbers.len() > 1 || before == 1)?;
    let mut numbers = numbers.iter().enumerate();
    numbers
        .all(|(place, name)| *name == place.to_string())
        .then_some(before)
}

/// A text that fits on a line of a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
