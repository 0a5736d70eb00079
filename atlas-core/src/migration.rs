//! How a bundle of an older version of a model becomes one of the next.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::Tensor;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::network::Tensors;

/// One step of a model's migrations: from a version to the next.
#[derive(Clone, Copy)]
pub struct Migration {
    from: u32,
    step: fn(&mut Migrating) -> Result<()>,
}

impl Migration {
    /// The step from version `from` to the next.
    pub fn new(from: u32, step: fn(&mut Migrating) -> Result<()>) -> Self {
        Self { from, step }
    }

    /// The version that the step starts from.
    pub fn from(&self) -> u32 {
        self.from
    }

    pub(crate) fn run(&self, migrating: &mut Migrating) -> Result<()> {
        (self.step)(migrating).map_err(|error| {
            error.within(format_args!(
                "migration from version {} to {}",
                self.from,
                self.from + 1
            ))
        })
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Migration({} => {})", self.from, self.from + 1)
    }
}

/// An older model on its way to the next version: its parameters and tensors, to edit.
///
/// After the last step the parameters are read strictly and the tensors must be exactly those
/// that the model asks for, so a step that forgets something is noticed.
pub struct Migrating {
    pub(crate) params: Map<String, Value>,
    pub(crate) tensors: Tensors,
}

impl Migrating {
    /// The parameter of that name.
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }

    /// Adds a parameter that older versions did not have, with the value that gives their
    /// behaviour: what the default was then.
    ///
    /// # Errors
    /// If there is one of that name.
    pub fn add_param(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        match self.params.insert(name.to_owned(), value.into()) {
            None => Ok(()),
            Some(_) => Err(Error::new(format_args!(
                "there already is a parameter `{name}`"
            ))),
        }
    }

    /// Gives a parameter another value.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn set_param(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        *self.params.get_mut(name).ok_or_else(|| no_param(name))? = value.into();
        Ok(())
    }

    /// Gives a parameter another name.
    ///
    /// # Errors
    /// If there is none of the old name, or one of the new.
    pub fn rename_param(&mut self, from: &str, to: &str) -> Result<()> {
        let value = self.remove_param(from)?;
        self.add_param(to, value)
    }

    /// Takes a parameter away.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn remove_param(&mut self, name: &str) -> Result<Value> {
        self.params.shift_remove(name).ok_or_else(|| no_param(name))
    }

    /// The tensor of a network.
    pub fn tensor(&self, network: &str, name: &str) -> Option<&Tensor> {
        self.tensors.get(network)?.get(name)
    }

    /// Every tensor's name in a network, in order.
    pub fn tensor_names(&self, network: &str) -> Vec<String> {
        self.tensors
            .get(network)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect()
    }

    /// Puts a tensor into a network, in the place of one of that name if there is one.
    pub fn put_tensor(&mut self, network: &str, name: &str, tensor: Tensor) {
        self.tensors
            .entry(network.to_owned())
            .or_default()
            .insert(name.to_owned(), tensor);
    }

    /// Takes a tensor out of a network.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn take_tensor(&mut self, network: &str, name: &str) -> Result<Tensor> {
        let taken = self
            .tensors
            .get_mut(network)
            .and_then(|tensors| tensors.remove(name));
        taken.ok_or_else(|| Error::new(format_args!("there is no tensor `{network}/{name}`")))
    }

    /// Gives a tensor another name within its network.
    ///
    /// # Errors
    /// If there is none of the old name, or one of the new.
    pub fn rename_tensor(&mut self, network: &str, from: &str, to: &str) -> Result<()> {
        if self.tensor(network, to).is_some() {
            return Err(Error::new(format_args!(
                "there already is a tensor `{network}/{to}`"
            )));
        }
        let tensor = self.take_tensor(network, from)?;
        self.put_tensor(network, to, tensor);
        Ok(())
    }

    /// Gives a network another name.
    ///
    /// # Errors
    /// If there is none of the old name, or one of the new.
    pub fn rename_network(&mut self, from: &str, to: &str) -> Result<()> {
        if self.tensors.contains_key(to) {
            return Err(Error::new(format_args!(
                "there already is a network `{to}`"
            )));
        }
        let tensors = self.tensors.remove(from);
        let tensors =
            tensors.ok_or_else(|| Error::new(format_args!("there is no network `{from}`")))?;
        self.tensors.insert(to.to_owned(), tensors);
        Ok(())
    }
}

fn no_param(name: &str) -> Error {
    Error::new(format_args!("there is no parameter `{name}`"))
}
