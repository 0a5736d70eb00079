//! Files of latents: a row for each molecule, a column for each dimension.
//!
//! | extension | layout | read and written by |
//! |---|---|---|
//! | `.csv` | the header `smiles,name,row,z0,z1,…`, then a line for each molecule | everything |
//! | `.npy` | `[rows, latent]` of little-endian f32 ([NEP 1]) | `numpy.load`, `numpy.save` |
//! | `.parquet` | the columns `smiles`, `name`, `row`, `z0`, `z1`, … | pandas, polars, DuckDB |
//!
//! The last needs the Cargo feature `parquet`.
//!
//! `row` is the row's number in the file that the molecule comes from, from 1. Of several files, and
//! of a shard, rows have the columns `file` and `offset` in its place: the file's path from the folder
//! that holds all files, and the first byte of the row in it or, of a compressed file, in what it is
//! unpacked to. All three keep every f32 to the bit; `.npy` and `.parquet` can hold half precision
//! instead ([`LatentType::F16`]).
//!
//! Reading goes by the names of columns where there are any: the order does not matter, and other
//! columns are left alone. The latents are `z0`, `z1`, …; without these, the only columns that are
//! numbered from 0 (`latent_0`, `0`) or, in Parquet, the only list of floats. Numbers may be of half,
//! single or double precision; an array may be in Fortran order.
//!
//! [NEP 1]: https://numpy.org/neps/nep-0001-npy-format.html

mod columns;
mod csv;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod table;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use atlas_core::{Error, Result};
use candle_core::{DType, Device, Tensor};
use half::f16;
use table::Table;

use super::Record;

#[cfg(feature = "parquet")]
pub use parquet::LatentFile;

/// How latents are laid out in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LatentFormat {
    /// Text, with the SMILES beside the latents.
    Csv,
    /// An array of NumPy, latents alone.
    Npy,
    /// A table of Apache Parquet, with the SMILES beside the latents.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl LatentFormat {
    /// The format that a file's extension says. `-`, a pipe, is CSV, as is what has no extension
    /// and is no plain file (`/dev/stdout`, `<(zcat z.csv.gz)`).
    ///
    /// # Errors
    /// If the extension is none of the three, or the program was built without the format.
    pub fn of(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Csv);
        }
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Ok(Self::Csv),
            "" if is_pipe(path) => Ok(Self::Csv),
            "npy" => Ok(Self::Npy),
            #[cfg(feature = "parquet")]
            "parquet" => Ok(Self::Parquet),
            #[cfg(not(feature = "parquet"))]
            "parquet" => Err(Error::new(format_args!(
                "{}: this program was built without Parquet; build it with the feature `parquet` \
                 of atlas-models, or use .csv or .npy",
                path.display()
            ))),
            _ => Err(Error::new(format_args!(
                "{}: the extension says how latents are laid out; expected .csv, .npy or .parquet",
                path.display()
            ))),
        }
    }
}

/// Whether a path leads to a pipe, a device, or a descriptor that is open already.
fn is_pipe(path: &Path) -> bool {
    let is_descriptor = ["/dev", "/proc"]
        .iter()
        .any(|folder| path.starts_with(folder));
    path.metadata()
        .is_ok_and(|found| !found.is_dir() && (is_descriptor || !found.is_file()))
}

/// How precise latents are in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatentType {
    /// Every f32 to the bit.
    #[default]
    F32,
    /// IEEE 754 half precision, rounded to the nearest; of two, to the even.
    F16,
}

impl LatentType {
    /// `f32` or `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

impl FromStr for LatentType {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let mut all = [Self::F32, Self::F16].into_iter();
        let found = all.find(|dtype| dtype.name() == text);
        found.ok_or("expected f32 or f16")
    }
}

/// What the rows of a file of latents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentLayout {
    /// The dimensions of each latent.
    pub width: usize,
    /// How precise they are. CSV holds f32 alone.
    pub dtype: LatentType,
    /// Whether rows are known by `file` and `offset`, and not by `row`.
    pub is_located: bool,
}

impl LatentLayout {
    /// Latents of f32, rows known by their number.
    pub fn of_width(width: usize) -> Self {
        Self {
            width,
            dtype: LatentType::F32,
            is_located: false,
        }
    }
}

