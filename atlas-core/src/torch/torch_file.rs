//! A file that `torch.save` wrote: a dictionary of tensors, read whole or refused.
//!
//! After PyTorch's `torch/serialization.py`: since 1.6 a ZIP archive of a pickle and a member for
//! each storage; before that pickles and storages one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek};

use candle_core::{DType, Device, Shape, Tensor};

use super::SAVE;
use super::archive::Archive;
use super::dtype::TorchDtype;
use super::layout::{self, Layout};
use super::legacy::{self, LegacyStorages, Pickles};
use super::pickle::{self, Pickle};
use super::state_dict;
use super::storages::Storages;
use super::values::{StorageRef, TensorRef};
use crate::error::{Problem, Report};
use crate::memory;
use crate::tensors::{self, Tensors};

/// Views may repeat the elements of their storages, up to this many times what the file holds.
const MOST_REPEATS: u64 = 16;
/// The bytes that they may take in any case.
const FREE_BYTES: u64 = 1 << 20;

/// The tensors of a file, or all that is wrong with it: with a tensor by its name, with the whole
/// by none.
pub(super) fn read(mut file: File) -> Result<Tensors, Report> {
    let whole = |why: String| Report::from(why.as_str());
    let size = file
        .metadata()
        .map_err(|error| whole(error.to_string()))?
        .len();
    match Layout::of(&beginning(&mut file).map_err(whole)?).map_err(whole)? {
        Layout::Legacy => {
            let head = legacy::head(&mut file).map_err(whole)?;
            let pickles = Pickles::read(&head).map_err(whole)?;
            let mut storages = LegacyStorages::find(file, size, &pickles).map_err(whole)?;
            tensors(&pickles.state, size, &mut storages)
        }
        Layout::Archive => {
            let (mut archive, bytes) = Archive::open(file, size).map_err(whole)?;
            let pickle = pickle::read(&bytes).map_err(whole)?;
            tensors(&pickle, size, &mut archive)
        }
    }
}

