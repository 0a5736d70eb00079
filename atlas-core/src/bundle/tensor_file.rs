//! Writes and reads the tensors of one file, in large blocks that are digested on the way.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use candle_core::{Device, Shape, Storage, Tensor, WithDType};
use rayon::prelude::*;

use super::manifest::TensorFile;
use super::tensor_header::{Layout, TensorInfo};
use crate::error::{Error, Result};
use crate::memory;
use crate::tensors::{self, Tensors};

/// Bytes that are written or read, and then digested, at a time: few enough to stay in the cache
/// in between.
const BLOCK: usize = 4 << 20;
/// Bytes of a block that one thread reads at a time.
const PIECE: usize = 512 << 10;
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
    let mut infos = Vec::new();
    let mut values = Vec::new();
    for (name, tensor) in tensors {
        let dtype = tensors::stored_dtype(tensor.dtype())
            .map_err(|error| error.within(format_args!("`{name}`")))?;
        infos.push(TensorInfo {
            name: name.to_owned(),
            dtype,
            shape: tensor.dims().to_vec(),
        });
        values.push(tensor);
    }
    let failed = |error| Error::io("write", path, error);
    let layout = Layout::of(&infos).map_err(|why| Error::refused(path, why))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&layout.head);
    sink.write_all(&layout.head).map_err(failed)?;
    for part in &layout.parts {
        write_tensor(&mut sink, &mut hasher, values[part.index], path)?;
    }
    sink.flush().map_err(failed)?;
    Ok(TensorFile {
        name: name.to_owned(),
        bytes: layout.bytes,
        blake3: hasher.finalize().to_hex().to_string(),
        tensors: infos,
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
    tensors::with_element!(tensor.dtype(), T => {
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

/// Reads a whole tensor file onto the CPU, as variables, and checks it against what the manifest
/// says of it: size, header, digest. Nothing is allocated for a tensor before the file has been
/// found to be of the size that all its tensors need.
pub(super) fn read(file: &File, path: &Path, expected: &TensorFile) -> Result<Tensors> {
    let failed = |error| Error::io("read", path, error);
    let layout = Layout::of(&expected.tensors).map_err(|why| Error::corrupt(path, why))?;
    let size = file.metadata().map_err(failed)?.len();
    if size != layout.bytes {
        let why = format!("it has {size} bytes, and {} were saved", layout.bytes);
        return Err(Error::corrupt(path, why));
    }
    memory::check(path.display().to_string(), size)?;
    let mut head = vec![0; layout.head.len()];
    file.read_exact_at(&mut head, 0).map_err(failed)?;
    if head != layout.head {
        let why = "its header is not that of the tensors that atlas.json lists";
        return Err(Error::corrupt(path, why));
    }
    let mut values = Vec::with_capacity(layout.parts.len());
    for part in &layout.parts {
        values.push(zeros(path, &expected.tensors[part.index], part.bytes)?);
    }
    let parts = values.iter_mut().map(|elements| elements.bytes()).collect();
    // From a thread of the pool: each step would wake one otherwise.
    let digest = rayon::scope(|_| read_parts(file, &head, parts)).map_err(failed)?;
    if digest.to_hex().as_str() != expected.blake3 {
        return Err(Error::corrupt(
            path,
            "its digest does not match: it has been altered",
        ));
    }
    let mut read = Tensors::new();
    for (part, elements) in layout.parts.iter().zip(values) {
        let TensorInfo { name, shape, .. } = &expected.tensors[part.index];
        let tensor = elements.into_variable(&Shape::from(shape.as_slice()))?;
        read.insert(name.clone(), tensor);
    }
    Ok(read)
}

/// The elements of a tensor that is being read.
trait Elements: Send {
    fn bytes(&mut self) -> &mut [u8];

    /// The tensor of that shape, on the CPU.
    fn into_variable(self: Box<Self>, shape: &Shape) -> candle_core::Result<Tensor>;
}

impl<T: WithDType + bytemuck::Pod> Elements for Vec<T> {
    fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(self)
    }

    fn into_variable(self: Box<Self>, shape: &Shape) -> candle_core::Result<Tensor> {
        tensors::tensor(*self, shape, &Device::Cpu, true)
    }
}

/// Elements of so many bytes, all zero, in memory that the system has not touched yet.
fn zeros(path: &Path, info: &TensorInfo, bytes: usize) -> Result<Box<dyn Elements>> {
    let unsupported = || {
        let why = format!("`{}`: no tensor is of dtype {:?}", info.name, info.dtype);
        Error::corrupt(path, why)
    };
    let dtype = tensors::tensor_dtype(info.dtype).ok_or_else(unsupported)?;
    tensors::with_element!(dtype, T => {
        match bytemuck::allocation::try_zeroed_vec::<T>(bytes / size_of::<T>()) {
            Ok(elements) => Ok(Box::new(elements)),
            Err(()) => {
                let why = format!("there is no memory for {bytes} bytes");
                Err(Error::too_large(path.display().to_string(), why))
            }
        }
    }, else Err(unsupported()))
}

/// Fills the parts of a file that follow `head`; the digest of all. While a block is read, the one
/// before it is digested.
fn read_parts<'a>(
    file: &File,
    head: &'a [u8],
    parts: Vec<&'a mut [u8]>,
) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = head.len() as u64;
    let mut before = head;
    for block in parts.into_iter().flat_map(|part| part.chunks_mut(BLOCK)) {
        if block.len() + before.len() < SMALL {
            hasher.update(before);
            file.read_exact_at(block, offset)?;
        } else {
            let read = || read_block(file, offset, block);
            rayon::join(read, || hasher.update_rayon(before)).0?;
        }
        offset += block.len() as u64;
        before = block;
    }
    hasher.update_rayon(before);
    Ok(hasher.finalize())
}

fn read_block(file: &File, offset: u64, block: &mut [u8]) -> io::Result<()> {
    let pieces = block.par_chunks_mut(PIECE).enumerate();
    pieces.try_for_each(|(index, piece)| file.read_exact_at(piece, offset + (index * PIECE) as u64))
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

    #[test]
    fn what_is_read_and_its_digest_are_those_of_the_whole_file() {
        let bytes: Vec<u8> = (0..2 * BLOCK as u32 + 1025)
            .map(|index| (index.wrapping_mul(0x9E37_79B9) >> 24) as u8)
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let edges = [
            SMALL,
            PIECE,
            BLOCK,
            BLOCK + SMALL,
            BLOCK + 2 * PIECE,
            2 * BLOCK,
        ];
        let sizes = [0, 1, 1025, bytes.len() - 7].into_iter().chain(
            edges
                .into_iter()
                .flat_map(|edge| [edge - 1, edge, edge + 1]),
        );
        for size in sizes {
            for length in [size.max(1), 100_000, BLOCK + 3] {
                let mut read = vec![0xEE; size];
                let digest =
                    read_parts(&file, &bytes[..7], read.chunks_mut(length).collect()).unwrap();
                assert!(read == bytes[7..7 + size], "{size} bytes by {length}");
                let expected = blake3::hash(&bytes[..7 + size]);
                assert_eq!(digest, expected, "{size} bytes by {length}");
            }
        }
        let mut beyond = vec![0; bytes.len() + 1];
        let error = read_parts(&file, &[], vec![&mut beyond]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
