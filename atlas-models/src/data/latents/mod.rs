//! Files of latents: a row for each molecule, a column for each dimension.
//!
//! | extension | layout | read and written by |
//! |---|---|---|
//! | `.csv` | the header `smiles,z0,z1,…`, then a line for each molecule | everything |
//! | `.npy` | `[rows, latent]` of little-endian f32 ([NEP 1]) | `numpy.load`, `numpy.save` |
//! | `.parquet` | the columns `smiles`, `z0`, `z1`, … | pandas, polars, DuckDB |
//!
//! All three keep every f32 to the bit. Reading goes by the names of columns where there are
//! any, so their order does not matter and other columns are left alone.
//!
//! [NEP 1]: https://numpy.org/neps/nep-0001-npy-format.html

mod csv;
mod npy;
mod parquet;

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use atlas_core::{Error, Result};

use super::disk_error;

/// How latents are laid out in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentFormat {
    /// Text, with the SMILES beside the latents.
    Csv,
    /// An array of NumPy, latents alone.
    Npy,
    /// A table of Apache Parquet, with the SMILES beside the latents.
    Parquet,
}

impl LatentFormat {
    /// The format that a file's extension says; `-`, a pipe, is CSV.
    ///
    /// # Errors
    /// If the extension is none of the three.
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
            "npy" => Ok(Self::Npy),
            "parquet" => Ok(Self::Parquet),
            _ => Err(Error::new(format_args!(
                "{}: the extension says how latents are laid out; expected .csv, .npy or .parquet",
                path.display()
            ))),
        }
    }
}

/// What writes one format.
trait Sink {
    fn write(&mut self, smiles: &[&str], latents: &[f32]) -> io::Result<()>;
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Writes latents, some rows at a time.
///
/// ```
/// use atlas_models::data::LatentWriter;
///
/// let mut text = Vec::new();
/// let mut writer = LatentWriter::csv(&mut text, 2)?;
/// writer.write(&["CCO"], &[0.1, -2.0])?;
/// writer.finish()?;
/// assert_eq!(text, b"smiles,z0,z1\nCCO,0.1,-2.0\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LatentWriter<'a> {
    width: usize,
    sink: Box<dyn Sink + 'a>,
}

impl<'a> LatentWriter<'a> {
    /// Writes latents of `width` dimensions as CSV.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn csv(to: impl Write + 'a, width: usize) -> io::Result<Self> {
        Ok(Self {
            width,
            sink: Box::new(csv::Writer::new(to, width)?),
        })
    }

    /// Writes latents of `width` dimensions to an empty file.
    ///
    /// # Errors
    /// If the file cannot be written to.
    pub fn file(file: File, format: LatentFormat, width: usize) -> io::Result<Self> {
        let sink: Box<dyn Sink> = match format {
            LatentFormat::Csv => Box::new(csv::Writer::new(file, width)?),
            LatentFormat::Npy => Box::new(npy::Writer::new(file, width)?),
            LatentFormat::Parquet => Box::new(parquet::Writer::new(file, width)?),
        };
        Ok(Self { width, sink })
    }

    /// Writes the latents `[smiles, width]` of some molecules.
    ///
    /// # Errors
    /// If there are more or fewer latents than molecules, or writing fails.
    pub fn write(&mut self, smiles: &[&str], latents: &[f32]) -> io::Result<()> {
        if Some(latents.len()) != smiles.len().checked_mul(self.width) {
            let what = format!(
                "{} values for {} molecules of {} each",
                latents.len(),
                smiles.len(),
                self.width
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.sink.write(smiles, latents)
    }

    /// Completes the file. A writer that is dropped instead leaves a file that cannot be read.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(self) -> io::Result<()> {
        self.sink.finish()
    }
}

/// What reads one format.
trait Source {
    fn width(&self) -> usize;

    /// Appends at most `rows` rows to `latents`.
    fn read(&mut self, rows: usize, latents: &mut Vec<f32>) -> Result<()>;
}

/// Reads latents, some rows at a time.
///
/// ```
/// use atlas_models::data::LatentReader;
///
/// let text = "z1,z0,smiles\n1.5,0.1,CCO\n";
/// let mut reader = LatentReader::csv(text.as_bytes(), "test.csv")?;
/// assert_eq!(reader.width(), 2);
/// assert_eq!(reader.read(100)?, [0.1, 1.5]);
/// assert!(reader.read(100)?.is_empty());
/// # Ok::<(), atlas_core::Error>(())
/// ```
pub struct LatentReader<'a> {
    source: Box<dyn Source + 'a>,
}

impl<'a> LatentReader<'a> {
    /// Opens a file of latents, laid out as its extension says; `-` is CSV from standard input.
    ///
    /// # Errors
    /// If the file cannot be opened or does not hold latents.
    pub fn open(path: &Path) -> Result<Self> {
        let format = LatentFormat::of(path)?;
        if path == Path::new("-") {
            return Self::csv(io::stdin().lock(), "standard input");
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| disk_error("open", path, error))?;
        let source: Box<dyn Source> = match format {
            LatentFormat::Csv => Box::new(csv::Reader::new(file, name)?),
            LatentFormat::Npy => Box::new(npy::Reader::new(file, name)?),
            LatentFormat::Parquet => Box::new(parquet::Reader::new(file, name)?),
        };
        Ok(Self { source })
    }

    /// Reads latents from CSV; messages call it `name`.
    ///
    /// # Errors
    /// If its columns are not latents.
    pub fn csv(from: impl Read + 'a, name: &str) -> Result<Self> {
        Ok(Self {
            source: Box::new(csv::Reader::new(from, name.to_owned())?),
        })
    }

    /// The dimensions of each latent, at least 1.
    pub fn width(&self) -> usize {
        self.source.width()
    }

    /// At most `rows` further rows, `[rows, width]`; none at the end.
    ///
    /// # Errors
    /// If reading fails, or a row is not as many finite numbers as the others; the message names
    /// its place.
    pub fn read(&mut self, rows: usize) -> Result<Vec<f32>> {
        let mut latents = Vec::new();
        self.source.read(rows, &mut latents)?;
        Ok(latents)
    }
}

/// The name of the column of a dimension.
fn column_name(dimension: usize) -> String {
    format!("z{dimension}")
}

/// The dimension that a column of that name holds.
fn dimension(name: &str) -> Option<usize> {
    let digits = name
        .trim()
        .strip_prefix('z')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Where the column of each dimension is among `names`, or what is wrong with them.
fn columns(names: &[&str]) -> std::result::Result<Vec<usize>, String> {
    let places = names
        .iter()
        .enumerate()
        .filter_map(|(place, name)| Some((dimension(name)?, place)));
    let mut places: Vec<(usize, usize)> = places.collect();
    places.sort_unstable();
    for (expected, (dimension, _)) in places.iter().enumerate() {
        match dimension.cmp(&expected) {
            Ordering::Less => return Err(format!("there are two columns `z{dimension}`")),
            Ordering::Greater => {
                return Err(format!(
                    "there is a column `z{dimension}` and no column `z{expected}`"
                ));
            }
            Ordering::Equal => {}
        }
    }
    if places.is_empty() {
        return Err("there is no column `z0`; the columns of latents are z0, z1, …".to_owned());
    }
    Ok(places.into_iter().map(|(_, place)| place).collect())
}

#[cfg(test)]
mod tests;
