//! Latents as an array of NumPy (NEP 1, "A Simple File Format for NumPy Arrays").

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use atlas_core::{Error, Result};

use super::{Sink, Source, disk_error};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes before the array of a file that is written: room for the largest shape, and a multiple
/// of 64 as the format asks.
const HEADER: usize = 128;
/// A header of more bytes is refused.
const LARGEST_HEADER: usize = 1 << 20;
/// Latents of more dimensions are refused: a row is read at a time.
const WIDEST: usize = 1 << 24;

pub(super) struct Writer {
    to: BufWriter<File>,
    width: usize,
    rows: u64,
}

impl Writer {
    pub(super) fn new(file: File, width: usize) -> io::Result<Self> {
        let mut to = BufWriter::new(file);
        // The number of rows is known at the end.
        to.write_all(&header(0, width))?;
        Ok(Self { to, width, rows: 0 })
    }
}

/// The header of an array of little-endian f32, `[rows, width]`.
fn header(rows: u64, width: usize) -> Vec<u8> {
    let mut header = [MAGIC, &[1, 0], &((HEADER - 10) as u16).to_le_bytes()].concat();
    header.extend(
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}")
            .as_bytes(),
    );
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

impl Sink for Writer {
    fn write(&mut self, smiles: &[&str], latents: &[f32]) -> io::Result<()> {
        self.rows += smiles.len() as u64;
        latents
            .iter()
            .try_for_each(|value| self.to.write_all(&value.to_le_bytes()))
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.to.seek(SeekFrom::Start(0))?;
        self.to.write_all(&header(self.rows, self.width))?;
        self.to.flush()
    }
}

/// How an element is stored.
#[derive(Clone, Copy)]
struct Element {
    bytes: usize,
    big_endian: bool,
}

pub(super) struct Reader {
    from: BufReader<File>,
    name: String,
    element: Element,
    width: usize,
    rows: u64,
    /// Rows that have been read.
    done: u64,
}

impl Reader {
    pub(super) fn new(file: File, name: String) -> Result<Self> {
        let mut from = BufReader::new(file);
        let dictionary = read_header(&mut from, &name)?;
        let (element, rows, width) = understand(&dictionary).map_err(|why| wrong(&name, why))?;
        Ok(Self {
            from,
            name,
            element,
            width,
            rows,
            done: 0,
        })
    }
}

fn wrong(name: &str, why: impl Display) -> Error {
    Error::new(format_args!("{name}: {why}"))
}

/// Fills `bytes`; `missing` is what is wrong where the file ends before.
fn fill(from: &mut impl Read, bytes: &mut [u8], name: &str, missing: impl Display) -> Result<()> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong(name, missing),
        _ => disk_error("read", name, error),
    })
}

/// The text that describes the array.
fn read_header(from: &mut impl Read, name: &str) -> Result<String> {
    let not_npy = "not an array of NumPy: it does not begin as one";
    let cut_off = "its header is cut off";
    let mut start = [0; 8];
    fill(from, &mut start, name, not_npy)?;
    if !start.starts_with(MAGIC) {
        return Err(wrong(name, not_npy));
    }
    let mut length = [0; 4];
    let digits = if start[6] == 1 { 2 } else { 4 };
    fill(from, &mut length[..digits], name, cut_off)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LARGEST_HEADER {
        return Err(wrong(name, format_args!("its header is of {length} bytes")));
    }
    let mut dictionary = vec![0; length];
    fill(from, &mut dictionary, name, cut_off)?;
    String::from_utf8(dictionary).map_err(|_| wrong(name, "its header is not text"))
}

/// What the header says: the type of the elements, the rows and the columns.
fn understand(dictionary: &str) -> std::result::Result<(Element, u64, usize), String> {
    let value = |key: &str| {
        dictionary
            .split_once(&format!("'{key}':"))
            .map(|(_, rest)| rest.trim_start())
    };
    let unreadable = || format!("its header cannot be read: {}", dictionary.trim());
    let descr = value("descr")
        .and_then(|rest| rest.strip_prefix('\'')?.split_once('\''))
        .map(|(descr, _)| descr);
    let element = match descr.ok_or_else(unreadable)? {
        "<f4" => Element {
            bytes: 4,
            big_endian: false,
        },
        "<f8" => Element {
            bytes: 8,
            big_endian: false,
        },
        ">f4" => Element {
            bytes: 4,
            big_endian: true,
        },
        ">f8" => Element {
            bytes: 8,
            big_endian: true,
        },
        other => {
            return Err(format!(
                "elements of type `{other}`; expected float32 or float64"
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
    if value("fortran_order")
        .ok_or_else(unreadable)?
        .starts_with("True")
        && rows > 1
        && columns > 1
    {
        return Err(
            "an array in Fortran order; save `numpy.ascontiguousarray(latents)`".to_owned(),
        );
    }
    if rows == 0 || columns == 0 {
        return Err(format!("an array of shape ({shape}) holds no latents"));
    }
    let width = usize::try_from(columns)
        .ok()
        .filter(|width| *width <= WIDEST);
    Ok((
        element,
        rows,
        width.ok_or_else(|| format!("latents of {columns} dimensions"))?,
    ))
}

impl Element {
    fn read(self, bytes: &[u8]) -> f32 {
        let mut little = [0; 8];
        let little = &mut little[..self.bytes];
        little.copy_from_slice(bytes);
        if self.big_endian {
            little.reverse();
        }
        match *little {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => f32::NAN,
        }
    }
}

impl Source for Reader {
    fn width(&self) -> usize {
        self.width
    }

    fn read(&mut self, rows: usize, latents: &mut Vec<f32>) -> Result<()> {
        let mut bytes = vec![0; self.width * self.element.bytes];
        for _ in 0..rows.min(usize::try_from(self.rows - self.done).unwrap_or(usize::MAX)) {
            let (row, rows) = (self.done + 1, self.rows);
            let cut_off = format_args!("cut off: row {row} of {rows} is not there");
            fill(&mut self.from, &mut bytes, &self.name, cut_off)?;
            for (place, bytes) in bytes.chunks(self.element.bytes).enumerate() {
                let value = self.element.read(bytes);
                if !value.is_finite() {
                    return Err(Error::new(format_args!(
                        "{}: row {row}, column {}: {value} is not a finite number",
                        self.name,
                        place + 1
                    )));
                }
                latents.push(value);
            }
            self.done += 1;
        }
        if self.done < self.rows {
            return Ok(());
        }
        match self.from.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(wrong(
                &self.name,
                format_args!("more follows the {} rows of its header", self.rows),
            )),
            Err(error) => Err(disk_error("read", &self.name, error)),
        }
    }
}
