//! Reads [`Molecules`]: understands rows on every processor, and counts what is in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use atlas_core::{Error, Result};
use rayon::prelude::*;

use super::{BUILT_IN, CHUNK, HELD_OUT_BLOCKS, MoleculeFile, Molecules};
use crate::chem::{self, Smiles, Standardise};
use crate::data::rows::{RawRow, Record, Row, RowOptions, Rows, SkippedRow, SkippedRows};
use crate::data::text_store::{MemoryLimit, TextWriter};

/// Rows that are named in an error; further ones are counted.
const NAMED_ROWS: usize = 20;

impl Molecules {
    /// Reads a file as [`Rows`] does; `-` is standard input. Rows that are not SMILES are
    /// [left out](Molecules::skipped).
    ///
    /// # Errors
    /// If the file cannot be read, holds no molecule or more lines than a `u32` can number, or the
    /// temporary file cannot be written. A file of which no row is SMILES names them.
    pub fn read(path: &Path, options: RowOptions, limit: MemoryLimit) -> Result<Self> {
        Self::from_rows(Rows::open(path, options)?, limit)
    }

    /// Reads all rows, as [`read`](Molecules::read) does.
    ///
    /// # Errors
    /// Where [`read`](Molecules::read) fails.
    pub fn from_rows(mut rows: Rows, limit: MemoryLimit) -> Result<Self> {
        let standardise = rows.standardise().clone();
        let mut reading = Reading::new(rows.source(), &standardise, limit);
        if rows.keeps_skipped() {
            reading.skipped = SkippedRows::of_all();
        }
        let mut chunk = Vec::new();
        loop {
            while chunk.len() < CHUNK
                && let Some(row) = rows.next_raw()?
            {
                chunk.push(row);
            }
            if chunk.is_empty() {
                break;
            }
            let understand = |row| Understood::new(row, &standardise);
            let understood: Vec<_> = chunk.par_drain(..).map(understand).collect();
            reading.add(understood)?;
        }
        reading.remarks = rows.remarks()?;
        reading.finish()
    }

    /// The built-in molecules ([`chem::Library::molecules`]), the line of each being its index from 1.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn built_in(limit: MemoryLimit) -> Result<Self> {
        Self::of_library(BUILT_IN, chem::Library::new().molecules(), limit)
    }

    /// The built-in molecules that are made of building blocks which those to train on lack
    /// ([`chem::Library::of_held_out_blocks`]).
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn of_held_out_blocks(limit: MemoryLimit) -> Result<Self> {
        let library = chem::Library::new();
        Self::of_library(HELD_OUT_BLOCKS, library.of_held_out_blocks(), limit)
    }

    fn of_library(source: &str, molecules: &[Smiles], limit: MemoryLimit) -> Result<Self> {
        let mut reading = Reading::new(source, &Standardise::default(), limit);
        let rows = molecules
            .iter()
            .enumerate()
            .map(|(index, smiles)| Understood {
                row: Ok(Record {
                    line: index + 1,
                    row: index + 1,
                    smiles: smiles.clone(),
                    name: None,
                    weight: None,
                }),
                impossible: None,
            });
        reading.add(rows)?;
        reading.finish()
    }
}

/// What is known of a row when it was understood.
struct Understood {
    row: Row,
    /// Why its molecule cannot exist.
    impossible: Option<String>,
}

impl Understood {
    fn new(row: RawRow, standardise: &Standardise) -> Self {
        let row = row.read(standardise);
        let smiles = row.as_ref().map(|record| &record.smiles).ok();
        let impossible = smiles.and_then(|smiles| chem::check_possible(smiles).err());
        Self {
            impossible: impossible.map(|error| error.to_string()),
            row,
        }
    }
}

/// Molecules that are being read.
struct Reading {
    source: String,
    standardise: Standardise,
    texts: TextWriter,
    places: Vec<[u32; 2]>,
    weights: Vec<f32>,
    tokens: BTreeSet<Box<str>>,
    longest: usize,
    skipped: SkippedRows,
    impossible: SkippedRows,
    remarks: Vec<String>,
}

impl Reading {
    fn new(source: &str, standardise: &Standardise, limit: MemoryLimit) -> Self {
        Self {
            source: source.to_owned(),
            standardise: standardise.clone(),
            texts: TextWriter::new(limit),
            places: Vec::new(),
            weights: Vec::new(),
            tokens: BTreeSet::new(),
            longest: 0,
            skipped: SkippedRows::default(),
            impossible: SkippedRows::default(),
            remarks: Vec::new(),
        }
    }

    fn add(&mut self, rows: impl IntoIterator<Item = Understood>) -> Result<()> {
        for Understood { row, impossible } in rows {
            let record = match row {
                Ok(record) => record,
                Err(row) => {
                    self.skipped.push(row);
                    continue;
                }
            };
            let line = u32::try_from(record.line).map_err(|_| {
                Error::new(format_args!(
                    "{} has more than {} lines",
                    self.source,
                    u32::MAX
                ))
            })?;
            // There are no more rows than lines.
            self.places.push([line, record.row as u32]);
            self.weights
                .extend(record.weight.map(|weight| weight as f32));
            let mut length = 0;
            for token in record.smiles.tokens() {
                length += 1;
                if !self.tokens.contains(token) {
                    self.tokens.insert(token.into());
                }
            }
            self.longest = self.longest.max(length);
            self.texts.push(&text_of(&record))?;
            if let Some(why) = impossible {
                self.impossible.push(SkippedRow::of(&record, why));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Molecules> {
        if self.places.is_empty() {
            return Err(no_molecule(&self.source, &self.skipped));
        }
        self.places.shrink_to_fit();
        Ok(Molecules {
            indices: (0..self.places.len() as u32).collect(),
            file: Arc::new(MoleculeFile {
                source: self.source,
                texts: self.texts.finish()?,
                weights: (!self.weights.is_empty()).then_some(self.weights),
                places: self.places,
                tokens: self.tokens,
                longest: self.longest,
                standardise: self.standardise,
                keys: OnceLock::new(),
                impossible: self.impossible,
                remarks: self.remarks,
            }),
            sizes: None,
            skipped: self.skipped,
        })
    }
}

fn text_of(record: &Record) -> String {
    let smiles = record.smiles.as_str();
    match &record.name {
        Some(name) => format!("{smiles} {name}"),
        None => smiles.to_owned(),
    }
}

fn no_molecule(source: &str, skipped: &SkippedRows) -> Error {
    let mut message = format!("{source} holds no molecule");
    if skipped.count > 0 {
        let rows = if skipped.count == 1 {
            "row is"
        } else {
            "rows are"
        };
        // Writing into a string cannot fail.
        let _ = write!(message, "; {} {rows} not SMILES:", skipped.count);
    }
    for row in skipped.first.iter().take(NAMED_ROWS) {
        let _ = write!(message, "\n  line {}: {}", row.line, row.why);
    }
    if skipped.count > NAMED_ROWS {
        let _ = write!(message, "\n  and {} more", skipped.count - NAMED_ROWS);
    }
    Error::new(message)
}
