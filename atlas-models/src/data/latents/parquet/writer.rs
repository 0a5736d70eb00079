//! Writes latents as a table of Apache Parquet.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int64Type,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;

use super::note::{CONTENT, Content, NOTE};
use crate::data::Record;
use crate::data::latents::columns::column_name;
use crate::data::latents::{LatentLayout, LatentType, Sink};

/// Values that are kept in memory until they are written together: more take memory, and fewer make
/// what describes the file long.
const GROUP_VALUES: usize = 1 << 22;
/// The most and the fewest rows that are written together.
const GROUP_ROWS: [usize; 2] = [1 << 10, 1 << 16];

pub struct Writer {
    to: SerializedFileWriter<Hashed>,
    layout: LatentLayout,
    group: usize,
    note: Option<String>,
    smiles: Vec<ByteArray>,
    names: Vec<Option<ByteArray>>,
    files: Vec<ByteArray>,
    /// The number of each row, or its first byte.
    numbers: Vec<i64>,
    /// The values of each dimension.
    columns: Vec<Vec<f32>>,
}

/// Hashes what passes.
struct Hashed {
    to: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Writer {
    pub fn new(file: File, layout: LatentLayout, note: Option<String>) -> io::Result<Self> {
        // Latents hardly repeat: a dictionary or compression of them takes time and saves nothing.
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by(concat!("atlas ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = schema(layout).map_err(into_io)?;
        let hashed = Hashed {
            to: BufWriter::new(file),
            hasher: blake3::Hasher::new(),
        };
        let to =
            SerializedFileWriter::new(hashed, schema, Arc::new(properties)).map_err(into_io)?;
        let [fewest, most] = GROUP_ROWS;
        Ok(Self {
            to,
            layout,
            group: (GROUP_VALUES / layout.width.max(1)).clamp(fewest, most),
            note,
            smiles: Vec::new(),
            names: Vec::new(),
            files: Vec::new(),
            numbers: Vec::new(),
            columns: vec![Vec::new(); layout.width],
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.smiles.is_empty() {
            return Ok(());
        }
        let mut group = self.to.next_row_group()?;
        write_column::<_, ByteArrayType>(&mut group, &self.smiles, None)?;
        let are_there: Vec<i16> = self
            .names
            .iter()
            .map(|name| i16::from(name.is_some()))
            .collect();
        let names: Vec<ByteArray> = self.names.drain(..).flatten().collect();
        write_column::<_, ByteArrayType>(&mut group, &names, Some(&are_there))?;
        if self.layout.is_located {
            write_column::<_, ByteArrayType>(&mut group, &self.files, None)?;
        }
        write_column::<_, Int64Type>(&mut group, &self.numbers, None)?;
        for column in &mut self.columns {
            match self.layout.dtype {
                LatentType::F32 => write_column::<_, FloatType>(&mut group, column, None)?,
                LatentType::F16 => {
                    let halves = halves(column);
                    write_column::<_, FixedLenByteArrayType>(&mut group, &halves, None)?;
                }
            }
            column.clear();
        }
        self.smiles.clear();
        self.files.clear();
        self.numbers.clear();
        group.close().map(|_| ())
    }

    /// Says, beside the columns, what the file was made of and what it holds.
    fn write_notes(&mut self) -> io::Result<()> {
        self.to.flush()?;
        let content = Content {
            bytes: self.to.bytes_written() as u64,
            blake3: self.to.inner().hasher.finalize().to_hex().to_string(),
        };
        let content = serde_json::to_string(&content).map_err(io::Error::other)?;
        let notes = [(CONTENT, Some(content)), (NOTE, self.note.take())];
        for (key, note) in notes {
            if note.is_some() {
                let note = KeyValue::new(key.to_owned(), note);
                self.to.append_key_value_metadata(note);
            }
        }
        Ok(())
    }
}

/// Values as half precision, rounded to the nearest; of two, to the even.
fn halves(values: &[f32]) -> Vec<FixedLenByteArray> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| half::f16::from_f32(*value).to_le_bytes())
        .collect();
    let bytes = ByteArray::from(bytes);
    let half = |place: usize| FixedLenByteArray::from(bytes.slice(2 * place, 2));
    (0..values.len()).map(half).collect()
}

/// Writes a column; `are_there` says for each row whether it has one of the values, 1 or 0.
fn write_column<W: Write + Send, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    are_there: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column =
        column.ok_or_else(|| ParquetError::General("the schema has too few columns".to_owned()))?;
    column.typed::<T>().write_batch(values, are_there, None)?;
    column.close()
}

fn schema(layout: LatentLayout) -> Result<Arc<Type>, ParquetError> {
    let (optional, required) = (Repetition::OPTIONAL, Repetition::REQUIRED);
    let text = Some(LogicalType::String);
    let mut fields = vec![
        field("smiles", Physical::BYTE_ARRAY, text.clone(), required)?,
        field("name", Physical::BYTE_ARRAY, text.clone(), optional)?,
    ];
    if layout.is_located {
        fields.push(field("file", Physical::BYTE_ARRAY, text, required)?);
        fields.push(field("offset", Physical::INT64, None, required)?);
    } else {
        fields.push(field("row", Physical::INT64, None, required)?);
    }
    let (physical, logical) = match layout.dtype {
        LatentType::F32 => (Physical::FLOAT, None),
        LatentType::F16 => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)),
    };
    for dimension in 0..layout.width {
        let name = column_name(dimension);
        fields.push(field(&name, physical, logical.clone(), required)?);
    }
    Type::group_type_builder("latents")
        .with_fields(fields)
        .build()
        .map(Arc::new)
}

fn field(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
    repetition: Repetition,
) -> Result<Arc<Type>, ParquetError> {
    let length = if physical == Physical::FIXED_LEN_BYTE_ARRAY {
        2
    } else {
        -1
    };
    let field = Type::primitive_type_builder(name, physical)
        .with_logical_type(logical)
        .with_length(length);
    field.with_repetition(repetition).build().map(Arc::new)
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

impl Sink for Writer {
    fn write(&mut self, records: &[Record], latents: &[f32]) -> io::Result<()> {
        for (record, latent) in records.iter().zip(latents.chunks(self.layout.width.max(1))) {
            self.smiles.push(record.smiles.as_str().into());
            self.names.push(record.name.as_deref().map(ByteArray::from));
            let number = if self.layout.is_located {
                self.files.push(record.file.name().into());
                record.offset
            } else {
                record.row as u64
            };
            self.numbers.push(i64::try_from(number).unwrap_or(i64::MAX));
            self.columns
                .iter_mut()
                .zip(latent)
                .for_each(|(column, value)| column.push(*value));
            if self.smiles.len() == self.group {
                self.write_group().map_err(into_io)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.write_group().map_err(into_io)?;
        self.write_notes()?;
        let mut to = self.to.into_inner().map_err(into_io)?;
        to.flush()
    }
}
