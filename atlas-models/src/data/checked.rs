//! [`MoleculeStream`]: all molecules of an input, checked first and then given once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Seek, Write};
use std::sync::Arc;

use atlas_core::{Error, Objective, Result};
use tempfile::SpooledTempFile;

use super::molecules::Molecules;
use super::molecules::reading::{Understood, no_molecule, understand_all};
use super::rows::{Record, Rows, SkippedRow, SkippedRows};
use super::{InputFile, MemoryLimit};
use crate::chem::Smiles;

/// Bytes of texts that are held in memory; with more, all go to a temporary file.
const HELD: usize = 16 << 20;

/// What is known of rows that were read and checked.
pub trait CheckedRows {
    /// What messages call the file or the files.
    fn source(&self) -> &str;
    /// The rows that are left out.
    fn skipped(&self) -> &SkippedRows;
    /// The rows whose molecules cannot exist, and which are not left out.
    fn impossible(&self) -> &SkippedRows;
    /// What a user should know of how the files were read.
    fn remarks(&self) -> &[String];
    /// Whether rows are known by their file and their first byte there, and not by their number.
    fn is_located(&self) -> bool;
}

impl CheckedRows for Molecules {
    fn source(&self) -> &str {
        self.source()
    }

    fn skipped(&self) -> &SkippedRows {
        self.skipped()
    }

    fn impossible(&self) -> &SkippedRows {
        self.impossible()
    }

    fn remarks(&self) -> &[String] {
        self.remarks()
    }

    fn is_located(&self) -> bool {
        self.is_located()
    }
}

/// The molecules of an input that a model can represent, to be read once in their order.
///
/// All rows are checked before the first molecule is given. The molecules wait in a temporary file,
/// one a line: memory does not grow with their number.
pub struct MoleculeStream {
    source: String,
    lines: BufReader<SpooledTempFile>,
    files: Vec<Arc<InputFile>>,
    count: usize,
    sizes: BTreeMap<usize, usize>,
    skipped: SkippedRows,
    impossible: SkippedRows,
    remarks: Vec<String>,
    is_located: bool,
}

impl MoleculeStream {
    /// Reads and checks all rows; those that are no molecule for `model` are left out.
    ///
    /// # Errors
    /// If the files cannot be read, hold no molecule (a shard may have none), or the temporary file
    /// cannot be written.
    pub fn from_rows<M>(rows: Rows, model: &M) -> Result<Self>
    where
        M: ?Sized + Objective<Input = Smiles> + Sync,
    {
        Self::holding(HELD, rows, model)
    }

    /// Holds `held` bytes of texts in memory.
    fn holding<M>(held: usize, mut rows: Rows, model: &M) -> Result<Self>
    where
        M: ?Sized + Objective<Input = Smiles> + Sync,
    {
        let folder = MemoryLimit::default().folder;
        let failed = |error| Error::io("write a temporary file in", &folder, error);
        let mut lines = tempfile::spooled_tempfile_in(held, &folder);
        let mut files: Vec<Arc<InputFile>> = Vec::new();
        let (mut count, mut sizes) = (0, BTreeMap::new());
        let mut impossible = SkippedRows::default();
        let mut skipped = SkippedRows::default();
        if rows.keeps_skipped() {
            skipped = SkippedRows::of_all();
        }
        // Rows of molecules that the model does not know; without one that it does, they are no
        // reason to say that there is no molecule.
        let mut smiles = 0;
        let understand = |row, standardise: &_| {
            let understood = Understood::new(row, standardise);
            let size = understood.row.as_ref().ok();
            let size = size.map(|record| model.size(&record.smiles));
            (understood, size)
        };
        let mut text = String::new();
        understand_all(&mut rows, understand, |chunk| {
            text.clear();
            for (
                Understood {
                    row,
                    impossible: why,
                },
                size,
            ) in chunk
            {
                let record = match row {
                    Ok(record) => record,
                    Err(row) => {
                        skipped.push(row);
                        continue;
                    }
                };
                smiles += 1;
                if let Some(why) = why {
                    impossible.push(SkippedRow::of(&record, why));
                }
                match size {
                    Some(Ok(size)) => *sizes.entry(size).or_insert(0) += 1,
                    Some(Err(error)) => {
                        skipped.push(SkippedRow::of(&record, error.to_string()));
                        continue;
                    }
                    None => continue,
                }
                if files
                    .last()
                    .is_none_or(|last| !Arc::ptr_eq(last, &record.file))
                {
                    files.push(Arc::clone(&record.file));
                }
                count += 1;
                write_line(&mut text, files.len() - 1, &record);
            }
            lines.write_all(text.as_bytes()).map_err(failed)
        })?;
        let remarks = rows.remarks()?;
        if smiles == 0 && !rows.is_share() {
            return Err(no_molecule(rows.source(), &skipped));
        }
        lines.rewind().map_err(failed)?;
        Ok(Self {
            source: rows.source().to_owned(),
            lines: BufReader::with_capacity(1 << 16, lines),
            files,
            count,
            sizes,
            skipped,
            impossible,
            remarks,
            is_located: rows.is_located(),
        })
    }

