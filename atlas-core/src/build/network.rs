//! [`Network`]: the tensors that a network asked for while it was built, by name.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Tensor, Var};

use crate::tensors::{self, Tensors};

/// The last part of the names of a batch norm's statistics.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

/// The tensors of one network, by name, in the order of their names.
///
/// Most are weights, which training moves. Some are buffers: state that is kept with the model and
/// not optimised, such as the running statistics of a batch norm.
#[derive(Clone, Debug)]
pub struct Network {
    name: String,
    tensors: Tensors,
    buffers: &'static [&'static str],
    frozen: BTreeSet<String>,
}

impl Network {
    pub(super) fn new(name: &str, tensors: Tensors, buffers: &'static [&'static str]) -> Self {
        Self {
            name: name.to_owned(),
            tensors,
            buffers,
            frozen: BTreeSet::new(),
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

    /// Every weight as a variable with its name, in the order of the names: what an optimiser may
    /// move. None if the model was loaded for inference.
    pub fn vars(&self) -> impl Iterator<Item = (&str, Var)> {
        let weights = self.tensors().filter(|(name, _)| !self.is_buffer(name));
        weights.filter_map(variable)
    }

    /// Every buffer as a variable with its name, in the order of the names; also of a model that was
    /// loaded for inference.
    pub fn buffers(&self) -> impl Iterator<Item = (&str, Var)> {
        let buffers = self.tensors().filter(|(name, _)| self.is_buffer(name));
        buffers.filter_map(variable)
    }

    /// Whether the tensor of that name is a buffer.
    pub fn is_buffer(&self, tensor: &str) -> bool {
        is_buffer(tensor, self.buffers)
    }

    /// Whether training leaves all of this network alone.
    pub fn is_frozen(&self) -> bool {
        self.frozen.len() == self.tensors.len()
    }

    /// Whether training leaves the tensor of that name alone.
    pub fn is_tensor_frozen(&self, tensor: &str) -> bool {
        self.frozen.contains(tensor)
    }

    /// What training leaves alone, as [`set_frozen`](crate::AnyModel::set_frozen) takes it: the
    /// network or single tensors.
    pub(crate) fn frozen(&self) -> Vec<String> {
        if self.is_frozen() {
            return vec![self.name.clone()];
        }
        let tensors = self.frozen.iter();
        tensors
            .map(|tensor| format!("{}/{tensor}", self.name))
            .collect()
    }

    /// The number of elements in all tensors.
    pub fn elements(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// Freezes or thaws all tensors, or those of a name or of the module of that name; whether
    /// there are any.
    pub(crate) fn set_frozen(&mut self, part: Option<&str>, frozen: bool) -> bool {
        let is_meant = |name: &&String| match part {
            None => true,
            // A tensor's own name comes before that of a module.
            Some(part) if self.tensors.contains_key(part) => *name == part,
            Some(part) => {
                let rest = name.strip_prefix(part);
                rest.is_some_and(|rest| rest.starts_with('.'))
            }
        };
        let meant: Vec<&String> = self.tensors.keys().filter(is_meant).collect();
        for name in &meant {
            if frozen {
                self.frozen.insert((*name).clone());
            } else {
                self.frozen.remove(*name);
            }
        }
        !meant.is_empty()
    }

    /// The tensors by name, without the history that an autograd graph would follow. They share
    /// their elements with the network.
    pub(crate) fn detached(&self) -> BTreeMap<String, Tensor> {
        self.tensors()
            .map(|(name, tensor)| (name.to_owned(), tensor.detach()))
            .collect()
    }

    /// Why a bundle could not hold this network, or what it declares and does not have.
    pub(super) fn defect(&self) -> Option<String> {
        let name = &self.name;
        let no_tensors =
            || format!("network `{name}` has no tensors: its `VarBuilder` was asked for none");
        let no_buffer = || {
            let is_there = |buffer: &&&str| self.tensors.keys().any(|name| is_named(name, buffer));
            let absent = self.buffers.iter().find(|buffer| !is_there(buffer))?;
            Some(format!(
                "network `{name}` has no tensor `{absent}`, which it declares a buffer"
            ))
        };
        tensors::name_defect(name)
            .or_else(|| self.tensors.is_empty().then(no_tensors))
            .or_else(no_buffer)
    }
}

/// Whether the tensor is a batch norm's statistic or one of the declared buffers.
pub(super) fn is_buffer(tensor: &str, declared: &[&str]) -> bool {
    let mut buffers = STATISTICS.iter().chain(declared);
    buffers.any(|buffer| is_named(tensor, buffer))
}

/// Whether the name is this one, or ends in it after a dot.
fn is_named(tensor: &str, name: &str) -> bool {
    let rest = tensor.strip_suffix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The tensor as a variable, if it is one. It is taken as it is, not copied.
fn variable<'a>((name, tensor): (&'a str, &Tensor)) -> Option<(&'a str, Var)> {
    let tensor = tensor.is_variable().then_some(tensor)?;
    Var::from_tensor(tensor).ok().map(|var| (name, var))
}
