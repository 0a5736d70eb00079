//! Tensor files: written and read in blocks, digested on the way.
//!
//! Threads share the work: digesting costs little beside moving the bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::path::Path;

use candle_core::{Device, Shape, Storage, Tensor};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;
use rustix::io::Errno;

use super::layout::{Layout, TensorEntry};
use super::manifest::TensorFile;
use crate::error::{Error, Result};
use crate::storage::{self, Element};

/// Bytes that are moved and digested at a time.
const BLOCK: usize = 4 << 20;
/// Fewer bytes are digested faster by one thread than by several.
const SMALL: usize = 128 << 10;
/// Whether there is memory for fewer bytes is not tried out. What an allocator of glibc has handed
/// out and taken back, of up to half as much, it hands out from its heaps from then on: slower, and
/// rarely given back to the system.
const TRIED_OUT: u64 = 64 << 20;

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
    let head = source.elements::<u8>(layout.head.len()).map_err(failed)?;
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

/// An error if there cannot be memory for files of that size.
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
    match bytes < TRIED_OUT || usize::try_from(bytes).is_ok_and(can_reserve) {
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
        let elements = source.elements::<T>(bytes / size_of::<T>()).map_err(failed)?;
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
    /// The next `count` elements.
    fn elements<T: Element>(&mut self, count: usize) -> io::Result<Vec<T>> {
        let mut elements = Vec::with_capacity(count);
        let room: &mut [MaybeUninit<T>] = &mut elements.spare_capacity_mut()[..count];
        // SAFETY: the same memory, of which nothing is read before it is written.
        let bytes = unsafe {
            let size = size_of_val(room);
            std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<MaybeUninit<u8>>(), size)
        };
        self.fill(bytes)?;
        // SAFETY: every byte of them has been written, and any bits are an element.
        unsafe { elements.set_len(count) };
        Ok(elements)
    }

    /// Fills `bytes` with what comes next. Threads share the reading of each block, since memory
    /// is slow at its first use, and then its digesting, while it is in their caches.
    fn fill(&mut self, bytes: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let Self {
            file,
            offset,
            hasher,
        } = self;
        for block in bytes.chunks_mut(BLOCK) {
            if block.len() < SMALL {
                read_exact(file, block, *offset)?;
            } else {
                let pieces = block.par_chunks_mut(SMALL).enumerate();
                pieces.try_for_each(|(index, piece)| {
                    read_exact(file, piece, *offset + (index * SMALL) as u64)
                })?;
            }
            // SAFETY: all of it has just been read.
            let read = unsafe { std::slice::from_raw_parts(block.as_ptr().cast(), block.len()) };
            digest(hasher, read);
            *offset += block.len() as u64;
        }
        Ok(())
    }
}

/// Fills `bytes` with what the file has from `offset` on; after `Ok` every byte has been written.
fn read_exact(file: &File, mut bytes: &mut [MaybeUninit<u8>], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = match rustix::io::pread(file, &mut *bytes, offset) {
            Ok((read, _)) => read.len(),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        offset += count as u64;
    }
    Ok(())
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
