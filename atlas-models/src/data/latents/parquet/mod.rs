//! Latents as a table of Apache Parquet.

mod note;
mod writer;

use std::fs::File;
use std::io;

use ::parquet::basic::{Compression, LogicalType, Type as Physical};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{AsBytes, DataType, DoubleType, FixedLenByteArrayType, FloatType};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescPtr;
use atlas_core::{Error, Result};
use candle_core::DType;

use super::columns::columns;
use super::{LatentRows, Source, floats, is_name, is_smiles};

pub use note::LatentFile;
pub(super) use writer::Writer;

/// An error of the disk, or of what the file holds.
fn read_error(name: &str, what: &str, error: ParquetError) -> Error {
    let text = format!("{name}: {what}{error}");
    let source = match error {
        ParquetError::External(source) => source.downcast::<io::Error>().ok(),
        _ => None,
    };
    match source {
        Some(source) => Error::io("read", name, *source),
        None => Error::new(text),
    }
}

pub(super) struct Reader {
    from: SerializedFileReader<File>,
    name: String,
    /// The columns of the latents: one for each dimension, or one of lists.
    columns: Vec<usize>,
    width: usize,
    /// The column of the names.
    names: Option<usize>,
    /// The column of the molecules.
    smiles: Option<usize>,
    next_group: usize,
    group: Group,
    /// Rows that have been read.
    done: usize,
    rows: usize,
}

/// Rows that are read together.
#[derive(Default)]
struct Group {
    columns: Vec<Column>,
    names: Option<Column>,
    smiles: Option<Column>,
    rows_left: usize,
}

struct Column {
    reader: ColumnReader,
    /// The definition level of an element that is no null.
    highest: i16,
}

impl Reader {
    pub(super) fn new(file: File, name: String) -> Result<Self> {
        let wrong = |why: String| Error::new(format_args!("{name}: {why}"));
        let from = SerializedFileReader::new(file)
            .map_err(|error| read_error(&name, "not a table of Parquet: ", error))?;
        let metadata = from.metadata();
        let schema = metadata.file_metadata().schema_descr();
        // A column within a structure has no name that counts.
        let names: Vec<&str> = schema
            .columns()
            .iter()
            .map(|column| match column.path().parts() {
                [name] => name.as_str(),
                [name, ..] if column.max_rep_level() == 1 => name.as_str(),
                _ => "",
            })
            .collect();
        let is_list = |place: &usize| {
            let column = schema.column(*place);
            column.max_rep_level() == 1 && is_float(&column)
        };
        let lists: Vec<usize> = (0..names.len()).filter(is_list).collect();
        let columns = columns(&names, &lists).map_err(wrong)?;
        for &place in &columns {
            let column = schema.column(place);
            if !is_float(&column) || (column.max_rep_level() > 0 && !lists.contains(&place)) {
                return Err(wrong(format!("column `{}` is not of floats", names[place])));
            }
            for group in metadata.row_groups() {
                let compression = group.column(place).compression();
                if matches!(compression, Compression::BROTLI(_) | Compression::LZO) {
                    return Err(wrong(format!(
                        "column `{}` is compressed by {compression}; expected zstd, gzip, lz4, \
                         snappy or no compression",
                        names[place]
                    )));
                }
            }
        }
        let texts = |is_it: fn(&str) -> bool| {
            (0..names.len()).find(|&place| {
                let column = schema.column(place);
                is_it(names[place])
                    && column.physical_type() == Physical::BYTE_ARRAY
                    && column.max_rep_level() == 0
            })
        };
        let (smiles, names) = (texts(is_smiles), texts(is_name));
        let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        if rows == 0 {
            return Err(wrong("no latents: the table has no rows".to_owned()));
        }
        let is_list = lists.contains(&columns[0]);
        let mut reader = Self {
            width: columns.len(),
            from,
            name,
            columns,
            names,
            smiles,
            next_group: 0,
            group: Group::default(),
            done: 0,
            rows,
        };
        if is_list {
            reader.width = reader.first_list()?;
        }
        Ok(reader)
    }

