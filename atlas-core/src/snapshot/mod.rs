//! The snapshot: a model without its type, as one plain value.
//!
//! It is all that passes between a model and a disk. A bundle is a snapshot as a folder; a
//! migration edits a snapshot of an older version; a model gives one and is made of one.

mod checkpoint;
mod golden;
mod provenance;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};
use serde_json::{Map, Value};

pub use checkpoint::Checkpoint;
pub use golden::{GoldenInputs, GoldenRecord};
pub(crate) use golden::{named_outputs, values};
pub use provenance::Provenance;

use crate::error::{Error, Result};
use crate::params::Params;
use crate::tensors::Tensors;

/// A model without its type: everything that a bundle holds.
///
/// [`AnyModel::snapshot`](crate::AnyModel::snapshot) gives one,
/// [`Model::from_snapshot`](crate::Model::from_snapshot) makes a model of one,
/// [`Snapshot::save`] writes one to a folder and [`Bundle::snapshot`](crate::Bundle::snapshot)
/// reads it back. Whoever has parameters and tensors from elsewhere fills one by hand:
///
/// ```
/// # use atlas_core::prelude::*;
/// # use atlas_core::candle_core::{DType, Device, Tensor};
/// # use atlas_core::candle_nn::{Linear, VarBuilder};
/// # #[derive(AtlasModel)]
/// # struct Scale {
/// #     #[param(min = 1)]
/// #     width: usize,
/// #     #[network(with = build, golden = [2, width])]
/// #     net: Linear,
/// # }
/// # fn build(params: &ScaleParams, vb: VarBuilder) -> candle_core::Result<Linear> {
/// #     atlas_core::candle_nn::linear_no_bias(params.width, 1, vb)
/// # }
/// use atlas_core::Snapshot;
///
/// let weight = Tensor::ones((1, 3), DType::F32, &Device::Cpu)?;
/// let mut snapshot = Snapshot::new(Scale::NAME, Scale::VERSION);
/// snapshot.add_param("width", 3)?;
/// snapshot.set_tensor("net", "weight", weight);
///
/// // Of a model that Atlas has never run, no outputs are known.
/// let options = LoadOptions::new().golden(false);
/// let model = Model::<Scale>::from_snapshot(snapshot, &options)?;
/// assert_eq!(model.width, 3);
/// # Ok::<(), Error>(())
/// ```
///
/// Its methods edit parameters and tensors. They are what a migration is written with: a step
/// from one version of a model to the next is a function `fn(&mut Snapshot) -> Result<()>`. After
/// the last step the parameters are read strictly and the tensors must be exactly those that the
/// model asks for, so a step that forgets something is noticed.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The model's name.
    pub model: String,
    /// The version of the model's parameter schema.
    pub version: u32,
    /// The dtype of tensors for which the model names none: f32, f64, f16 or bf16.
    pub dtype: DType,
    /// Every parameter.
    pub params: Map<String, Value>,
    /// The tensors of every network, by the names of network and tensor.
    pub networks: BTreeMap<String, BTreeMap<String, Tensor>>,
    /// What the behaviour check compares with, for a model that has one.
    pub golden: Option<GoldenRecord>,
    /// What training leaves alone: networks, `network/tensor` or `network/module`. No part of the
    /// digest. A name must be one of the model's; after a migration one that is not is dropped, since
    /// a step may have taken that tensor away.
    pub frozen: BTreeSet<String>,
    /// What training needs to go on from here.
    pub checkpoint: Option<Checkpoint>,
    /// Where the model comes from.
    pub provenance: Provenance,
}

impl Snapshot {
    /// A snapshot of a model in f32, without parameters and tensors.
    pub fn new(model: impl Into<String>, version: u32) -> Self {
        Self {
            model: model.into(),
            version,
            dtype: DType::F32,
            params: Map::new(),
            networks: BTreeMap::new(),
            golden: None,
            frozen: BTreeSet::new(),
            checkpoint: None,
            provenance: Provenance::new(None),
        }
    }

    /// Puts these parameters in the place of all that are there.
    pub fn set_params(&mut self, params: &impl Params) {
        if let Value::Object(params) = params.to_json() {
            self.params = params;
        }
    }

    /// The parameter of that name.
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }

    /// Adds a parameter. A migration gives one that older versions did not have the value that
    /// keeps their behaviour: what the default was then.
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
        self.networks.get(network)?.get(name)
    }

    /// Puts a tensor into a network, in the place of one of that name if there is one.
    pub fn set_tensor(&mut self, network: &str, name: &str, tensor: Tensor) {
        self.networks
            .entry(network.to_owned())
            .or_default()
            .insert(name.to_owned(), tensor);
    }

    /// Takes a tensor out of a network.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn remove_tensor(&mut self, network: &str, name: &str) -> Result<Tensor> {
        let removed = self
            .networks
            .get_mut(network)
            .and_then(|tensors| tensors.remove(name));
        removed.ok_or_else(|| Error::new(format_args!("there is no tensor `{network}/{name}`")))
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
        let tensor = self.remove_tensor(network, from)?;
        self.set_tensor(network, to, tensor);
        if self.frozen.remove(&format!("{network}/{from}")) {
            self.frozen.insert(format!("{network}/{to}"));
        }
        Ok(())
    }

    /// Gives a network another name.
    ///
    /// # Errors
    /// If there is none of the old name, or one of the new.
    pub fn rename_network(&mut self, from: &str, to: &str) -> Result<()> {
        if self.networks.contains_key(to) {
            return Err(Error::new(format_args!(
                "there already is a network `{to}`"
            )));
        }
        let tensors: Tensors = self
            .networks
            .remove(from)
            .ok_or_else(|| Error::new(format_args!("there is no network `{from}`")))?;
        self.networks.insert(to.to_owned(), tensors);
        let frozen = std::mem::take(&mut self.frozen).into_iter();
        let renamed = frozen.map(|part| match part.strip_prefix(from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
            _ => part,
        });
        self.frozen = renamed.collect();
        Ok(())
    }
}

fn no_param(name: &str) -> Error {
    Error::new(format_args!("there is no parameter `{name}`"))
}
