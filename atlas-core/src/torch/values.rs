//! The values that a pickle can make, and the few names of Python that it may ask for.

use super::dtype::TorchDtype;

/// Why a pickle is refused.
pub(super) type Result<T, E = String> = std::result::Result<T, E>;

/// Elements in a row, shared by any number of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StorageRef<'a> {
    /// Its name within the file.
    pub(super) key: &'a str,
    /// The type of its elements; `None` for bytes.
    pub(super) dtype: Option<TorchDtype>,
    /// The number of its elements, or of its bytes.
    pub(super) count: usize,
}

/// A tensor over a storage.
#[derive(Clone, Debug)]
pub(super) struct TensorRef<'a> {
    pub(super) storage: StorageRef<'a>,
    pub(super) dtype: TorchDtype,
    /// The element of the storage that is the first.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// How far apart elements are that are neighbours in a dimension.
    pub(super) strides: Vec<usize>,
}

/// A value on the stack; those with parts are indices into the lists of [`Values`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: its bytes, little-endian.
    Long(&'a [u8]),
    Text(&'a str),
    Global(Global),
    Tuple {
        start: usize,
        len: usize,
    },
    List(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

/// What a pickle may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    Dtype(TorchDtype),
    TypedStorage(TorchDtype),
    UntypedStorage,
}

impl Global {
    /// What a module's name stands for; `None` for everything that is no part of a tensor.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch.storage", "UntypedStorage") => Self::UntypedStorage,
            ("torch", name) => match TorchDtype::of_storage(name) {
                Some(dtype) => Self::TypedStorage(dtype),
                None => Self::Dtype(TorchDtype::named(name)?),
            },
            _ => return None,
        })
    }
}

/// The values of a pickle that was read.
#[derive(Default)]
pub(super) struct Values<'a> {
    pub(super) elements: Vec<Value<'a>>,
    pub(super) lists: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) storages: Vec<StorageRef<'a>>,
    pub(super) tensors: Vec<TensorRef<'a>>,
}

impl<'a> Values<'a> {
    /// The elements of a tuple; `None` for anything else.
    pub(super) fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match value {
            Value::Tuple { start, len } => self.elements.get(start..start + len),
            _ => None,
        }
    }

    /// The elements of a list.
    pub(super) fn list(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match value {
            Value::List(index) => self.lists.get(index).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The items of a dictionary, in the order in which they were put there.
    pub(super) fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match value {
            Value::Dict(index) => self.dicts.get(index).map(Vec::as_slice),
            _ => None,
        }
    }

    pub(super) fn storage(&self, value: Value<'a>) -> Option<StorageRef<'a>> {
        match value {
            Value::Storage(index) => self.storages.get(index).copied(),
            _ => None,
        }
    }

    /// Every storage that was referred to.
    pub(super) fn storages(&self) -> &[StorageRef<'a>] {
        &self.storages
    }

    pub(super) fn tensor(&self, value: Value<'a>) -> Option<&TensorRef<'a>> {
        match value {
            Value::Tensor(index) => self.tensors.get(index),
            _ => None,
        }
    }
}