/// The first bytes of a file, which is then read from its beginning again.
fn beginning(file: &mut File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = file.take(layout::BEGINNING).read_to_end(&mut bytes);
    read.and_then(|_| file.rewind())
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn tensors(
    pickle: &Pickle<'_>,
    file_bytes: u64,
    storages: &mut impl Storages,
) -> Result<Tensors, Report> {
    let entries = state_dict::find(pickle)?;
    let mut problems = Vec::new();
    let mut readable = BTreeMap::new();
    let most = file_bytes
        .saturating_mul(MOST_REPEATS)
        .saturating_add(FREE_BYTES);
    let mut budget = most;
    let mut used: BTreeMap<&str, StorageRef<'_>> = BTreeMap::new();
    for (name, tensor) in &entries {
        let first = used.entry(tensor.storage.key).or_insert(tensor.storage);
        let checked = if *first == tensor.storage {
            check(tensor, storages.bytes(tensor.storage.key), &mut budget)
        } else {
            Err(format!(
                "storage `{}` has two descriptions",
                tensor.storage.key
            ))
        };
        match checked {
            Ok(dtype) => {
                let of_storage: &mut Vec<_> = readable.entry(tensor.storage.key).or_default();
                of_storage.push((name, dtype, *tensor));
            }
            Err(why) => problems.push(Problem::new(name, why)),
        }
    }
    if problems.is_empty() {
        let described = pickle.values.storages().iter();
        let described: BTreeSet<&str> = described.map(|storage| storage.key).collect();
        let mut unused = storages.keys();
        unused.retain(|key| !described.contains(key.as_str()));
        problems.extend(unused.iter().map(|key| {
            let why = format!("no tensor is in its storage `{key}`: {SAVE}");
            Problem::new("", why)
        }));
    }
    Report::from_iter(problems).into_result(|report| report)?;
    memory::check("the file", most - budget)
        .map_err(|error| Report::from(error.to_string().as_str()))?;
    let mut tensors = BTreeMap::new();
    // A storage at a time, so that no more than one is in memory beside the tensors.
    for (key, of_storage) in readable {
        let bytes = storages.read(key);
        for (name, dtype, tensor) in of_storage {
            let tensor = match &bytes {
                Ok(bytes) => materialise(bytes, dtype, tensor),
                Err(why) => Err(why.clone()),
            };
            let tensor = tensor.map_err(|why| Report::from_iter([Problem::new(name, why)]))?;
            tensors.insert(name.clone(), tensor);
        }
    }
    Ok(tensors)
}

/// The tensor's dtype, if it can be read; `stored` are the bytes of its storage.
fn check(tensor: &TensorRef<'_>, stored: Option<u64>, budget: &mut u64) -> Result<DType, String> {
    let TensorRef { storage, shape, .. } = tensor;
    let TorchDtype { name, size, dtype } = tensor.dtype;
    let dtype =
        dtype.ok_or_else(|| format!("it is of dtype torch.{name}, which no bundle can hold"))?;
    let bytes = tensors::byte_count(dtype, shape)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is larger than any memory"))?;
    let unit = storage.dtype.map_or(1, |_| size);
    let described = storage.count.checked_mul(unit).map(|bytes| bytes as u64);
    let key = storage.key;
    match (stored, described) {
        (None, _) => return Err(format!("its storage `{key}` is missing")),
        (Some(stored), Some(described)) if stored == described => {}
        (Some(stored), _) => {
            let count = storage.count;
            return Err(format!(
                "its storage `{key}` has {stored} bytes, and is said to be {count} of {unit} bytes each"
            ));
        }
    }
    let room = storage.count * unit / size;
    if tensor.reach().is_none_or(|reach| reach > room) {
        return Err(format!(
            "it reaches beyond the {room} elements of its storage `{key}`"
        ));
    }
    *budget = budget.checked_sub(bytes).ok_or_else(|| {
        format!("it repeats elements of its storage: {shape:?} would be far larger than the file")
    })?;
    Ok(dtype)
}

fn materialise(bytes: &[u8], dtype: DType, tensor: &TensorRef<'_>) -> Result<Tensor, String> {
    let shape = Shape::from(tensor.shape.as_slice());
    let count = shape.elem_count();
    let no_memory = || format!("there is no memory for {count} elements");
    tensors::with_element!(dtype, T => {
        let elements = bytemuck::allocation::try_zeroed_vec::<T>(count);
        let mut elements = elements.map_err(|()| no_memory())?;
        let into = bytemuck::cast_slice_mut(&mut elements);
        gather(bytes, tensor, into, size_of::<T>()).ok_or("its storage is too short")?;
        if !tensor.dtype.is_element(into) {
            let name = tensor.dtype.name;
            return Err(format!("it is of dtype torch.{name}, and an element is neither 0 nor 1"));
        }
        tensors::tensor(elements, &shape, &Device::Cpu, false).map_err(|error| error.to_string())
    }, else Err(no_memory()))
}

/// Copies a tensor's elements out of its storage, to `size` bytes each, which are as many as they
/// have there or more; `None` if they are not all there.
fn gather(bytes: &[u8], tensor: &TensorRef<'_>, into: &mut [u8], size: usize) -> Option<()> {
    let stored = tensor.dtype.size;
    if tensor.is_contiguous() && stored == size {
        let start = tensor.offset.checked_mul(size)?;
        into.copy_from_slice(bytes.get(start..start.checked_add(into.len())?)?);
        return Some(());
    }
    let mut index = vec![0; tensor.shape.len()];
    let mut at = tensor.offset;
    for element in into.chunks_exact_mut(size) {
        let start = at.checked_mul(stored)?;
        let (low, high) = element.split_at_mut_checked(stored)?;
        low.copy_from_slice(bytes.get(start..start + stored)?);
        high.fill(tensor.dtype.extension(low));
        // To the next index, the innermost dimension first.
        for dim in (0..index.len()).rev() {
            index[dim] += 1;
            at += tensor.strides[dim];
            if index[dim] < tensor.shape[dim] {
                break;
            }
            at -= tensor.strides[dim] * index[dim];
            index[dim] = 0;
        }
    }
    Some(())
}
