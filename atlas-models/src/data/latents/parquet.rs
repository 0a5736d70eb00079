//! Latents as a table of Apache Parquet.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type;
use atlas_core::{Error, Result};

use super::{Sink, Source, column_name, columns, disk_error};

/// Rows that are kept in memory until they are written together.
const GROUP: usize = 8192;

pub(super) struct Writer {
    to: SerializedFileWriter<BufWriter<File>>,
    width: usize,
    smiles: Vec<ByteArray>,
    /// The values of each dimension.
    columns: Vec<Vec<f32>>,
}

impl Writer {
    pub(super) fn new(file: File, width: usize) -> io::Result<Self> {
        // Latents hardly repeat: a dictionary or compression of them takes time and saves nothing.
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by(concat!("atlas ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = schema(width).map_err(into_io)?;
        let to = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties))
            .map_err(into_io)?;
        Ok(Self {
            to,
            width,
            smiles: Vec::new(),
            columns: vec![Vec::new(); width],
        })
    }

    fn write_group(&mut self) -> std::result::Result<(), ParquetError> {
        if self.smiles.is_empty() {
            return Ok(());
        }
        let mut group = self.to.next_row_group()?;
        write_column::<_, ByteArrayType>(&mut group, &self.smiles)?;
        for column in &mut self.columns {
            write_column::<_, FloatType>(&mut group, column)?;
            column.clear();
        }
        self.smiles.clear();
        group.close().map(|_| ())
    }
}

fn write_column<W: io::Write + Send, T: DataType>(
    group: &mut ::parquet::file::writer::SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
) -> std::result::Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column =
        column.ok_or_else(|| ParquetError::General("the schema has too few columns".to_owned()))?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn schema(width: usize) -> std::result::Result<Arc<Type>, ParquetError> {
    let mut fields = vec![field(
        "smiles",
        Physical::BYTE_ARRAY,
        Some(LogicalType::String),
    )?];
    for dimension in 0..width {
        fields.push(field(&column_name(dimension), Physical::FLOAT, None)?);
    }
    Type::group_type_builder("latents")
        .with_fields(fields)
        .build()
        .map(Arc::new)
}

/// A column without nulls.
fn field(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
) -> std::result::Result<Arc<Type>, ParquetError> {
    let field = Type::primitive_type_builder(name, physical).with_logical_type(logical);
    field
        .with_repetition(Repetition::REQUIRED)
        .build()
        .map(Arc::new)
}

/// The I/O error behind an error of the format, where there is one.
fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}

/// An error of the disk, or of what the file holds.
fn read_error(name: &str, what: &str, error: ParquetError) -> Error {
    let text = format!("{name}: {what}{error}");
    let source = match error {
        ParquetError::External(source) => source.downcast::<io::Error>().ok(),
        _ => None,
    };
    match source {
        Some(source) => disk_error("read", name, *source),
        None => Error::new(text),
    }
}