    /// The length of the first list.
    fn first_list(&mut self) -> Result<usize> {
        self.enter_group()?;
        let first = read_floats(&mut self.group.columns[0], 1);
        // The group is read again from its beginning.
        (self.next_group, self.group) = (0, Group::default());
        Ok(first.map_err(|error| self.failed(error))?.values.len())
    }

    fn failed(&self, error: ParquetError) -> Error {
        read_error(&self.name, "", error)
    }

    /// Goes on to the next group that has rows; `false` at the end.
    fn enter_group(&mut self) -> Result<bool> {
        while self.group.rows_left == 0 {
            if self.next_group == self.from.num_row_groups() {
                return Ok(false);
            }
            let group = self.from.get_row_group(self.next_group);
            let group = group.map_err(|error| self.failed(error))?;
            let schema = self.from.metadata().file_metadata().schema_descr();
            let open = |place: &usize| {
                let reader = group.get_column_reader(*place);
                Ok(Column {
                    reader: reader.map_err(|error| self.failed(error))?,
                    highest: schema.column(*place).max_def_level(),
                })
            };
            let next = Group {
                columns: self.columns.iter().map(open).collect::<Result<_>>()?,
                names: self.names.as_ref().map(open).transpose()?,
                smiles: self.smiles.as_ref().map(open).transpose()?,
                rows_left: usize::try_from(group.metadata().num_rows()).unwrap_or(0),
            };
            drop(group);
            self.group = next;
            self.next_group += 1;
        }
        Ok(true)
    }

    /// The next latents, row by row; nothing where there is no number.
    fn read_latents(&mut self, rows: usize) -> Result<Vec<Option<f32>>> {
        let mut latents = vec![None; rows * self.width];
        for dimension in 0..self.columns.len() {
            let read = read_floats(&mut self.group.columns[dimension], rows);
            let Entries { values, starts } = read.map_err(|error| self.failed(error))?;
            if self.columns.len() == self.width && starts.len() == values.len() {
                for (row, value) in values.into_iter().enumerate() {
                    latents[row * self.width + dimension] = value;
                }
                continue;
            }
            let end = values.len();
            let ends = starts.iter().skip(1).chain([&end]);
            for (row, (start, end)) in starts.iter().zip(ends).enumerate() {
                let list = &values[*start..*end];
                if list.len() != self.width {
                    return Err(Error::new(format_args!(
                        "{}: row {}: a list of {}, where the first row has one of {}",
                        self.name,
                        self.done + row + 1,
                        list.len(),
                        self.width
                    )));
                }
                latents[row * self.width..][..self.width].copy_from_slice(list);
            }
        }
        Ok(latents)
    }
}

/// The texts of a column, if there is one.
fn read_texts(
    column: Option<&mut Column>,
    rows: usize,
) -> std::result::Result<Vec<Option<String>>, ParquetError> {
    let Some(Column {
        reader: ColumnReader::ByteArrayColumnReader(reader),
        highest,
    }) = column
    else {
        return Ok(vec![None; rows]);
    };
    let texts = read_column(reader, *highest, rows)?;
    let texts = texts.values.into_iter().map(|text| {
        let text = text?;
        Some(String::from_utf8_lossy(text.data()).into_owned())
    });
    Ok(texts.collect())
}

/// Whether a column holds floating-point numbers.
fn is_float(column: &ColumnDescPtr) -> bool {
    match column.physical_type() {
        Physical::FLOAT | Physical::DOUBLE => true,
        Physical::FIXED_LEN_BYTE_ARRAY => column.logical_type_ref() == Some(&LogicalType::Float16),
        _ => false,
    }
}

impl Source for Reader {
    fn width(&self) -> usize {
        self.width
    }

