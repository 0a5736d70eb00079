//! The model trait, its creation, and the model together with everything that specifies it.

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use candle_core::{DType, Device, Var};
use serde_json::Value;

use crate::bundle::{self, LoadOptions};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::golden::GoldenFns;
use crate::import::{self, ImportOptions};
use crate::migration::Migration;
use crate::network::{NetworkVars, Networks};
use crate::params::Params;
use crate::provenance::Provenance;

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
    /// The hyperparameters.
    type Params: Params;

    /// Builds the model; `networks` decides whether tensors are initialised or read.
    ///
    /// # Errors
    /// What building a network returns.
    fn build(params: &Self::Params, networks: &Networks) -> Result<Self>;

    /// The steps from older versions to this one.
    fn migrations() -> Vec<Migration> {
        Vec::new()
    }

    /// How the behaviour check is computed, for models that have one.
    #[doc(hidden)]
    fn behaviour() -> Option<GoldenFns<Self>> {
        None
    }

    /// A new model with a random seed, on the CPU, in f32.
    ///
    /// # Errors
    /// As [`AtlasModel::create_with`].
    fn create(params: Self::Params) -> Result<Model<Self>> {
        Self::create_with(params, CreateOptions::new())
    }

    /// A new model.
    ///
    /// # Errors
    /// If a parameter breaks a constraint (all that do are reported), if the tensors would take
    /// more memory than allowed, or if building a network fails.
    fn create_with(params: Self::Params, options: CreateOptions) -> Result<Model<Self>> {
        Model::create_with(params, options)
    }

    /// The model in the bundle at `path`, for inference, on the CPU.
    ///
    /// # Errors
    /// As [`AtlasModel::load_with`].
    fn load(path: impl AsRef<Path>) -> Result<Model<Self>> {
        Self::load_with(path, LoadOptions::new())
    }

    /// The model in the bundle at `path`.
    ///
    /// # Errors
    /// If the bundle is not exactly what this model saves: absent, incomplete, altered, of another
    /// model or a newer version, with other parameters, tensors or behaviour. The message says
    /// what differs.
    fn load_with(path: impl AsRef<Path>, options: LoadOptions) -> Result<Model<Self>> {
        Model::load_with(path, options)
    }

    /// The model that the Python system before Atlas left in the folder at `path`: `args.json`
    /// with every parameter, and for each network a `NAME.pt`, the `state_dict` of its module as
    /// `torch.save` writes it.
    ///
    /// As strict as a load: the folder holds these files and no others, every parameter and tensor
    /// of the model is there, with its dtype and shape, and nothing is left over. Files are read as
    /// data: one that asks for anything but tensors is refused.
    ///
    /// Of PyTorch's dtypes that no bundle holds, `bool` becomes u8, `int8` i16 and `uint16` u32,
    /// with the same values; complex numbers, `uint64` and the floats of eight bits are refused.
    ///
    /// # Errors
    /// If anything is missing, left over, or cannot be read; the message lists all that is wrong.
    fn import(path: impl AsRef<Path>, options: ImportOptions) -> Result<Model<Self>> {
        Model::import(path, options)
    }
}

/// How a model is created.
///
/// ```
/// use atlas_core::CreateOptions;
/// use candle_core::DType;
///
/// let options = CreateOptions::new().seed(7).dtype(DType::F64);
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    pub(crate) seed: Option<u64>,
    pub(crate) device: Device,
    pub(crate) dtype: DType,
    pub(crate) max_bytes: u64,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            seed: None,
            device: Device::Cpu,
            dtype: DType::F32,
            max_bytes: 1 << 37,
        }
    }
}

impl CreateOptions {
    /// A random seed, the CPU, f32, at most 128 GiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// The seed of the initial values. Equal seeds and parameters give bit-identical tensors, on
    /// any device and number of threads. Without it one is drawn, and recorded in the provenance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The device the tensors are moved to.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The dtype of tensors for which the model names none: f32, f64, f16 or bf16.
    #[must_use]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The most bytes that the model's tensors may take in all: parameters that ask for more are
    /// refused before anything is allocated. 128 GiB unless set.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}

/// A model together with all that specifies it: parameters, every network's tensors, device,
/// provenance.
///
/// It derefs to the model, so its fields and methods are used directly. Nothing gives mutable
/// access to the model or its parameters: what is saved is what was created. Training changes the
/// values of the [variables](Model::vars), not the model.
pub struct Model<T: AtlasModel> {
    inner: T,
    params: T::Params,
    networks: Vec<NetworkVars>,
    dtype: DType,
    device: Device,
    provenance: Provenance,
}

impl<T: AtlasModel> Model<T> {
    /// As [`AtlasModel::create`].
    ///
    /// # Errors
    /// As [`AtlasModel::create_with`].
    pub fn create(params: T::Params) -> Result<Self> {
        Self::create_with(params, CreateOptions::new())
    }

    /// As [`AtlasModel::create_with`].
    ///
    /// # Errors
    /// As [`AtlasModel::create_with`].
    pub fn create_with(params: T::Params, options: CreateOptions) -> Result<Self> {
        params
            .validate()
            .map_err(|error| error.within(format_args!("`{}`", T::NAME)))?;
        check_dtype(options.dtype)?;
        let seed = match options.seed {
            Some(seed) => seed,
            None => getrandom::u64()
                .map_err(|error| Error::new(format_args!("cannot draw a seed: {error}")))?,
        };
        let CreateOptions {
            dtype,
            device,
            max_bytes,
            ..
        } = options;
        let networks = Networks::seeded(T::NETWORKS, seed, max_bytes, dtype, device.clone());
        let built = T::build(&params, &networks);
        let (inner, networks) = networks
            .finish(built)
            .map_err(|error| error.within(format_args!("`{}`", T::NAME)))?;
        Ok(Self {
            inner,
            params,
            networks,
            dtype,
            device,
            provenance: Provenance::new(seed),
        })
    }

