//! Reads [`Molecules`]: understands rows on every processor, and counts what is in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use atlas_core::{Error, Result};
use rayon::prelude::*;

use super::{BUILT_IN, CHUNK, HELD_OUT_BLOCKS, MoleculeFile, Molecules};
use crate::chem::{self, Smiles, Standardise};
use crate::data::InputFile;
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
        let mut reading = Reading::new(rows.source(), rows.standardise(), limit);
        if rows.keeps_skipped() {
            reading.skipped = SkippedRows::of_all();
        }
        if rows.is_located() {
            reading.offsets = Some(Vec::new());
        }
        understand_all(&mut rows, Understood::new, |understood| {
            reading.add(understood)
        })?;
        reading.remarks = rows.remarks()?;
        if reading.places.is_empty() && !rows.is_share() {
            return Err(no_molecule(&reading.source, &reading.skipped));
        }
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
        let file = Arc::new(InputFile::of_text(source));
        let rows = molecules
            .iter()
            .enumerate()
            .map(|(index, smiles)| Understood {
                row: Ok(Record {
                    file: Arc::clone(&file),
                    offset: 0,
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

/// Understands rows on every processor, some at a time, and gives them on in their order.
pub(in crate::data) fn understand_all<T: Send>(
    rows: &mut Rows,
    understand: impl Fn(RawRow, &Standardise) -> T + Sync,
    mut add: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    let standardise = rows.standardise().clone();
    let mut chunk = Vec::new();
    loop {
        while chunk.len() < CHUNK
            && let Some(row) = rows.next_raw()?
        {
            chunk.push(row);
        }
        if chunk.is_empty() {
            return Ok(());
        }
        let understood = chunk.par_drain(..);
        add(understood
            .map(|row| understand(row, &standardise))
            .collect())?;
    }
}

/// What is known of a row when it was understood.
pub(in crate::data) struct Understood {
    pub(in crate::data) row: Row,
    /// Why its molecule cannot exist.
    pub(in crate::data) impossible: Option<String>,
}

impl Understood {
    pub(in crate::data) fn new(row: RawRow, standardise: &Standardise) -> Self {
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
    /// The files, each with the number of molecules before it.
    files: Vec<(usize, Arc<InputFile>)>,
    places: Vec<[u32; 2]>,
    offsets: Option<Vec<u64>>,
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
            files: Vec::new(),
            places: Vec::new(),
            offsets: None,
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
            let line = u32::try_from(record.line).map_err(|_| too_many(&self.source, "lines"))?;
            let last = self.files.last().map(|(_, file)| file);
            if last.is_none_or(|last| !Arc::ptr_eq(last, &record.file)) {
                let file = Arc::clone(&record.file);
                self.files.push((self.places.len(), file));
            }
            if let Some(offsets) = &mut self.offsets {
                offsets.push(record.offset);
            }
            let row = u32::try_from(record.row).map_err(|_| too_many(&self.source, "rows"))?;
            self.places.push([line, row]);
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
        self.places.shrink_to_fit();
        Ok(Molecules {
            indices: (0..self.places.len() as u32).collect(),
            file: Arc::new(MoleculeFile {
                source: self.source,
                texts: self.texts.finish()?,
                weights: (!self.weights.is_empty()).then_some(self.weights),
                files: self.files,
                places: self.places,
                offsets: self.offsets,
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

fn too_many(source: &str, what: &str) -> Error {
    Error::new(format_args!("{source} has more than {} {what}", u32::MAX))
}

pub(in crate::data) fn no_molecule(source: &str, skipped: &SkippedRows) -> Error {
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
        let _ = match row.line {
            0 => write!(message, "\n  {}: {}", row.place(), row.why),
            line => write!(message, "\n  line {line}: {}", row.why),
        };
    }
    if skipped.count > NAMED_ROWS {
        let _ = write!(message, "\n  and {} more", skipped.count - NAMED_ROWS);
    }
    Error::new(message)
}