    fn share(&self) -> Option<f64> {
        Some(self.done as f64 / self.rows as f64)
    }

    fn read(&mut self, rows: usize, batch: &mut LatentRows) -> Result<()> {
        if !self.enter_group()? {
            return Ok(());
        }
        let rows = rows.min(self.group.rows_left);
        let latents = self.read_latents(rows)?;
        for (place, value) in latents.into_iter().enumerate() {
            let value = value.filter(|value| value.is_finite()).ok_or_else(|| {
                let (row, dimension) = (self.done + place / self.width + 1, place % self.width);
                let found = value.map_or("null".to_owned(), |value| value.to_string());
                Error::new(format_args!(
                    "{}: row {row}, column {}: {found} is not a finite number",
                    self.name,
                    dimension + 1
                ))
            })?;
            batch.latents.push(value);
        }
        let names = read_texts(self.group.names.as_mut(), rows);
        batch
            .names
            .extend(names.map_err(|error| self.failed(error))?);
        let smiles = read_texts(self.group.smiles.as_mut(), rows);
        batch
            .smiles
            .extend(smiles.map_err(|error| self.failed(error))?);
        self.group.rows_left -= rows;
        self.done += rows;
        Ok(())
    }
}

/// What a column holds of some rows.
struct Entries<T> {
    /// The elements of all rows; a null is `None`.
    values: Vec<Option<T>>,
    /// Where each row begins among them.
    starts: Vec<usize>,
}

/// The next `rows` rows of a column of floats.
fn read_floats(
    column: &mut Column,
    rows: usize,
) -> std::result::Result<Entries<f32>, ParquetError> {
    let highest = column.highest;
    match &mut column.reader {
        ColumnReader::FloatColumnReader(reader) => read_column::<FloatType>(reader, highest, rows),
        ColumnReader::DoubleColumnReader(reader) => {
            let read = read_column::<DoubleType>(reader, highest, rows)?;
            let narrow = |value: Option<f64>| value.map(|value| value as f32);
            Ok(Entries {
                values: read.values.into_iter().map(narrow).collect(),
                starts: read.starts,
            })
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            let read = read_column::<FixedLenByteArrayType>(reader, highest, rows)?;
            let bytes: Vec<u8> = read
                .values
                .iter()
                .flatten()
                .flat_map(AsBytes::as_bytes)
                .copied()
                .collect();
            let halves =
                floats(&bytes, DType::F16).map_err(|error| ParquetError::External(error.into()))?;
            let mut halves = halves.into_iter();
            Ok(Entries {
                values: read
                    .values
                    .iter()
                    .map(|value| value.as_ref().and_then(|_| halves.next()))
                    .collect(),
                starts: read.starts,
            })
        }
        _ => Err(ParquetError::General(
            "a column is not of floats".to_owned(),
        )),
    }
}

/// The next `rows` rows of a column whose elements have the definition level `highest`.
fn read_column<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    highest: i16,
    rows: usize,
) -> std::result::Result<Entries<T::T>, ParquetError> {
    let (mut values, mut levels, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = reader.read_records(
            rows - read,
            Some(&mut levels),
            Some(&mut repetitions),
            &mut values,
        )?;
        if records == 0 {
            return Err(ParquetError::EOF(
                "a column is shorter than the table".to_owned(),
            ));
        }
        read += records;
    }
    // A column that cannot hold nulls, or no lists, has no levels of them.
    let mut values = values.into_iter();
    let values: Vec<_> = if levels.is_empty() {
        values.map(Some).collect()
    } else {
        let is_there = levels.into_iter().map(|level| level == highest);
        is_there
            .map(|is_there| if is_there { values.next() } else { None })
            .collect()
    };
    let starts = if repetitions.is_empty() {
        (0..values.len()).collect()
    } else {
        (0..values.len())
            .filter(|&place| repetitions[place] == 0)
            .collect()
    };
    Ok(Entries { values, starts })
}
