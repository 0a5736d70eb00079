//! [`SharedMolecules`]: molecules to train on, in a file that one process writes and others read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use atlas_core::train::Dataset;
use atlas_core::{Error, Result};

use super::Molecules;
use crate::chem::Smiles;
use crate::data::text_store::TextStore;

/// The end of such a file.
const MAGIC: &[u8; 16] = b"Atlas molecules1";

/// Molecules to train on, which another process has checked and measured. They are read from a file
/// when they are needed; beside the file a molecule takes 16 bytes of memory, four more with weights.
///
/// The file holds the SMILES one after another; for each where it ends (u64), its line, its size (u32)
/// and, if there are any, its weight (f32); how many there are, the bytes of the SMILES, whether there
/// are weights (u64); and 16 bytes that say what it is. Numbers are little-endian.
pub struct SharedMolecules {
    texts: TextStore,
    lines: Vec<u32>,
    sizes: Vec<u32>,
    weights: Option<Vec<f32>>,
}

impl SharedMolecules {
    /// Writes molecules that a model has [measured](Molecules::keep_representable), and replaces what
    /// is at `path` once they are written.
    ///
    /// # Errors
    /// If they were not measured, or the file cannot be written.
    pub fn write(molecules: &Molecules, path: &Path) -> Result<()> {
        let sizes = molecules.sizes.as_ref();
        let sizes = sizes.ok_or_else(|| Error::new("the molecules were not measured"))?;
        let failed = |error| Error::io("write", path, error);
        // One process writes, so that what a killed one left is written over.
        let unfinished = path.with_extension("unfinished");
        let mut to = BufWriter::new(File::create(&unfinished).map_err(failed)?);
        let (mut end, mut bytes) = (0, Vec::new());
        let mut ends = Vec::with_capacity(molecules.len());
        for &index in &molecules.indices {
            let (smiles, _) = molecules.file.text(index, &mut bytes)?;
            to.write_all(smiles.as_bytes()).map_err(failed)?;
            end += smiles.len() as u64;
            ends.push(end);
        }
        let of_file = |index: &u32| molecules.file.places[*index as usize][0];
        let lines = molecules.indices.iter().map(of_file);
        let weights = molecules.file.weights.as_ref();
        let weights = weights.map(|weights| {
            let of = |index: &u32| weights[*index as usize].to_le_bytes();
            molecules.indices.iter().map(of)
        });
        let has_weights = u64::from(weights.is_some());
        let write = || -> io::Result<()> {
            write_all(&mut to, ends.iter().map(|end| end.to_le_bytes()))?;
            write_all(&mut to, lines.map(u32::to_le_bytes))?;
            write_all(&mut to, sizes.iter().map(|size| size.to_le_bytes()))?;
            write_all(&mut to, weights.into_iter().flatten())?;
            let counts = [ends.len() as u64, end, has_weights];
            write_all(&mut to, counts.into_iter().map(u64::to_le_bytes))?;
            to.write_all(MAGIC)
        };
        write().map_err(failed)?;
        to.flush().map_err(failed)?;
        fs::rename(&unfinished, path).map_err(failed)
    }

    /// Opens the file that [`write`](Self::write) has made.
    ///
    /// # Errors
    /// If there is none, or it is not whole.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        let not_whole = || {
            let path = path.display();
            Error::new(format_args!(
                "{path}: it is no whole file of molecules to train on"
            ))
        };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let footer = 3 * 8 + MAGIC.len() as u64;
        let begin = length.checked_sub(footer).ok_or_else(not_whole)?;
        let mut read = |from: u64, bytes: u64| {
            let mut read = Vec::new();
            file.seek(SeekFrom::Start(from)).map_err(failed)?;
            let taken = (&file).take(bytes).read_to_end(&mut read).map_err(failed)?;
            if taken as u64 == bytes {
                Ok(read)
            } else {
                Err(not_whole())
            }
        };
        let end = read(begin, footer)?;
        let (counts, magic) = end.split_at(3 * 8);
        let [count, text_bytes, has_weights] = numbers(counts, u64::from_le_bytes)[..] else {
            return Err(not_whole());
        };
        let of_each = 8 + 4 + 4 + if has_weights == 1 { 4 } else { 0 };
        let index_bytes = count.checked_mul(of_each).ok_or_else(not_whole)?;
        let is_whole = text_bytes.checked_add(index_bytes) == Some(begin);
        if magic != MAGIC || !is_whole || has_weights > 1 {
            return Err(not_whole());
        }
        let ends = numbers(&read(text_bytes, 8 * count)?, u64::from_le_bytes);
        let lines = numbers(
            &read(text_bytes + 8 * count, 4 * count)?,
            u32::from_le_bytes,
        );
        let sizes = numbers(
            &read(text_bytes + 12 * count, 4 * count)?,
            u32::from_le_bytes,
        );
        let weights = (has_weights == 1).then(|| read(text_bytes + 16 * count, 4 * count));
        let weights = weights.transpose()?;
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != text_bytes {
            return Err(not_whole());
        }
        Ok(Self {
            texts: TextStore::in_file(file, ends, path),
            lines,
            sizes,
            weights: weights.map(|weights| numbers(&weights, f32::from_le_bytes)),
        })
    }
}

fn write_all<const N: usize>(
    to: &mut impl Write,
    mut numbers: impl Iterator<Item = [u8; N]>,
) -> io::Result<()> {
    numbers.try_for_each(|number| to.write_all(&number))
}

fn numbers<T, const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|bytes| number(*bytes)).collect()
}

impl Dataset<Smiles> for SharedMolecules {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<Smiles>> {
        let mut bytes = Vec::new();
        let smiles = |&index: &u32| {
            let text = self.texts.read(index as usize, &mut bytes)?;
            Smiles::parse(text).map_err(Error::other)
        };
        indices.iter().map(smiles).collect()
    }

    fn name(&self, index: u32) -> String {
        self.lines[index as usize].to_string()
    }

    fn weights(&self) -> Result<Option<Vec<f64>>> {
        let weights = self.weights.as_ref();
        Ok(weights.map(|weights| weights.iter().map(|&weight| weight.into()).collect()))
    }

    /// Those that were measured when the file was written.
    fn sizes(&self, _: &dyn Fn(&Smiles) -> Result<usize>) -> Result<Vec<usize>> {
        Ok(self.sizes.iter().map(|&size| size as usize).collect())
    }
}
