//! [`AnyModel`]: what a model can do when its type is not known. A trait of your own asks for it
//! and becomes an interface of a registry.

use candle_core::{DType, Device, Var};
use serde_json::Value;

use super::{AtlasModel, Model, golden};
use crate::build::Network;
use crate::error::{Error, Result};
use crate::params::ParamValue;
use crate::snapshot::{Provenance, Snapshot};

/// What every [`Model`] can do, whatever its type: what a trait object of a model offers. Models
/// alone implement it.
pub trait AnyModel: sealed::Sealed {
    /// The model's identity in bundles.
    fn name(&self) -> &'static str;

    /// The version of the parameter schema.
    fn version(&self) -> u32;

    /// The hyperparameters as a bundle stores them.
    fn params_json(&self) -> Value;

    /// Every network's tensors, in the order the networks were declared.
    fn networks(&self) -> &[Network];

    /// The dtype of tensors for which the model names none.
    fn dtype(&self) -> DType;

    /// The device the tensors are on.
    fn device(&self) -> &Device;

    /// Where the model comes from.
    fn provenance(&self) -> &Provenance;

    /// Where the model comes from, to add to.
    fn provenance_mut(&mut self) -> &mut Provenance;

    /// Makes training leave a network alone, or stop leaving it alone.
    ///
    /// # Errors
    /// If there is no network of that name.
    fn set_frozen(&mut self, network: &str, frozen: bool) -> Result<()>;

    /// The model without its type, to [save](Snapshot::save) or to look at. Its tensors share
    /// memory with the model: training on changes both.
    ///
    /// # Errors
    /// If the golden inputs or outputs cannot be computed or stored.
    fn snapshot(&self) -> Result<Snapshot>;

    /// The content digest that a bundle of this model has; see [`Snapshot::digest`].
    ///
    /// # Errors
    /// Those of [`snapshot`](AnyModel::snapshot) and [`Snapshot::digest`].
    fn digest(&self) -> Result<String> {
        self.snapshot()?.digest()
    }

    /// The network of that name.
    fn network(&self, name: &str) -> Option<&Network> {
        self.networks()
            .iter()
            .find(|network| network.name() == name)
    }

    /// Every variable with its full name, `network/tensor`, in a fixed order: networks as
    /// declared, tensors by name. Empty for a model loaded for inference.
    fn vars(&self) -> Vec<(String, Var)> {
        vars_of(self.networks().iter())
    }

    /// The variables of the networks that are not frozen.
    fn trainable_vars(&self) -> Vec<(String, Var)> {
        vars_of(
            self.networks()
                .iter()
                .filter(|network| !network.is_frozen()),
        )
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T: super::AtlasModel> Sealed for super::Model<T> {}
}

fn vars_of<'a>(networks: impl Iterator<Item = &'a Network>) -> Vec<(String, Var)> {
    networks
        .flat_map(|network| {
            network
                .vars()
                .map(move |(name, var)| (format!("{}/{name}", network.name()), var))
        })
        .collect()
}

impl<T: AtlasModel> AnyModel for Model<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn version(&self) -> u32 {
        T::VERSION
    }

    fn params_json(&self) -> Value {
        self.params.to_json()
    }

    fn networks(&self) -> &[Network] {
        &self.networks
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    fn provenance_mut(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn set_frozen(&mut self, network: &str, frozen: bool) -> Result<()> {
        let found = self
            .networks
            .iter_mut()
            .find(|candidate| candidate.name() == network);
        let found = found.ok_or_else(|| {
            Error::new(format_args!(
                "`{}` has no network `{network}`; it has {}",
                T::NAME,
                T::NETWORKS.join(", ")
            ))
        })?;
        found.set_frozen(frozen);
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let Value::Object(params) = self.params_json() else {
            return Err(Error::internal("parameters are not an object"));
        };
        let networks = self.networks.iter();
        Ok(Snapshot {
            model: T::NAME.to_owned(),
            version: T::VERSION,
            dtype: self.dtype,
            params,
            networks: networks
                .map(|network| (network.name().to_owned(), network.detached()))
                .collect(),
            golden: golden::record(self)?,
            checkpoint: None,
            provenance: self.provenance.clone(),
        })
    }
}
