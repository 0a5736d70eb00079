//! Tensor files: written and read in blocks, digested on the way.
//!
//! Threads share the work: digesting costs little beside moving the bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use candle_core::{Device, Shape, Storage, Tensor};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::layout::{Layout, TensorEntry};
use super::manifest::TensorFile;
use crate::error::{Error, Result};
use crate::storage::{self, Element};

/// Bytes that are moved and digested at a time.
const BLOCK: usize = 4 << 20;
/// Fewer bytes are digested faster by one thread than by several.
const SMALL: usize = 128 << 10;

/// What a file of these tensors is, written to `sink`: the bytes depend on nothing but the
/// tensors. `path` is for messages.
pub(super) fn write<'a>(
    name: &str,
    mut sink: impl Write + Send,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
    path: &Path,
) -> Result<TensorFile> {
    let mut entries = Vec::new();
    let mut values = Vec::new();
    for (name, tensor) in tensors {
        let dtype = storage::stored_dtype(tensor.dtype())
            .map_err(|error| error.within(format_args!("`{name}`")))?;
        entries.push(TensorEntry {
            name: name.to_owned(),
            dtype,
            shape: tensor.dims().to_vec(),
        });
        values.push(tensor);
    }
    let layout = Layout::of(&entries).map_err(|why| Error::refused(path, why))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&layout.head);
    sink.write_all(&layout.head)
        .map_err(|error| Error::io("write", path, error))?;
    for part in &layout.parts {
        write_tensor(&mut sink, &mut hasher, values[part.index], path)?;
    }
    sink.flush()
        .map_err(|error| Error::io("write", path, error))?;
    let blake3 = hasher.finalize().to_hex().to_string();
    Ok(TensorFile {
        name: name.to_owned(),
        bytes: layout.bytes,
        blake3,
        tensors: entries,
    })
}

/// What a file of these tensors would be.
pub(super) fn describe<'a>(
    name: &str,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Result<TensorFile> {
    write(name, io::sink(), tensors, Path::new("memory"))
}

fn write_tensor(
    sink: &mut (impl Write + Send),
    hasher: &mut blake3::Hasher,
    tensor: &Tensor,
    path: &Path,
) -> Result<()> {
    // Neither copies what is on the CPU and contiguous.
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (guard, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(elements), Some((start, end))) = (&*guard, layout.contiguous_offsets())
    else {
        return Err(Error::internal(
            "a contiguous tensor on the CPU is not where it should be",
        ));
    };
    storage::with_element!(tensor.dtype(), T => {
        let bytes: &[u8] = bytemuck::cast_slice(&elements.as_slice::<T>()?[start..end]);
        write_bytes(sink, hasher, bytes).map_err(|error| Error::io("write", path, error))
    }, else Err(Error::internal("a dtype was accepted that cannot be written")))
}

fn write_bytes(
    sink: &mut (impl Write + Send),
    hasher: &mut blake3::Hasher,
    bytes: &[u8],
) -> io::Result<()> {
    for block in bytes.chunks(BLOCK) {
        if block.len() < SMALL {
            hasher.update(block);
            sink.write_all(block)?;
        } else {
            rayon::join(|| sink.write_all(block), || hasher.update_rayon(block)).0?;
        }
    }
    Ok(())
}

/// Reads a whole tensor file onto the CPU and checks it against what the manifest says of it:
/// size, header, digest. Nothing is allocated for a tensor before the file has been found to be
/// of the size that all its tensors need. `trainable` makes variables of them, which a copy of
/// each would cost later.
pub(super) fn read(
    file: File,
    path: &Path,
    expected: &TensorFile,
    trainable: bool,
) -> Result<BTreeMap<String, Tensor>> {
    let failed = |error| Error::io("read", path, error);
    let layout = Layout::of(&expected.tensors).map_err(|why| Error::corrupt(path, why))?;
    let size = file.metadata().map_err(failed)?.len();
    if size != layout.bytes {
        let why = format!("it has {size} bytes, and {} were saved", layout.bytes);
        return Err(Error::corrupt(path, why));
    }
    check_memory(size).map_err(|why| Error::too_large(path.display().to_string(), why))?;
    let mut source = Source {
        file,
        offset: 0,
        hasher: blake3::Hasher::new(),
    };
    let mut head = vec![0; layout.head.len()];
    source.fill(&mut head).map_err(failed)?;
    if head != layout.head {
        let why = "its header is not that of the tensors that atlas.json lists";
        return Err(Error::corrupt(path, why));
    }
    let mut tensors = BTreeMap::new();
    for part in &layout.parts {
        let entry = &expected.tensors[part.index];
        let tensor = read_tensor(&mut source, path, entry, part.bytes, trainable)?;
        tensors.insert(entry.name.clone(), tensor);
    }
    if source.hasher.finalize().to_hex().as_str() != expected.blake3 {
        return Err(Error::corrupt(
            path,
            "its digest does not match: it has been altered",
        ));
    }
    Ok(tensors)
}

