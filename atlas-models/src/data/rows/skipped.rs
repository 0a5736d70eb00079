//! The rows that are left out.

use std::sync::Arc;

use super::{Record, shorten};
use crate::data::InputFile;

/// A row that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// The file that it is in.
    pub file: Arc<InputFile>,
    /// Its first byte in the file, or in what the file is unpacked to.
    pub offset: u64,
    /// The line in the file, from 1; 0, which is not known, where the file is not read from its
    /// beginning.
    pub line: usize,
    /// The place among the rows that are read, from 1.
    pub row: usize,
    /// What should be SMILES, shortened.
    pub text: String,
    /// Why it is left out.
    pub why: String,
}

impl SkippedRow {
    /// A molecule that is left out.
    pub(in crate::data) fn of(record: &Record, why: String) -> Self {
        Self {
            file: Arc::clone(&record.file),
            offset: record.offset,
            line: record.line,
            row: record.row,
            text: shorten(record.smiles.as_str()),
            why,
        }
    }

    /// What messages call it: its file and line or, where that is not known, its first byte.
    pub fn place(&self) -> String {
        self.file.place(self.line, self.offset)
    }
}

/// The rows that are left out of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// The rows in the order of their lines: all of them where that was asked for, otherwise the
    /// first thousand that were found.
    pub first: Vec<SkippedRow>,
    /// How many there are.
    pub count: usize,
    keeps_all: bool,
}

impl SkippedRows {
    /// Rows that are kept with their reasons; further ones are counted.
    const KEPT: usize = 1000;

    /// A list of every row, however many there are.
    pub(in crate::data) fn of_all() -> Self {
        Self {
            keeps_all: true,
            ..Self::default()
        }
    }

    /// Adds rows that were found later, wherever their lines are.
    pub(in crate::data) fn extend(&mut self, rows: impl IntoIterator<Item = SkippedRow>) {
        for row in rows {
            self.count += 1;
            if self.keeps_all || self.first.len() < Self::KEPT {
                self.first.push(row);
            }
        }
        self.first.sort_by_key(|row| row.row);
    }

    /// Adds a row after those that are there.
    pub(in crate::data) fn push(&mut self, row: SkippedRow) {
        self.count += 1;
        if self.keeps_all || self.first.len() < Self::KEPT {
            self.first.push(row);
        }
    }
}