    /// As [`AtlasModel::load`].
    ///
    /// # Errors
    /// As [`AtlasModel::load_with`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, LoadOptions::new())
    }

    /// As [`AtlasModel::load_with`].
    ///
    /// # Errors
    /// As [`AtlasModel::load_with`].
    pub fn load_with(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self> {
        bundle::load(path.as_ref(), &options)
    }

    /// As [`AtlasModel::import`].
    ///
    /// # Errors
    /// As [`AtlasModel::import`].
    pub fn import(path: impl AsRef<Path>, options: ImportOptions) -> Result<Self> {
        import::import(path.as_ref(), &options)
    }

    pub(crate) fn from_parts(
        inner: T,
        params: T::Params,
        networks: Vec<NetworkVars>,
        dtype: DType,
        device: Device,
        provenance: Provenance,
    ) -> Self {
        Self {
            inner,
            params,
            networks,
            dtype,
            device,
            provenance,
        }
    }

    /// The hyperparameters.
    pub fn params(&self) -> &T::Params {
        &self.params
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

/// What every [`Model`] can do, whatever its type: what a trait object of a model offers.
pub trait AnyModel {
    /// The model's identity in bundles.
    fn name(&self) -> &'static str;

    /// The version of the parameter schema.
    fn version(&self) -> u32;

    /// The hyperparameters as a bundle stores them.
    fn params_json(&self) -> Value;

    /// Every network's tensors, in the order the networks were declared.
    fn networks(&self) -> &[NetworkVars];

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

    /// Saves the model as a bundle: all of it or nothing. A bundle that is already there is
    /// replaced in one step; anything else that is there is left alone, with an error.
    ///
    /// # Errors
    /// If the path holds something that is not a bundle, if the behaviour check cannot be computed
    /// or stored, or if writing fails; what was there before is then still there, whole. Where a
    /// disk fails after the bundles have changed places and refuses to change them back, the error
    /// says where the old one is.
    fn save(&self, path: &Path) -> Result<()>;

    /// As [`AnyModel::save`], with what training needs to go on from here; both are there or
    /// neither. The bundle is one like any other: it has the model's digest and is loaded as usual.
    ///
    /// # Errors
    /// As [`AnyModel::save`].
    fn save_checkpoint(&self, path: &Path, checkpoint: &Checkpoint) -> Result<()>;

    /// The content digest that a bundle of this model has: 64 hexadecimal digits of BLAKE3 over
    /// name, version, parameters, tensors and golden cases. Equal models have equal digests.
    ///
    /// # Errors
    /// If a tensor cannot be read from its device or a golden case cannot be computed.
    fn digest(&self) -> Result<String>;

    /// The network of that name.
    fn network(&self, name: &str) -> Option<&NetworkVars> {
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

fn vars_of<'a>(networks: impl Iterator<Item = &'a NetworkVars>) -> Vec<(String, Var)> {
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
        crate::params::ParamValue::to_json(&self.params)
    }

    fn networks(&self) -> &[NetworkVars] {
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

    fn save(&self, path: &Path) -> Result<()> {
        bundle::save(self, None, path)
    }

    fn save_checkpoint(&self, path: &Path, checkpoint: &Checkpoint) -> Result<()> {
        bundle::save(self, Some(checkpoint), path)
    }

    fn digest(&self) -> Result<String> {
        bundle::digest(self)
    }
}

/// Inherent twins of the [`AnyModel`] methods, so that they need no import and take any path.
impl<T: AtlasModel> Model<T> {
    /// As [`AnyModel::networks`].
    pub fn networks(&self) -> &[NetworkVars] {
        &self.networks
    }

    /// As [`AnyModel::network`].
    pub fn network(&self, name: &str) -> Option<&NetworkVars> {
        AnyModel::network(self, name)
    }

    /// As [`AnyModel::vars`].
    pub fn vars(&self) -> Vec<(String, Var)> {
        AnyModel::vars(self)
    }

    /// As [`AnyModel::provenance`].
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// As [`AnyModel::save`].
    ///
    /// # Errors
    /// As [`AnyModel::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        bundle::save(self, None, path.as_ref())
    }

    /// As [`AnyModel::save_checkpoint`].
    ///
    /// # Errors
    /// As [`AnyModel::save`].
    pub fn save_checkpoint(&self, path: impl AsRef<Path>, checkpoint: &Checkpoint) -> Result<()> {
        bundle::save(self, Some(checkpoint), path.as_ref())
    }

    /// As [`AnyModel::digest`].
    ///
    /// # Errors
    /// As [`AnyModel::digest`].
    pub fn digest(&self) -> Result<String> {
        bundle::digest(self)
    }
}

/// A model's own dtype is a float's.
pub(crate) fn check_dtype(dtype: DType) -> Result<()> {
    match dtype {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Ok(()),
        other => Err(Error::new(format_args!(
            "a model is of dtype F32, F64, F16 or BF16, not {other:?}"
        ))),
    }
}
