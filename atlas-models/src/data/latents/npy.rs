//! Latents as an array of NumPy (NEP 1, "A Simple File Format for NumPy Arrays").

use std::cmp::Ordering;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use atlas_core::{Error, Result};
use candle_core::DType;
use half::f16;

use super::{LatentLayout, LatentRows, LatentType, Sink, Source, floats};
use crate::data::Record;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes before the array of a file that is written: room for the largest shape, and a multiple
/// of 64 as the format asks.
const HEADER: usize = 128;
/// A header of more bytes is refused.
const LARGEST_HEADER: usize = 1 << 20;
/// Latents of more dimensions are refused: a row is read at a time, or several of no more values in
/// all.
const WIDEST: usize = 1 << 24;

pub(super) struct Writer {
    to: BufWriter<File>,
    layout: LatentLayout,
    rows: u64,
}

impl Writer {
    pub(super) fn new(file: File, layout: LatentLayout) -> io::Result<Self> {
        let mut to = BufWriter::new(file);
        // The number of rows is known at the end.
        to.write_all(&header(0, layout))?;
        let rows = 0;
        Ok(Self { to, layout, rows })
    }
}

/// The header of an array of little-endian numbers, `[rows, width]`.
fn header(rows: u64, layout: LatentLayout) -> Vec<u8> {
    let width = layout.width;
    let descr = match layout.dtype {
        LatentType::F32 => "<f4",
        LatentType::F16 => "<f2",
    };
    let mut header = [MAGIC, &[1, 0], &((HEADER - 10) as u16).to_le_bytes()].concat();
    header.extend(
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {width}), }}")
            .as_bytes(),
    );
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

impl Sink for Writer {
    fn write(&mut self, records: &[Record], latents: &[f32]) -> io::Result<()> {
        self.rows += records.len() as u64;
        let mut latents = latents.iter();
        match self.layout.dtype {
            LatentType::F32 => {
                latents.try_for_each(|value| self.to.write_all(&value.to_le_bytes()))
            }
            LatentType::F16 => latents
                .try_for_each(|value| self.to.write_all(&f16::from_f32(*value).to_le_bytes())),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.to.seek(SeekFrom::Start(0))?;
        self.to.write_all(&header(self.rows, self.layout))?;
        self.to.flush()
    }
}

/// How an array is stored.
#[derive(Clone, Copy)]
struct Layout {
    dtype: DType,
    is_big_endian: bool,
    /// Whether the elements of a column follow each other, and not those of a row.
    is_fortran: bool,
    rows: u64,
    width: usize,
}

pub(super) struct Reader {
    from: BufReader<File>,
    name: String,
    layout: Layout,
    /// Bytes before the array.
    start: u64,
    /// Rows that have been read.
    done: u64,
}

impl Reader {
    pub(super) fn new(file: File, name: String) -> Result<Self> {
        let mut from = BufReader::new(file);
        let (dictionary, start) = read_header(&mut from, &name)?;
        let layout = understand(&dictionary).map_err(|why| wrong(&name, why))?;
        let reader = Self {
            from,
            name,
            layout,
            start,
            done: 0,
        };
        if layout.is_fortran {
            reader.check_length()?;
        }
        Ok(reader)
    }

    /// An error unless the file is as long as its header says.
    fn check_length(&self) -> Result<()> {
        let Layout { rows, width, .. } = self.layout;
        let metadata = self.from.get_ref().metadata();
        let metadata = metadata.map_err(|error| Error::io("read", &self.name, error))?;
        if !metadata.is_file() {
            let why = "an array in Fortran order cannot be read from a pipe";
            return Err(wrong(&self.name, why));
        }
        let bytes = rows
            .checked_mul((width * self.layout.dtype.size_in_bytes()) as u64)
            .and_then(|bytes| bytes.checked_add(self.start));
        match bytes.map(|bytes| metadata.len().cmp(&bytes)) {
            Some(Ordering::Equal) => Ok(()),
            Some(Ordering::Greater) => Err(self.surplus()),
            _ => Err(wrong(
                &self.name,
                format_args!("cut off: it has less than {rows} rows"),
            )),
        }
    }

    fn surplus(&self) -> Error {
        let rows = self.layout.rows;
        wrong(
            &self.name,
            format_args!("more follows the {rows} rows of its header"),
        )
    }

    /// The next rows, row by row.
    fn read_rows(&mut self, rows: usize) -> Result<Vec<f32>> {
        let Layout { width, .. } = self.layout;
        let size = self.layout.dtype.size_in_bytes();
        if !self.layout.is_fortran {
            let mut bytes = vec![0; rows * width * size];
            for (place, row) in bytes.chunks_mut(width * size).enumerate() {
                let (row_number, rows) = (self.done + place as u64 + 1, self.layout.rows);
                let cut_off = format_args!("cut off: row {row_number} of {rows} is not there");
                fill(&mut self.from, row, &self.name, cut_off)?;
            }
            return self.values(bytes);
        }
        let mut latents = vec![0.0; rows * width];
        for column in 0..width {
            let mut bytes = vec![0; rows * size];
            let offset = self.start + (column as u64 * self.layout.rows + self.done) * size as u64;
            let read = self.from.get_ref().read_exact_at(&mut bytes, offset);
            read.map_err(|error| Error::io("read", &self.name, error))?;
            for (row, value) in self.values(bytes)?.into_iter().enumerate() {
                latents[row * width + column] = value;
            }
        }
        Ok(latents)
    }

