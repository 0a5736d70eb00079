//! Structure-data files (BIOVIA, "CTFile formats"): the SMILES of each structure.

use atlas_core::{Error, Result};
use chematic_mol::sdf::{SdfRecord, SdfRecordReader};

use super::RawRow;
use super::columns::{Column, Wanted};
use super::open_file::RowReader;
use crate::chem;
use crate::data::shard::is_record_end;

/// A record of more bytes is refused.
const LONGEST: usize = 16 << 20;

pub struct Records {
    from: RowReader,
    fields: Fields,
}

/// The data fields that are read; without one of SMILES the structure is.
struct Fields {
    smiles: Option<String>,
    name: Option<String>,
    weight: Option<String>,
}

impl Records {
    /// # Errors
    /// If a column is given by a number: data fields have names.
    pub fn new(from: RowReader, wanted: &Wanted) -> std::result::Result<Self, String> {
        let field = |column: &Option<Column>| match column {
            None => Ok(None),
            Some(Column::Name(name)) => Ok(Some(name.clone())),
            Some(Column::Number(number)) => Err(format!(
                "data fields of an SDF have names, and no number {number}"
            )),
        };
        Ok(Self {
            from,
            fields: Fields {
                smiles: field(&wanted.smiles)?,
                name: field(&wanted.name)?,
                weight: field(&wanted.weight)?,
            },
        })
    }

    /// Goes on with these records of the same file.
    pub fn continued(self, from: RowReader) -> Self {
        Self { from, ..self }
    }

    /// The lines up to `$$$$`, after where they begin, or none at the end.
    fn block(&mut self) -> Result<Option<(usize, u64, Vec<u8>)>> {
        let (begin, place) = (self.from.line + 1, self.from.place);
        let mut block = Vec::new();
        loop {
            let before = block.len();
            let read = self.from.read_line(&mut block, u64::MAX)?;
            let is_end = is_record_end(&block[before..]);
            if is_end {
                block.truncate(before);
            }
            if is_end || (read == 0 && !block.trim_ascii().is_empty()) {
                return Ok(Some((begin, place, block)));
            }
            if read == 0 {
                return Ok(None);
            }
            if block.len() > LONGEST {
                return Err(Error::new(format_args!(
                    "{}: a record of more than {LONGEST} bytes",
                    self.from.row(begin, place).place()
                )));
            }
        }
    }

    pub fn next(&mut self) -> Result<Option<RawRow>> {
        let Some((line, place, block)) = self.block()? else {
            return Ok(None);
        };
        let mut row = self.from.row(line, place);
        if let Err(why) = self.fields.read(&String::from_utf8_lossy(&block), &mut row) {
            row.why = Some(why);
        }
        Ok(Some(row))
    }
}

impl Fields {
    fn read(&self, block: &str, row: &mut RawRow) -> std::result::Result<(), String> {
        let title = block.lines().next().unwrap_or_default();
        row.name = Some(title.to_owned());
        let record = SdfRecordReader::new(block).next();
        let record = record
            .ok_or("an empty record")?
            .map_err(|error| error.to_string())?;
        let field = |name: &String| {
            let value = record
                .properties
                .get(name)
                .map(|value| value.trim().to_owned());
            value.ok_or_else(|| format!("the record has no field `{name}`"))
        };
        if let Some(name) = &self.name {
            row.name = Some(field(name)?);
        }
        if let Some(name) = &self.weight {
            row.weight = Some(field(name)?);
        }
        row.text = match &self.smiles {
            Some(name) => field(name)?,
            None => smiles(&record)?,
        };
        Ok(())
    }
}

/// The canonical SMILES of a structure, without the hydrogens that need not be written.
fn smiles(record: &SdfRecord) -> std::result::Result<String, String> {
    if record.mol.atom_count() == 0 {
        return Err("the structure has no atoms".to_owned());
    }
    let wrong = |error: chem::Error| error.to_string();
    let written = chem::canonical_of(&record.mol).map_err(wrong)?;
    // Hydrogens that are atoms of the structure are written, and not once they are read again.
    chem::canonical(&written).map_err(wrong)
}
