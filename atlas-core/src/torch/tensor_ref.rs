//! Tensors as a pickle describes them: a storage, and where in it the elements lie.

use super::dtype::TorchDtype;
use super::values::{Global, Result, StorageRef, TensorRef, Value, Values};

/// The most dimensions that a tensor has: those of NumPy's arrays, and more than PyTorch's kernels
/// work with.
pub(super) const MOST_DIMENSIONS: usize = 64;

/// A longer key of a storage is refused: PyTorch's are numbers, and messages repeat it.
const LONGEST_KEY: usize = 64;

/// The storage of a persistent id.
pub(super) fn storage<'a>(values: &Values<'a>, id: Value<'a>) -> Result<StorageRef<'a>> {
    let (id, view) = match values.tuple(id) {
        // The files of PyTorch before 1.6 have a place for views.
        Some([id @ .., view]) if id.len() == 5 => (id, *view),
        Some(id) => (id, Value::None),
        None => (&[][..], Value::None),
    };
    let &[
        Value::Text("storage"),
        Value::Global(class),
        Value::Text(key),
        Value::Text(_device),
        Value::Int(count),
    ] = id
    else {
        return Err("it refers to something that is not a storage".to_owned());
    };
    if key.len() > LONGEST_KEY {
        return Err(format!(
            "a storage has a key of more than {LONGEST_KEY} bytes"
        ));
    }
    if !matches!(view, Value::None) {
        return Err(format!(
            "storage `{key}` is a view of another: save it with PyTorch 1.0 or newer"
        ));
    }
    let dtype = match class {
        Global::TypedStorage(dtype) => Some(dtype),
        Global::UntypedStorage => None,
        _ => return Err(format!("storage `{key}` is of a class that is not known")),
    };
    let count =
        usize::try_from(count).map_err(|_| format!("storage `{key}` has {count} elements"))?;
    Ok(StorageRef { key, dtype, count })
}

/// The tensor that `_rebuild_tensor` makes of four arguments, `_rebuild_tensor_v2` of six, or, with
/// a dtype, `_rebuild_tensor_v3`.
pub(super) fn rebuild_tensor<'a>(
    values: &Values<'a>,
    arguments: &[Value<'a>],
    dtype: Option<TorchDtype>,
) -> Result<TensorRef<'a>> {
    let (storage, offset, shape, strides) = match *arguments {
        [storage, Value::Int(offset), shape, strides] => (storage, offset, shape, strides),
        [
            storage,
            Value::Int(offset),
            shape,
            strides,
            Value::Bool(_),
            hooks,
        ] => {
            if !values.dict(hooks).is_some_and(<[_]>::is_empty) {
                return Err("a tensor has hooks, which are code: remove them".to_owned());
            }
            (storage, offset, shape, strides)
        }
        [_, _, _, _, _, _, _] => {
            return Err(
                "a tensor is a view with a conjugate or negative bit: save it as \
                 `.resolve_conj().resolve_neg()`"
                    .to_owned(),
            );
        }
        _ => return Err("a tensor is made of something that is not known".to_owned()),
    };
    let storage = values.storage(storage).ok_or("a tensor has no storage")?;
    let dtype = match (dtype, storage.dtype) {
        (Some(dtype), None) | (None, Some(dtype)) => dtype,
        _ => {
            return Err(format!(
                "storage `{}` is of another kind than its tensor",
                storage.key
            ));
        }
    };
    let tensor = TensorRef {
        storage,
        dtype,
        offset: usize::try_from(offset).map_err(|_| format!("a tensor is at offset {offset}"))?,
        shape: sizes(values, shape)?,
        strides: sizes(values, strides)?,
    };
    if tensor.shape.len() == tensor.strides.len() {
        Ok(tensor)
    } else {
        Err("a tensor has more dimensions than strides, or fewer".to_owned())
    }
}

fn sizes<'a>(values: &Values<'a>, value: Value<'a>) -> Result<Vec<usize>> {
    let size = |value: &Value<'_>| match value {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    let not_sizes = || "a shape or stride is not made of sizes".to_owned();
    let sizes = values.tuple(value).ok_or_else(not_sizes)?;
    // Each tensor gets a copy, and any number of tensors can share one tuple.
    if sizes.len() > MOST_DIMENSIONS {
        let found = sizes.len();
        return Err(format!(
            "a tensor has {found} dimensions, and at most {MOST_DIMENSIONS} are read"
        ));
    }
    let sizes: Option<_> = sizes.iter().map(size).collect();
    sizes.ok_or_else(not_sizes)
}

impl TensorRef<'_> {
    /// How many elements of the storage are needed to reach the last of the tensor's; `None` for
    /// more than can be counted.
    pub(super) fn reach(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = self.offset;
        for (dim, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((dim - 1).checked_mul(*stride)?)?;
        }
        last.checked_add(1)
    }

    /// Whether the elements follow each other without gaps.
    pub(super) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (dim, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *dim != 1 && *stride != expected {
                return false;
            }
            expected = dim.saturating_mul(expected);
        }
        true
    }
}
