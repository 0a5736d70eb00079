//! Models: the trait that a struct derives, and the model together with all that specifies it.

mod any;
mod create;
mod golden;
mod interfaces;
mod load;
mod transfer;

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use candle_core::{DType, Device};

pub use any::AnyModel;
pub use create::CreateOptions;
pub use golden::{Golden, GoldenFns};
pub use load::LoadOptions;
pub(crate) use load::load;
pub use transfer::Growth;

use crate::build::{Declared, Network, NetworkBuilder};
use crate::bundle::Bundle;
use crate::error::Result;
use crate::migration::Migration;
use crate::params::Params;
use crate::snapshot::{Provenance, Snapshot};

/// A neural model: its identity, its parameters, and how its networks are built from them.
///
/// Implemented by `#[derive(AtlasModel)]` ([reference](macro@crate::AtlasModel)).
pub trait AtlasModel: Sized + 'static {
    /// The stable identity in every bundle.
    const NAME: &'static str;
    /// The version of the parameter schema.
    const VERSION: u32;
    /// The model's documentation.
    const DOC: &'static str;
    /// The names of the networks, in the order they were declared.
    const NETWORKS: &'static [&'static str];
    /// The tensors of each network that are kept and not optimised, besides `running_mean` and
    /// `running_var`.
    #[doc(hidden)]
    const BUFFERS: &'static [(&'static str, &'static [&'static str])] = &[];
    /// The hyperparameters.
    type Params: Params;

    /// Builds the model; `networks` decides whether tensors are initialised or come from a
    /// snapshot.
    ///
    /// # Errors
    /// What building a network returns.
    fn build(params: &Self::Params, networks: &NetworkBuilder) -> Result<Self>;

    /// The steps from older versions to this one.
    #[doc(hidden)]
    fn migrations() -> Vec<Migration> {
        Vec::new()
    }

    /// How the behaviour check is computed, for models that have one.
    #[doc(hidden)]
    fn golden() -> Option<GoldenFns<Self>> {
        None
    }

    /// A new model with a random seed, on the CPU, in f32.
    ///
    /// # Errors
    /// If a parameter breaks a constraint (all that do are reported), if the tensors would take
    /// more memory than allowed, or if building a network or computing its behaviour check fails.
    fn create(params: Self::Params) -> Result<Model<Self>> {
        Self::create_with(params, CreateOptions::new())
    }

    /// A new model, with a seed, on a device or in a dtype that the options name.
    ///
    /// # Errors
    /// Those of [`create`](AtlasModel::create).
    fn create_with(params: Self::Params, options: CreateOptions) -> Result<Model<Self>> {
        create::create(params, options)
    }

    /// The model in the bundle at `path`, for inference, on the CPU.
    ///
    /// # Errors
    /// If the bundle is not exactly what this model saves: absent, incomplete, altered, of another
    /// model or a newer version, with other parameters, tensors or behaviour. The message says
    /// what differs.
    fn load(path: impl AsRef<Path>) -> Result<Model<Self>> {
        Self::load_with(path, LoadOptions::new())
    }

    /// The model in the bundle at `path`, to train on, on a device or in a dtype that the options
    /// name.
    ///
    /// # Errors
    /// Those of [`load`](AtlasModel::load).
    fn load_with(path: impl AsRef<Path>, options: LoadOptions) -> Result<Model<Self>> {
        options.check()?;
        let path = path.as_ref();
        Bundle::tidy(path);
        Bundle::read(path, |bundle| load(bundle, &options))
    }
}

/// The networks that the model declares.
fn declared<T: AtlasModel>() -> Declared {
    Declared {
        networks: T::NETWORKS,
        buffers: T::BUFFERS,
    }
}

/// A model together with all that specifies it: parameters, every network's tensors, device,
/// provenance.
///
/// It derefs to the model, so its fields and methods are used directly; what every model can do
/// is in [`AnyModel`]. Nothing gives mutable access to the model or its parameters: what is saved
/// is what was created. Training changes the values of the [variables](AnyModel::vars), not the
/// model.
pub struct Model<T: AtlasModel> {
    inner: T,
    params: T::Params,
    networks: Vec<Network>,
    dtype: DType,
    device: Device,
    provenance: Provenance,
}

impl<T: AtlasModel> Model<T> {
    /// The model that a snapshot specifies.
    ///
    /// A bundle is loaded this way, and so are tensors from elsewhere, with the same strictness:
    /// an older version is migrated, every parameter is there and valid, the tensors are exactly
    /// those that the model asks for, and the model behaves as the snapshot's golden outputs say.
    /// A snapshot of a model that Atlas has never run has none; for it say
    /// [`golden(false)`](LoadOptions::golden).
    ///
    /// # Errors
    /// If the snapshot is of another model or a newer version, or anything in it is missing, left
    /// over or different. The message lists all that is wrong.
    pub fn from_snapshot(snapshot: Snapshot, options: &LoadOptions) -> Result<Self> {
        load::from_snapshot(snapshot, options)
    }

    /// The hyperparameters.
    pub fn params(&self) -> &T::Params {
        &self.params
    }

    /// Saves the model as a bundle: all of it or nothing. A bundle that is already there, of whatever
    /// model, is replaced in one step, with the checkpoint that it may carry; anything else that is
    /// there is left alone, with an error.
    ///
    /// # Errors
    /// If the behaviour check cannot be computed, and those of [`Snapshot::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.snapshot()?.save(path)
    }
}

impl<T: AtlasModel> Deref for Model<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: AtlasModel> fmt::Debug for Model<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &T::NAME)
            .field("version", &T::VERSION)
            .field("params", &self.params)
            .field("dtype", &self.dtype)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