impl Sink for Writer {
    fn write(&mut self, smiles: &[&str], latents: &[f32]) -> io::Result<()> {
        for (smiles, latent) in smiles.iter().zip(latents.chunks(self.width.max(1))) {
            self.smiles.push(smiles.as_bytes().to_vec().into());
            self.columns
                .iter_mut()
                .zip(latent)
                .for_each(|(column, value)| column.push(*value));
            if self.smiles.len() == GROUP {
                self.write_group().map_err(into_io)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.write_group().map_err(into_io)?;
        let mut to = self.to.into_inner().map_err(into_io)?;
        io::Write::flush(&mut to)
    }
}

pub(super) struct Reader {
    from: SerializedFileReader<File>,
    name: String,
    /// The column of each dimension.
    columns: Vec<usize>,
    next_group: usize,
    group: Group,
    /// Rows that have been read.
    done: usize,
}

/// Rows that are read together.
#[derive(Default)]
struct Group {
    readers: Vec<ColumnReader>,
    rows_left: usize,
}

impl Reader {
    pub(super) fn new(file: File, name: String) -> Result<Self> {
        let wrong = |why: String| Error::new(format_args!("{name}: {why}"));
        let from = SerializedFileReader::new(file)
            .map_err(|error| read_error(&name, "not a table of Parquet: ", error))?;
        let metadata = from.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let names: Vec<String> = schema
            .columns()
            .iter()
            .map(|column| column.path().string())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let columns = columns(&names).map_err(wrong)?;
        for &place in &columns {
            let column = schema.column(place);
            if !matches!(column.physical_type(), Physical::FLOAT | Physical::DOUBLE)
                || column.max_rep_level() > 0
            {
                return Err(wrong(format!(
                    "column `{}` is not of floats",
                    column.name()
                )));
            }
            for group in metadata.row_groups() {
                let compression = group.column(place).compression();
                if !matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY) {
                    return Err(wrong(format!(
                        "column `{}` is compressed by {compression}; expected snappy or no compression",
                        column.name()
                    )));
                }
            }
        }
        if metadata.file_metadata().num_rows() <= 0 {
            return Err(wrong("no latents: the table has no rows".to_owned()));
        }
        Ok(Self {
            from,
            name,
            columns,
            next_group: 0,
            group: Group::default(),
            done: 0,
        })
    }

    /// Goes on to the next group that has rows; `false` at the end.
    fn enter_group(&mut self) -> Result<bool> {
        while self.group.rows_left == 0 {
            if self.next_group == self.from.num_row_groups() {
                return Ok(false);
            }
            let group = self
                .from
                .get_row_group(self.next_group)
                .map_err(|error| read_error(&self.name, "", error))?;
            let readers = self
                .columns
                .iter()
                .map(|&place| group.get_column_reader(place))
                .collect::<std::result::Result<_, _>>();
            let readers = readers.map_err(|error| read_error(&self.name, "", error))?;
            let rows_left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            drop(group);
            self.group = Group { readers, rows_left };
            self.next_group += 1;
        }
        Ok(true)
    }
}

impl Source for Reader {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn read(&mut self, rows: usize, latents: &mut Vec<f32>) -> Result<()> {
        if !self.enter_group()? {
            return Ok(());
        }
        let rows = rows.min(self.group.rows_left);
        let width = self.columns.len();
        let begin = latents.len();
        latents.resize(begin + rows * width, 0.0);
        for (dimension, reader) in self.group.readers.iter_mut().enumerate() {
            let values = match reader {
                ColumnReader::FloatColumnReader(reader) => read_column(reader, rows, |value| value),
                ColumnReader::DoubleColumnReader(reader) => {
                    read_column(reader, rows, |value| value as f32)
                }
                _ => Err(ParquetError::General(
                    "a column is not of floats".to_owned(),
                )),
            };
            let values = values.map_err(|error| read_error(&self.name, "", error))?;
            for (row, value) in values.into_iter().enumerate() {
                let value = value.filter(|value| value.is_finite()).ok_or_else(|| {
                    let (row, found) = (
                        self.done + row + 1,
                        value.map_or("null".to_owned(), |value| value.to_string()),
                    );
                    Error::new(format_args!(
                        "{}: row {row}, column z{dimension}: {found} is not a finite number",
                        self.name
                    ))
                })?;
                latents[begin + row * width + dimension] = value;
            }
        }
        self.group.rows_left -= rows;
        self.done += rows;
        Ok(())
    }
}

/// The next `rows` values of a column; a null is `None`.
fn read_column<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    narrow: impl Fn(T::T) -> f32,
) -> std::result::Result<Vec<Option<f32>>, ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) =
            reader.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF(
                "a column is shorter than the table".to_owned(),
            ));
        }
        read += records;
    }
    let mut values = values.into_iter().map(narrow);
    // A column that cannot hold nulls has no levels.
    if levels.is_empty() {
        return Ok(values.map(Some).collect());
    }
    Ok(levels
        .into_iter()
        .map(|level| if level > 0 { values.next() } else { None })
        .collect())
}
