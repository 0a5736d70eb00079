//! A safetensors file of another program: read whole, each tensor straight into its place.

use std::io::{self, Read};
use std::path::Path;

use bytemuck::Pod;
use candle_core::{DType, Device, Shape, Tensor, WithDType};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::digested_file::{DigestedFile, FileDigest};
use crate::error::{Error, Problem, Report, Result};
use crate::json;
use crate::tensors::{self, Tensors};

/// The bytes of the header's length.
const LENGTH: u64 = 8;
/// The longest header that readers of safetensors accept.
const LONGEST_HEADER: u64 = 100_000_000;

/// The tensors of a file, and its digest.
pub(super) fn read(path: &Path) -> Result<(Tensors, FileDigest)> {
    let mut file = DigestedFile::open(path)?;
    let metadata = read_header(path, &mut file)?;
    let mut readable = Vec::new();
    let mut problems = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else {
            continue;
        };
        match check(info) {
            Ok(dtype) => readable.push((name, info, dtype)),
            Err(why) => problems.push(Problem::new(name, why)),
        }
    }
    Report::from_iter(problems).into_result(|report| Error::import(path, report))?;
    let mut tensors = Tensors::new();
    for (name, info, dtype) in readable {
        let tensor = read_tensor(&mut file, info, dtype);
        let tensor = tensor.map_err(|error| Error::io("read", path, error))?;
        let tensor = tensor.map_err(|why| {
            let problem = Problem::new(&name, why);
            Error::import(path, Report::from_iter([problem]))
        })?;
        tensors.insert(name, tensor);
    }
    Ok((tensors, file.digest_rest()?))
}

/// The header, whose tensors lie one after the other and end where the file does.
fn read_header(path: &Path, file: &mut DigestedFile) -> Result<Metadata> {
    let failed = |error| Error::io("read", path, error);
    let refused = |why: String| Error::import(path, why.as_str());
    let mut length = [0; LENGTH as usize];
    let room = file.size.checked_sub(LENGTH).ok_or_else(|| {
        refused(format!(
            "it is no safetensors file: it has {} bytes",
            file.size
        ))
    })?;
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > room.min(LONGEST_HEADER) {
        return Err(refused(format!(
            "it is cut short, or no safetensors file: its header would take {length} bytes"
        )));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(failed)?;
    let malformed = |error| refused(format!("its header is malformed: {error}"));
    let metadata: Metadata = json::read(&header).map_err(malformed)?;
    let (needed, found) = (metadata.data_len() as u64, room - length);
    if needed != found {
        return Err(refused(format!(
            "its tensors take {needed} bytes, and it has {found} for them"
        )));
    }
    Ok(metadata)
}

/// The dtype that a tensor becomes; an error says why it cannot be read.
fn check(info: &TensorInfo) -> Result<DType, String> {
    let TensorInfo { dtype, shape, .. } = info;
    let read = match dtype {
        Dtype::BOOL => Some(DType::U8),
        Dtype::I8 => Some(DType::I16),
        Dtype::U16 => Some(DType::U32),
        dtype => tensors::tensor_dtype(*dtype),
    };
    let read = read.ok_or_else(|| format!("it is of dtype {dtype}, which no bundle can hold"))?;
    tensors::byte_count(read, shape)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is larger than any memory"))?;
    Ok(read)
}

/// The tensor that follows in the file, of that dtype; the inner error says why it has no values.
fn read_tensor(
    file: &mut impl Read,
    info: &TensorInfo,
    dtype: DType,
) -> io::Result<Result<Tensor, String>> {
    let (start, end) = info.data_offsets;
    let bytes = end - start;
    let shape = Shape::from(info.shape.as_slice());
    Ok(match info.dtype {
        Dtype::BOOL => {
            let truths: Vec<u8> = read_elements(file, bytes)?;
            if truths.iter().any(|truth| *truth > 1) {
                let why = "it is of dtype BOOL, and an element is neither 0 nor 1";
                return Ok(Err(why.to_owned()));
            }
            tensor(truths, &shape)
        }
        Dtype::I8 => {
            let narrow: Vec<i8> = read_elements(file, bytes)?;
            tensor(narrow.into_iter().map(i16::from).collect(), &shape)
        }
        Dtype::U16 => {
            let narrow: Vec<u16> = read_elements(file, bytes)?;
            tensor(narrow.into_iter().map(u32::from).collect(), &shape)
        }
        _ => tensors::with_element!(dtype, T => {
            tensor(read_elements::<T>(file, bytes)?, &shape)
        }, else Err(format!("no tensor is of dtype {dtype:?}"))),
    })
}

/// The elements in the bytes that follow.
fn read_elements<T: Pod>(file: &mut impl Read, bytes: usize) -> io::Result<Vec<T>> {
    let elements = bytemuck::allocation::try_zeroed_vec::<T>(bytes / size_of::<T>());
    let mut elements = elements.map_err(|()| io::ErrorKind::OutOfMemory)?;
    file.read_exact(bytemuck::cast_slice_mut(&mut elements))?;
    Ok(elements)
}

fn tensor<T: WithDType>(elements: Vec<T>, shape: &Shape) -> Result<Tensor, String> {
    tensors::tensor(elements, shape, &Device::Cpu, false).map_err(|error| error.to_string())
}
