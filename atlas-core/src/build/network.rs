//! [`Network`]: the tensors that a network asked for while it was built, by name.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::tensors::{self, Tensors};

/// The tensors of one network, by name, in the order of their names.
#[derive(Clone, Debug)]
pub struct Network {
    name: String,
    tensors: Tensors,
    frozen: bool,
}

impl Network {
    pub(super) fn new(name: &str, tensors: Tensors) -> Self {
        Self {
            name: name.to_owned(),
            tensors,
            frozen: false,
        }
    }

    /// The network's name: the field's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every tensor with its name, in the order of the names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Every variable with its name, in the order of the names. None if the model was loaded for
    /// inference.
    pub fn vars(&self) -> impl Iterator<Item = (&str, Var)> {
        self.tensors()
            .filter(|(_, tensor)| tensor.is_variable())
            .filter_map(|(name, tensor)| {
                // A variable is taken as it is, not copied.
                Var::from_tensor(tensor).ok().map(|var| (name, var))
            })
    }

    /// Whether training leaves this network alone.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The number of elements in all tensors.
    pub fn elements(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    pub(crate) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// The tensors by name, without the history that an autograd graph would follow. They share
    /// their elements with the network.
    pub(crate) fn detached(&self) -> BTreeMap<String, Tensor> {
        self.tensors()
            .map(|(name, tensor)| (name.to_owned(), tensor.detach()))
            .collect()
    }

    /// Why a bundle could not hold this network.
    pub(super) fn defect(&self) -> Option<String> {
        let name = &self.name;
        let no_tensors =
            || format!("network `{name}` has no tensors: its `VarBuilder` was asked for none");
        tensors::name_defect(name).or_else(|| self.tensors.is_empty().then(no_tensors))
    }
}