/// What writes one format.
trait Sink {
    fn write(&mut self, records: &[Record], latents: &[f32]) -> io::Result<()>;
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Writes latents, some rows at a time.
///
/// ```
/// use atlas_models::chem::Smiles;
/// use atlas_models::data::{InputFile, LatentWriter, Record};
///
/// let ethanol = Record {
///     file: InputFile::new("molecules.smi".as_ref()).into(),
///     offset: 0,
///     line: 1,
///     row: 1,
///     smiles: Smiles::parse("CCO")?,
///     name: Some("ethanol".to_owned()),
///     weight: None,
/// };
/// let mut text = Vec::new();
/// let mut writer = LatentWriter::csv(&mut text, 2)?;
/// writer.write(&[ethanol], &[0.1, -2.0])?;
/// writer.finish()?;
/// assert_eq!(text, b"smiles,name,row,z0,z1\nCCO,ethanol,1,0.1,-2.0\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LatentWriter<'a> {
    layout: LatentLayout,
    sink: Box<dyn Sink + 'a>,
    /// Writes the rows without their latents.
    table: Option<Box<dyn Sink + 'a>>,
}

impl<'a> LatentWriter<'a> {
    /// Writes latents of `width` dimensions as CSV.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn csv(to: impl Write + 'a, width: usize) -> io::Result<Self> {
        let layout = LatentLayout::of_width(width);
        Ok(Self {
            layout,
            sink: Box::new(csv::Writer::new(to, layout)?),
            table: None,
        })
    }

    /// Writes, beside the latents, the rows that they belong to as CSV: `smiles,name,row`, or
    /// `smiles,name,file,offset`. An array has no place for them.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn with_table(self, to: impl Write + 'a) -> io::Result<Self> {
        let layout = LatentLayout {
            width: 0,
            ..self.layout
        };
        let table = csv::Writer::new(to, layout)?;
        Ok(Self {
            table: Some(Box::new(table)),
            ..self
        })
    }

    /// Writes latents to an empty file.
    ///
    /// # Errors
    /// If the file cannot be written to, or the format does not hold what the layout asks for.
    pub fn file(file: File, format: LatentFormat, layout: LatentLayout) -> io::Result<Self> {
        let sink: Box<dyn Sink> = match format {
            LatentFormat::Csv if layout.dtype == LatentType::F16 => {
                return Err(invalid("CSV holds no half precision".to_owned()));
            }
            LatentFormat::Csv => Box::new(csv::Writer::new(file, layout)?),
            LatentFormat::Npy => Box::new(npy::Writer::new(file, layout)?),
            #[cfg(feature = "parquet")]
            LatentFormat::Parquet => Box::new(parquet::Writer::new(file, layout, None)?),
        };
        Ok(Self {
            layout,
            sink,
            table: None,
        })
    }

    /// Writes latents to an empty file as Parquet, with a note of whoever writes it.
    ///
    /// # Errors
    /// If the file cannot be written to, or the program was built without Parquet.
    #[cfg_attr(
        not(feature = "parquet"),
        expect(unused_variables, reason = "without Parquet nothing is written")
    )]
    pub fn with_note(file: File, layout: LatentLayout, note: String) -> io::Result<Self> {
        #[cfg(feature = "parquet")]
        return Ok(Self {
            layout,
            sink: Box::new(parquet::Writer::new(file, layout, Some(note))?),
            table: None,
        });
        #[cfg(not(feature = "parquet"))]
        Err(invalid("this program was built without Parquet".to_owned()))
    }

    /// Writes the latents `[records, width]` of some molecules.
    ///
    /// # Errors
    /// If there are more or fewer latents than molecules, half precision cannot hold one of them, or
    /// writing fails.
    pub fn write(&mut self, records: &[Record], latents: &[f32]) -> io::Result<()> {
        let width = self.layout.width;
        if Some(latents.len()) != records.len().checked_mul(width) {
            return Err(invalid(format!(
                "{} values for {} molecules of {width} each",
                latents.len(),
                records.len(),
            )));
        }
        if self.layout.dtype == LatentType::F16 {
            check_halves(records, latents, width)?;
        }
        self.sink.write(records, latents)?;
        match &mut self.table {
            Some(table) => table.write(records, &[]),
            None => Ok(()),
        }
    }

    /// Completes the file. A writer that is dropped instead leaves a file that cannot be read.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(self) -> io::Result<()> {
        self.sink.finish()?;
        self.table.map_or(Ok(()), Sink::finish)
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// An error if half precision would make a value infinite.
fn check_halves(records: &[Record], latents: &[f32], width: usize) -> io::Result<()> {
    let is_too_large = |value: &f32| value.is_finite() && f16::from_f32(*value).is_infinite();
    let Some(place) = latents.iter().position(is_too_large) else {
        return Ok(());
    };
    let record = &records[place / width];
    Err(invalid(format!(
        "{}: dimension {} of the latent is {}, and the largest number of half precision is {}",
        record.file.place(record.line, record.offset),
        place % width,
        latents[place],
        f16::MAX
    )))
}

