//! A file that `torch.save` wrote: a dictionary of tensors, read whole or refused.
//!
//! After PyTorch's `torch/serialization.py`: since 1.6 a ZIP archive of a pickle and a member for
//! each storage; before that pickles and storages one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use candle_core::{DType, Device, Shape, Tensor};

use super::archive::Archive;
use super::dtype::TorchDtype;
use super::legacy::{self, LegacyStorages, Pickles};
use super::pickle::{self, Pickle};
use super::storages::Storages;
use super::values::{StorageRef, TensorRef, Value};
use crate::error::Problem;
use crate::tensors;

/// Views may repeat the elements of their storages, up to this many times what the file holds.
const MOST_REPEATS: u64 = 16;
/// The bytes that they may take in any case.
const FREE_BYTES: u64 = 1 << 20;

/// The tensors of the file of a network, or all that is wrong with it.
pub(super) fn read(
    network: &str,
    mut file: File,
) -> Result<BTreeMap<String, Tensor>, Vec<Problem>> {
    let name = format!("{network}.pt");
    let whole = |why: String| vec![Problem::new(&name, why)];
    let size = file
        .metadata()
        .map_err(|error| whole(error.to_string()))?
        .len();
    if legacy::is_legacy(&mut file).map_err(whole)? {
        let head = legacy::head(&mut file).map_err(whole)?;
        let pickles = Pickles::read(&head).map_err(whole)?;
        let mut storages = LegacyStorages::find(file, size, &pickles).map_err(whole)?;
        tensors(network, &pickles.state, size, &mut storages)
    } else {
        let (mut archive, bytes) = Archive::open(file, size).map_err(whole)?;
        let pickle = pickle::read(&bytes).map_err(whole)?;
        tensors(network, &pickle, size, &mut archive)
    }
}

fn tensors(
    network: &str,
    pickle: &Pickle<'_>,
    file_bytes: u64,
    storages: &mut impl Storages,
) -> Result<BTreeMap<String, Tensor>, Vec<Problem>> {
    let mut problems = Vec::new();
    let entries = entries(network, pickle, &mut problems);
    let mut readable = BTreeMap::new();
    let mut budget = file_bytes
        .saturating_mul(MOST_REPEATS)
        .saturating_add(FREE_BYTES);
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
                of_storage.push((*name, dtype, *tensor));
            }
            Err(why) => problems.push(Problem::new(format!("{network}/{name}"), why)),
        }
    }
    if problems.is_empty() {
        let mut unused = storages.keys();
        unused.retain(|key| !used.contains_key(key.as_str()));
        problems.extend(unused.iter().map(|key| {
            let why = format!("no tensor is in its storage `{key}`");
            Problem::new(format!("{network}.pt"), why)
        }));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut tensors = BTreeMap::new();
    // A storage at a time, so that no more than one is in memory beside the tensors.
    for (key, of_storage) in readable {
        let result = storages.read(key).and_then(|bytes| {
            for (name, dtype, tensor) in of_storage {
                tensors.insert(name.to_owned(), materialise(&bytes, dtype, tensor)?);
            }
            Ok(())
        });
        result.map_err(|why| {
            let of = entries.iter().find(|(_, tensor)| tensor.storage.key == key);
            let name = of.map_or(String::new(), |(name, _)| format!("{network}/{name}"));
            vec![Problem::new(name, why)]
        })?;
    }
    Ok(tensors)
}

/// The named tensors of a pickle's dictionary.
fn entries<'p, 'a>(
    network: &str,
    pickle: &'p Pickle<'a>,
    problems: &mut Vec<Problem>,
) -> Vec<(&'a str, &'p TensorRef<'a>)> {
    let file = format!("{network}.pt");
    let Some(items) = pickle.values.dict(pickle.root) else {
        problems.push(Problem::new(
            file,
            "it holds no dictionary: save `module.state_dict()`",
        ));
        return Vec::new();
    };
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    for (key, value) in items {
        let Value::Text(name) = *key else {
            problems.push(Problem::new(&file, "a key of its dictionary is not a text"));
            continue;
        };
        let path = format!("{network}/{name}");
        match pickle.values.tensor(*value) {
            _ if !names.insert(name) => problems.push(Problem::new(path, "it is there twice")),
            Some(tensor) => entries.push((name, tensor)),
            None => problems.push(Problem::new(path, "it is not a tensor")),
        }
    }
    entries
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