/// An error if there cannot be memory for files of that size. Asked once for all tensors: glibc
/// would hand out tensors from its heaps, which it rarely gives back, after a trial of their size.
pub(super) fn check_memory(bytes: u64) -> Result<(), String> {
    if let Some(memory) = storage::machine_memory().filter(|memory| bytes > *memory) {
        return Err(format!(
            "it takes {bytes} bytes of memory, and this machine has {memory}"
        ));
    }
    let can_reserve = |bytes| {
        // Unless something looks at it, a trial may be optimised away.
        let mut trial = std::hint::black_box(Vec::<u8>::new());
        trial.try_reserve_exact(bytes).is_ok() && std::hint::black_box(trial).is_empty()
    };
    match usize::try_from(bytes).is_ok_and(can_reserve) {
        true => Ok(()),
        false => Err(format!("there is no memory for {bytes} bytes")),
    }
}

fn read_tensor(
    source: &mut Source,
    path: &Path,
    entry: &TensorEntry,
    bytes: usize,
    trainable: bool,
) -> Result<Tensor> {
    let name = &entry.name;
    let unsupported = || {
        let why = format!("`{name}`: no tensor is of dtype {:?}", entry.dtype);
        Error::corrupt(path, why)
    };
    let dtype = storage::tensor_dtype(entry.dtype).ok_or_else(unsupported)?;
    let failed = |error| Error::io("read", path, error);
    let shape = Shape::from(entry.shape.as_slice());
    storage::with_element!(dtype, T => {
        let mut elements = <T as Element>::zeros(bytes / size_of::<T>());
        source.fill(bytemuck::cast_slice_mut(&mut elements)).map_err(failed)?;
        Ok(storage::tensor(elements, &shape, &Device::Cpu, trainable)?)
    }, else Err(unsupported()))
}

/// A file that is read from its beginning and digested.
struct Source {
    file: File,
    offset: u64,
    hasher: blake3::Hasher,
}

impl Source {
    /// Fills `bytes` with what comes next. Threads share the reading of each block, since memory
    /// is slow at its first use, and then its digesting, while it is in their caches.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let Self {
            file,
            offset,
            hasher,
        } = self;
        for block in bytes.chunks_mut(BLOCK) {
            if block.len() < SMALL {
                file.read_exact_at(block, *offset)?;
            } else {
                let pieces = block.par_chunks_mut(SMALL).enumerate();
                pieces.try_for_each(|(index, piece)| {
                    file.read_exact_at(piece, *offset + (index * SMALL) as u64)
                })?;
            }
            digest(hasher, block);
            *offset += block.len() as u64;
        }
        Ok(())
    }
}

fn digest(hasher: &mut blake3::Hasher, block: &[u8]) {
    if block.len() < SMALL {
        hasher.update(block);
    } else {
        hasher.update_rayon(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_lie_apart_are_written_in_the_order_they_read() {
        let ascending = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap();
        let transposed = ascending.reshape((2, 3)).unwrap().t().unwrap();
        assert!(!transposed.is_contiguous());
        let mut bytes = Vec::new();
        let tensors = [("w", &transposed)].into_iter();
        write("net", &mut bytes, tensors, Path::new("memory")).unwrap();
        let elements = [0f32, 3.0, 1.0, 4.0, 2.0, 5.0].map(f32::to_le_bytes);
        assert!(bytes.ends_with(elements.as_flattened()));
    }
}
