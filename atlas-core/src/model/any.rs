//! [`AnyModel`]: what a model can do when its type is not known. A trait of your own asks for it
//! and becomes an interface of a registry.

use candle_core::{DType, Device, Var};
use serde_json::Value;

use super::transfer::{self, Growth};
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

    /// Makes training leave a part of the model alone, or stop leaving it alone: a network
    /// (`encoder`), a tensor (`encoder/embedding.weight`), or all tensors of a module
    /// (`encoder/embedding`). Its weights stay as they are, and its buffers too. A bundle says what
    /// is frozen; its digest does not depend on it.
    ///
    /// # Errors
    /// If there is no such part.
    fn set_frozen(&mut self, part: &str, frozen: bool) -> Result<()>;

    /// Starts from the weights of another model: takes over the tensors of these networks, or of all
    /// networks if none is named. The other model may be of another type; a network is taken whole,
    /// with equal names, shapes and dtypes, or not at all. Parameters are not compared: that a
    /// vocabulary is the same is for you to know.
    ///
    /// The provenance notes under `started_from` the other model's name, version and digest, which
    /// networks were taken and which are fresh.
    ///
    /// # Errors
    /// If a network or tensor is missing, left over or another; the message lists all that is
    /// wrong, and the model is as it was.
    fn take_from(&mut self, source: &Snapshot, networks: &[&str]) -> Result<()>;

    /// Starts from the weights of a smaller model, such as one that knows fewer tokens. A tensor
    /// whose dimensions are equal, or have [grown](Growth), begins with the other model's values and
    /// keeps its initial ones beyond them: the embedding of an old token is taken, that of a new one
    /// is fresh.
    ///
    /// The provenance notes what [`take_from`](AnyModel::take_from) does, and the tensors that have
    /// grown.
    ///
    /// # Errors
    /// Those of [`take_from`](AnyModel::take_from), for every tensor that differs by more than the
    /// growth.
    fn grow_from(&mut self, source: &Snapshot, networks: &[&str], growth: Growth) -> Result<()>;

    /// The model without its type, to [save](Snapshot::save) or to look at. Its tensors share
    /// memory with the model: training on changes both.
    ///
    /// A model is rebuilt from the snapshot, and must behave as this one does.
    ///
    /// # Errors
    /// If the golden inputs or outputs cannot be computed or stored, or the rebuilt model behaves
    /// otherwise: this one keeps something outside of its tensors and parameters.
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

    /// Every weight as a variable with its full name, `network/tensor`, in a fixed order: networks
    /// as declared, tensors by name. Empty for a model loaded for inference.
    fn vars(&self) -> Vec<(String, Var)> {
        named(self.networks(), |network| network.vars().collect())
    }

    /// The weights that are not frozen: what an optimiser moves.
    fn trainable_vars(&self) -> Vec<(String, Var)> {
        named(self.networks(), |network| {
            let vars = network.vars();
            vars.filter(|(name, _)| !network.is_tensor_frozen(name))
                .collect()
        })
    }

    /// Every buffer as a variable with its full name: state that is kept and not optimised, such as
    /// the running statistics of a batch norm.
    fn buffers(&self) -> Vec<(String, Var)> {
        named(self.networks(), |network| network.buffers().collect())
    }

    /// The names of all that is [frozen](AnyModel::set_frozen), as `set_frozen` takes them.
    fn frozen(&self) -> Vec<String> {
        let networks = self.networks().iter();
        networks.flat_map(Network::frozen).collect()
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T: super::AtlasModel> Sealed for super::Model<T> {}
}

/// Variables of each network, with their full names.
fn named<'a>(
    networks: &'a [Network],
    vars: impl Fn(&'a Network) -> Vec<(&'a str, Var)>,
) -> Vec<(String, Var)> {
    let mut named = Vec::new();
    for network in networks {
        let full = |(name, var)| (format!("{}/{name}", network.name()), var);
        named.extend(vars(network).into_iter().map(full));
    }
    named
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

    fn set_frozen(&mut self, part: &str, frozen: bool) -> Result<()> {
        let (name, within) = match part.split_once('/') {
            Some((network, within)) => (network, Some(within)),
            None => (part, None),
        };
        let networks = self.networks.iter_mut();
        for network in networks.filter(|network| network.name() == name) {
            if network.set_frozen(within, frozen) {
                return Ok(());
            }
        }
        Err(Error::new(match within {
            Some(within) if T::NETWORKS.contains(&name) => {
                format!("network `{name}` has no tensor or module `{within}`")
            }
            _ => format!(
                "`{}` has no network `{name}`; it has {}",
                T::NAME,
                T::NETWORKS.join(", ")
            ),
        }))
    }

    fn take_from(&mut self, source: &Snapshot, networks: &[&str]) -> Result<()> {
        transfer::take_from(self, source, networks, None)
    }

    fn grow_from(&mut self, source: &Snapshot, networks: &[&str], growth: Growth) -> Result<()> {
        transfer::take_from(self, source, networks, Some(growth))
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let Value::Object(params) = self.params_json() else {
            return Err(Error::internal("parameters are not an object"));
        };
        let networks = self.networks.iter();
        let snapshot = Snapshot {
            model: T::NAME.to_owned(),
            version: T::VERSION,
            dtype: self.dtype,
            params,
            networks: networks
                .map(|network| (network.name().to_owned(), network.detached()))
                .collect(),
            golden: golden::record(self)?,
            frozen: self.frozen().into_iter().collect(),
            checkpoint: None,
            provenance: self.provenance.clone(),
        };
        golden::prove(self, &snapshot)?;
        Ok(snapshot)
    }
}