/// What reads one format.
trait Source {
    fn width(&self) -> usize;

    /// The share that has been read, from 0 to 1, where it is known.
    fn share(&self) -> Option<f64>;

    /// Appends at most `rows` rows to `batch`.
    fn read(&mut self, rows: usize, batch: &mut LatentRows) -> Result<()>;
}

/// Rows of a file of latents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatentRows {
    /// The latents, `[rows, width]`.
    pub latents: Vec<f32>,
    /// What the file's column `name` says of each row, if it has one.
    pub names: Vec<Option<String>>,
    /// What its column `smiles` says, or a first column of texts without a header.
    pub smiles: Vec<Option<String>>,
}

impl LatentRows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none: the file has ended.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// Whether a column of that name holds the names of molecules.
fn is_name(column: &str) -> bool {
    column.eq_ignore_ascii_case("name")
}

/// Whether a column of that name holds the molecules that were encoded.
fn is_smiles(column: &str) -> bool {
    column.eq_ignore_ascii_case("smiles")
}

/// Reads latents, some rows at a time.
///
/// ```
/// use atlas_models::data::LatentReader;
///
/// let text = "z1,z0,smiles,name\n1.5,0.1,CCO,ethanol\n";
/// let mut reader = LatentReader::csv(text.as_bytes(), "test.csv")?;
/// assert_eq!(reader.width(), 2);
/// let rows = reader.read(100)?;
/// assert_eq!(rows.latents, [0.1, 1.5]);
/// assert_eq!(rows.names, [Some("ethanol".to_owned())]);
/// assert!(reader.read(100)?.is_empty());
/// # Ok::<(), atlas_core::Error>(())
/// ```
pub struct LatentReader<'a> {
    source: Box<dyn Source + 'a>,
    table: Option<Table>,
}

impl<'a> LatentReader<'a> {
    /// Opens a file of latents, laid out as its extension says; `-` is CSV from standard input. Of
    /// `z.npy` the names and molecules are read from `z.rows.csv`, where that is beside it.
    ///
    /// # Errors
    /// If the file cannot be opened or does not hold latents.
    pub fn open(path: &Path) -> Result<Self> {
        let format = LatentFormat::of(path)?;
        if path == Path::new("-") {
            return Self::csv(io::stdin().lock(), "standard input");
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        let source: Box<dyn Source> = match format {
            LatentFormat::Csv => {
                let length = file.metadata().ok().filter(std::fs::Metadata::is_file);
                let length = length.map(|metadata| metadata.len());
                Box::new(csv::Reader::new(file, name, length)?)
            }
            LatentFormat::Npy => Box::new(npy::Reader::new(file, name)?),
            #[cfg(feature = "parquet")]
            LatentFormat::Parquet => Box::new(parquet::Reader::new(file, name)?),
        };
        let table = match format {
            LatentFormat::Npy => Table::open(path)?,
            _ => None,
        };
        Ok(Self { source, table })
    }

    /// Reads latents from CSV; messages call it `name`.
    ///
    /// # Errors
    /// If its columns are not latents.
    pub fn csv(from: impl Read + 'a, name: &str) -> Result<Self> {
        Ok(Self {
            source: Box::new(csv::Reader::new(from, name.to_owned(), None)?),
            table: None,
        })
    }

    /// The table that the names and molecules of an array are read from, if there is one.
    pub fn table(&self) -> Option<&Path> {
        self.table.as_ref().map(Table::path)
    }

    /// The dimensions of each latent, at least 1.
    pub fn width(&self) -> usize {
        self.source.width()
    }

    /// The share of the file that has been read, from 0 to 1; `None` of a pipe.
    pub fn share(&self) -> Option<f64> {
        self.source.share()
    }

    /// At most `rows` further rows; none at the end.
    ///
    /// # Errors
    /// If reading fails, or a row is not as many finite numbers as the others; the message names
    /// its place.
    pub fn read(&mut self, rows: usize) -> Result<LatentRows> {
        let mut batch = LatentRows::default();
        self.source.read(rows, &mut batch)?;
        if let Some(table) = &mut self.table {
            table.read(&mut batch)?;
        }
        Ok(batch)
    }
}

/// The floats of little-endian bytes, rounded to f32.
fn floats(bytes: &[u8], dtype: DType) -> Result<Vec<f32>> {
    let count = bytes.len() / dtype.size_in_bytes();
    let values = Tensor::from_raw_buffer(bytes, dtype, &[count], &Device::Cpu)?;
    Ok(values.to_dtype(DType::F32)?.to_vec1()?)
}

#[cfg(test)]
mod tests;
