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
    /// The number that the files before PyTorch 1.6 begin with.
    Magic,
    Text(&'a str),
    /// A value that no tensor is made of, by what it is: `a float`.
    Other(&'static str),
    Global(Global),
    Tuple {
        start: usize,
        len: usize,
    },
    List(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
    /// What a name makes that is no part of a tensor.
    Object(usize),
}

/// What a pickle may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    /// Rebuilds a tensor of a class of Python, or with attributes.
    RebuildFromType,
    /// A class whose objects are tensors: `Tensor`, `Parameter` and the `Variable` of old.
    TensorClass,
    Size,
    /// Makes an object of the class that it is called with.
    New,
    Dtype(TorchDtype),
    TypedStorage(TorchDtype),
    UntypedStorage,
    /// Any other name, in the list of [`Values::names`]. What it stands for is never looked up.
    Foreign(usize),
}

impl Global {
    /// What a module's name stands for; `None` for everything that is no part of a tensor.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch._tensor" | "torch.tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => {
                Self::RebuildFromType
            }
            ("torch" | "torch._tensor" | "torch.tensor", "Tensor")
            | ("torch.nn.parameter" | "torch.nn", "Parameter" | "Buffer")
            | ("torch.autograd.variable" | "torch.autograd", "Variable") => Self::TensorClass,
            ("torch", "Size") => Self::Size,
            ("copyreg" | "copy_reg", "__newobj__" | "_reconstructor") => Self::New,
            ("torch.storage" | "torch", "UntypedStorage" | "_UntypedStorage") => {
                Self::UntypedStorage
            }
            ("torch" | "torch.cuda", name) => match TorchDtype::of_storage(name) {
                Some(dtype) => Self::TypedStorage(dtype),
                None => Self::Dtype(TorchDtype::named(name)?),
            },
            _ => return None,
        })
    }
}

/// What a name made that is no part of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    /// The name, in the list of [`Values::names`].
    pub(super) name: usize,
    /// Whether its attributes are those of a `torch.nn.Module`.
    pub(super) is_module: bool,
}

/// The values of a pickle that was read.
#[derive(Default)]
pub(super) struct Values<'a> {
    pub(super) elements: Vec<Value<'a>>,
    pub(super) lists: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) storages: Vec<StorageRef<'a>>,
    pub(super) tensors: Vec<TensorRef<'a>>,
    pub(super) objects: Vec<Object>,
    /// Module and name of everything that is no part of a tensor.
    pub(super) names: Vec<(&'a str, &'a str)>,
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

    pub(super) fn push_dict(&mut self, items: Vec<(Value<'a>, Value<'a>)>) -> Value<'a> {
        self.dicts.push(items);
        Value::Dict(self.dicts.len() - 1)
    }

    pub(super) fn push_object(&mut self, name: usize) -> Value<'a> {
        let is_module = false;
        self.objects.push(Object { name, is_module });
        Value::Object(self.objects.len() - 1)
    }

    pub(super) fn push_tensor(&mut self, tensor: TensorRef<'a>) -> Value<'a> {
        self.tensors.push(tensor);
        Value::Tensor(self.tensors.len() - 1)
    }

    /// An object, and the module and the name that made it.
    pub(super) fn object(&self, value: Value<'a>) -> Option<(Object, (&'a str, &'a str))> {
        match value {
            Value::Object(index) => {
                let object = *self.objects.get(index)?;
                Some((object, *self.names.get(object.name)?))
            }
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