    fn values(&self, mut bytes: Vec<u8>) -> Result<Vec<f32>> {
        if self.layout.is_big_endian {
            bytes
                .chunks_mut(self.layout.dtype.size_in_bytes())
                .for_each(<[u8]>::reverse);
        }
        floats(&bytes, self.layout.dtype)
    }
}

fn wrong(name: &str, why: impl Display) -> Error {
    Error::new(format_args!("{name}: {why}"))
}

/// Fills `bytes`; `missing` is what is wrong where the file ends before.
fn fill(from: &mut impl Read, bytes: &mut [u8], name: &str, missing: impl Display) -> Result<()> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong(name, missing),
        _ => Error::io("read", name, error),
    })
}

/// The text that describes the array, and the bytes before it.
fn read_header(from: &mut impl Read, name: &str) -> Result<(String, u64)> {
    let not_npy = "not an array of NumPy: it does not begin as one";
    let cut_off = "its header is cut off";
    let mut start = [0; 8];
    fill(from, &mut start, name, not_npy)?;
    if !start.starts_with(MAGIC) {
        return Err(wrong(name, not_npy));
    }
    let mut length = [0; 4];
    let digits = match start[6] {
        1 => 2,
        2 | 3 => 4,
        other => {
            return Err(wrong(
                name,
                format_args!("of version {other} of the format; expected 1 to 3"),
            ));
        }
    };
    fill(from, &mut length[..digits], name, cut_off)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LARGEST_HEADER {
        return Err(wrong(name, format_args!("its header is of {length} bytes")));
    }
    let mut dictionary = vec![0; length];
    fill(from, &mut dictionary, name, cut_off)?;
    let dictionary =
        String::from_utf8(dictionary).map_err(|_| wrong(name, "its header is not text"))?;
    Ok((dictionary, (start.len() + digits + length) as u64))
}

/// What the header says.
fn understand(dictionary: &str) -> std::result::Result<Layout, String> {
    let value = |key: &str| {
        dictionary
            .split_once(&format!("'{key}':"))
            .map(|(_, rest)| rest.trim_start())
    };
    let unreadable = || format!("its header cannot be read: {}", dictionary.trim());
    let descr = value("descr")
        .and_then(|rest| rest.strip_prefix('\'')?.split_once('\''))
        .map(|(descr, _)| descr);
    let descr = descr.ok_or_else(unreadable)?;
    let dtype = match descr.get(1..) {
        Some("f2") => DType::F16,
        Some("f4") => DType::F32,
        Some("f8") => DType::F64,
        _ => {
            return Err(format!(
                "elements of type `{descr}`; expected float16, float32 or float64"
            ));
        }
    };
    let shape = value("shape")
        .and_then(|rest| rest.strip_prefix('(')?.split_once(')'))
        .map(|(shape, _)| shape);
    let shape = shape.ok_or_else(unreadable)?;
    let sizes = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let sizes: Vec<u64> = sizes
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| unreadable())?;
    let [rows, columns] = sizes[..] else {
        return Err(format!(
            "an array of shape ({shape}); expected (rows, latent)"
        ));
    };
    if rows == 0 || columns == 0 {
        return Err(format!("an array of shape ({shape}) holds no latents"));
    }
    let order = value("fortran_order").ok_or_else(unreadable)?;
    let width = usize::try_from(columns)
        .ok()
        .filter(|width| *width <= WIDEST);
    Ok(Layout {
        dtype,
        is_big_endian: descr.starts_with('>'),
        is_fortran: order.starts_with("True") && rows > 1 && columns > 1,
        rows,
        width: width.ok_or_else(|| format!("latents of {columns} dimensions"))?,
    })
}

impl Source for Reader {
    fn width(&self) -> usize {
        self.layout.width
    }

    fn share(&self) -> Option<f64> {
        Some(self.done as f64 / self.layout.rows as f64)
    }

    fn read(&mut self, rows: usize, batch: &mut LatentRows) -> Result<()> {
        let left = self.layout.rows - self.done;
        let rows = rows
            .min(usize::try_from(left).unwrap_or(usize::MAX))
            .min((WIDEST / self.layout.width).max(1));
        let latents = self.read_rows(rows)?;
        if let Some(place) = latents.iter().position(|value| !value.is_finite()) {
            let (row, column) = (place / self.layout.width, place % self.layout.width);
            let what = format_args!(
                "row {}, column {}: {} is not a finite number",
                self.done + row as u64 + 1,
                column + 1,
                latents[place]
            );
            return Err(wrong(&self.name, what));
        }
        batch.latents.extend(latents);
        batch.names.resize(batch.names.len() + rows, None);
        batch.smiles.resize(batch.names.len(), None);
        self.done += rows as u64;
        if self.done < self.layout.rows || self.layout.is_fortran {
            return Ok(());
        }
        match self.from.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.surplus()),
            Err(error) => Err(Error::io("read", &self.name, error)),
        }
    }
}
