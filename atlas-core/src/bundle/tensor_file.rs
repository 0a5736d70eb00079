//! Tensor files: written and read by several threads, digested on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::iter;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::path::Path;

use candle_core::{Device, Shape, Storage, Tensor};

use super::layout::{Layout, TensorEntry};
use super::manifest::TensorFile;
use super::pieces::{self, Stretch};
use crate::error::{Error, Result};
use crate::storage::{self, Element};

/// Bytes that are written and digested at a time.
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
    let mut head = vec![0; layout.head.len()];
    file.read_exact_at(&mut head, 0).map_err(failed)?;
    if head != layout.head {
        let why = "its header is not that of the tensors that atlas.json lists";
        return Err(Error::corrupt(path, why));
    }
    let mut rooms = Vec::with_capacity(layout.parts.len());
    for part in &layout.parts {
        rooms.push(room(path, &expected.tensors[part.index], part.bytes)?);
    }
    let missing = rooms.iter_mut().map(|room| Stretch::Missing(room.bytes()));
    let stretches = iter::once(Stretch::Known(&head)).chain(missing);
    let digest = pieces::read(&file, stretches).map_err(failed)?;
    if digest.to_hex().as_str() != expected.blake3 {
        return Err(Error::corrupt(
            path,
            "its digest does not match: it has been altered",
        ));
    }
    let mut tensors = BTreeMap::new();
    for (part, room) in layout.parts.iter().zip(rooms) {
        let TensorEntry { name, shape, .. } = &expected.tensors[part.index];
        // SAFETY: the whole file has been read.
        let tensor = unsafe { room.into_tensor(&Shape::from(shape.as_slice()), trainable) }?;
        tensors.insert(name.clone(), tensor);
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

/// Memory for the elements of a tensor.
trait Room {
    fn bytes(&mut self) -> &mut [MaybeUninit<u8>];

    /// The tensor, on the CPU.
    ///
    /// # Safety
    /// Every byte has been written.
    unsafe fn into_tensor(
        self: Box<Self>,
        shape: &Shape,
        trainable: bool,
    ) -> candle_core::Result<Tensor>;
}

/// Memory for the elements of a tensor of so many bytes.
fn room(path: &Path, entry: &TensorEntry, bytes: usize) -> Result<Box<dyn Room>> {
    let unsupported = || {
        let why = format!("`{}`: no tensor is of dtype {:?}", entry.name, entry.dtype);
        Error::corrupt(path, why)
    };
    let dtype = storage::tensor_dtype(entry.dtype).ok_or_else(unsupported)?;
    storage::with_element!(dtype, T => {
        Ok(Box::new(Box::<[T]>::new_uninit_slice(bytes / size_of::<T>())))
    }, else Err(unsupported()))
}

impl<T: Element> Room for Box<[MaybeUninit<T>]> {
    fn bytes(&mut self) -> &mut [MaybeUninit<u8>] {
        let size = size_of_val::<[_]>(self);
        // SAFETY: the same memory, and uninitialised bytes are what it may hold.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), size) }
    }

    unsafe fn into_tensor(
        self: Box<Self>,
        shape: &Shape,
        trainable: bool,
    ) -> candle_core::Result<Tensor> {
        // SAFETY: every byte has been written, and any bits are an element.
        let elements = unsafe { self.assume_init() };
        storage::tensor(elements.into_vec(), shape, &Device::Cpu, trainable)
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