    /// The number of molecules.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no molecule.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many molecules there are of each size that the model has measured.
    pub fn sizes(&self) -> &BTreeMap<usize, usize> {
        &self.sizes
    }

    /// The next molecules, at most `count`; none at the end.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn read(&mut self, count: usize) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut line = String::new();
        while records.len() < count {
            line.clear();
            let read = self.lines.read_line(&mut line);
            let failed = |error| {
                let folder = MemoryLimit::default().folder;
                Error::io("read a temporary file in", folder, error)
            };
            if read.map_err(failed)? == 0 {
                break;
            }
            let record = self.record(line.trim_end_matches('\n'));
            records.push(record.ok_or_else(|| {
                Error::new("a temporary file does not hold what was written to it")
            })?);
        }
        Ok(records)
    }

    fn record(&self, line: &str) -> Option<Record> {
        let mut cells = line.splitn(6, '\t');
        let mut number = || cells.next()?.parse::<u64>().ok();
        let [file, offset, line, row] = [number()?, number()?, number()?, number()?];
        let smiles = Smiles::parse(cells.next()?).ok()?;
        Some(Record {
            file: Arc::clone(self.files.get(usize::try_from(file).ok()?)?),
            offset,
            line: usize::try_from(line).ok()?,
            row: usize::try_from(row).ok()?,
            smiles,
            name: cells.next().map(str::to_owned),
            weight: None,
        })
    }
}

/// Writes a molecule as cells that tabs separate; neither SMILES nor names have tabs.
fn write_line(text: &mut String, file: usize, record: &Record) {
    let (offset, line, row) = (record.offset, record.line, record.row);
    // Writing into a string cannot fail.
    let _ = write!(text, "{file}\t{offset}\t{line}\t{row}\t{}", record.smiles);
    if let Some(name) = &record.name {
        let _ = write!(text, "\t{name}");
    }
    text.push('\n');
}

impl CheckedRows for MoleculeStream {
    fn source(&self) -> &str {
        &self.source
    }

    fn skipped(&self) -> &SkippedRows {
        &self.skipped
    }

    fn impossible(&self) -> &SkippedRows {
        &self.impossible
    }

    fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn is_located(&self) -> bool {
        self.is_located
    }
}

#[cfg(test)]
mod tests {
    use atlas_core::prelude::*;

    use super::*;
    use crate::data::RowOptions;
    use crate::models::{GruVae, GruVaeParams};

    fn model() -> Model<GruVae> {
        let params = GruVaeParams::from_overrides(&serde_json::json!({
            "vocabulary": ["<pad>", "<start>", "<end>", "C", "O"], "reader": { "hidden_size": 4 }, "latent": { "size": 2 },
            "writer": { "hidden_size": 4, "layers": 1 },
        }));
        GruVae::create(params.unwrap()).unwrap()
    }

    fn rows(text: &str) -> Rows {
        let text = std::io::Cursor::new(text.to_owned());
        Rows::new(text, "test.smi", RowOptions::default()).unwrap()
    }

    #[test]
    fn molecules_come_back_in_their_order_as_they_were_read() {
        let text =
            "CCO ethanol µ\nbad(\n\nCN\nCO\r\nC(C)(C)(C)(C)C\n".replace("CN", "OO two words");
        let text = text.repeat(500);
        let kept = rows(&text).filter_map(|row| row.unwrap().ok());
        let model = model();
        let mut kept = kept.filter(|record| model.size(&record.smiles).is_ok());
        let mut stream = MoleculeStream::holding(1000, rows(&text), &model).unwrap();
        let (mut found, all) = (0, stream.len());
        loop {
            let records = stream.read(1000).unwrap();
            if records.is_empty() {
                break;
            }
            found += records.len();
            for record in records {
                assert_eq!(Some(record), kept.next());
            }
        }
        assert_eq!((found, kept.next()), (all, None));
        assert_eq!(stream.sizes().values().sum::<usize>(), all);
    }

    #[test]
    fn rows_that_the_model_does_not_know_are_left_out_in_their_order() {
        let stream = MoleculeStream::from_rows(rows("CN\nbad(\nCC\nN\n"), &model()).unwrap();
        let lines: Vec<usize> = stream.skipped().first.iter().map(|row| row.line).collect();
        assert_eq!((stream.len(), lines), (1, vec![1, 2, 4]));
        let error = MoleculeStream::from_rows(rows("bad(\n"), &model()).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.starts_with("test.smi holds no molecule; 1 row is not SMILES"),
            "{error}"
        );
    }
}
