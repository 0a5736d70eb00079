//! Loading: everything is checked before anything is given out.

use candle_core::{DType, Device};
use serde_json::Value;

use super::{AnyModel as _, AtlasModel, Model, golden};
use crate::build::NetworkBuilder;
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::migration;
use crate::params::{ParamValue, Params};
use crate::snapshot::Snapshot;
use crate::tensors;

/// How a model is made of a bundle or a snapshot. Nothing here can change a parameter.
///
/// ```
/// use atlas_core::LoadOptions;
///
/// let options = LoadOptions::new().trainable(true);
/// ```
#[derive(Clone, Debug)]
pub struct LoadOptions {
    device: Device,
    cast: Option<DType>,
    trainable: bool,
    golden: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            cast: None,
            trainable: false,
            golden: true,
        }
    }
}

impl LoadOptions {
    /// On the CPU, as saved, for inference, with the behaviour check.
    pub fn new() -> Self {
        Self::default()
    }

    /// The device the tensors are moved to.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Converts the model's float tensors to another float dtype. Without it every tensor is
    /// bit-identical to the saved one, and a tensor of another dtype than the model asks for is an
    /// error. The behaviour check runs before the cast, where the operations do, and in the new
    /// dtype, with the [tolerance](crate::Golden#tolerance) of the coarser of the two.
    /// What the model is given is yours to cast: [`dtype`](crate::AnyModel::dtype) says to what.
    #[must_use]
    pub fn cast(mut self, dtype: DType) -> Self {
        self.cast = Some(dtype);
        self
    }

    /// Whether tensors are variables that can be trained on. Without it the model builds no
    /// autograd graph. Buffers are variables in any case: candle's batch norm takes them out of the
    /// graph, and a layer of your own by `Var::as_detached_tensor`.
    #[must_use]
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    /// Whether the behaviour check is run, for models that have one. It is unless this says not.
    #[must_use]
    pub fn golden(mut self, golden: bool) -> Self {
        self.golden = golden;
        self
    }

    /// An error if no model can be loaded so.
    pub(super) fn check(&self) -> Result<()> {
        self.cast.map_or(Ok(()), tensors::check_model_dtype)
    }
}

/// The model in an opened bundle. What the manifest alone shows is checked before any tensor is
/// read.
pub(crate) fn load<T: AtlasModel>(bundle: &Bundle, options: &LoadOptions) -> Result<Model<T>> {
    let in_bundle = |error: Error| {
        if error.is_params() {
            error.within(bundle.manifest_path().display())
        } else {
            error.within(bundle.path().display())
        }
    };
    check_identity::<T>(bundle.model(), bundle.version()).map_err(in_bundle)?;
    if bundle.version() == T::VERSION {
        let params = T::Params::from_stored(&bundle.params()).map_err(in_bundle)?;
        bundle.check_spelling(params.to_json())?;
        let names = bundle.networks().map(|network| network.name());
        check_networks::<T>(names).map_err(in_bundle)?;
    }
    let snapshot = bundle.read_snapshot()?;
    from_snapshot(snapshot, options).map_err(in_bundle)
}

/// The model that the snapshot specifies.
pub(super) fn from_snapshot<T: AtlasModel>(
    mut snapshot: Snapshot,
    options: &LoadOptions,
) -> Result<Model<T>> {
    let saved_dtype = snapshot.dtype;
    let dtype = options.cast.unwrap_or(saved_dtype);
    tensors::check_model_dtype(dtype)?;
    check_identity::<T>(&snapshot.model, snapshot.version)?;
    if options.golden && dtype != saved_dtype {
        check_as_saved::<T>(&snapshot, options)?;
    }
    let is_migrated = snapshot.version < T::VERSION;
    migration::migrate(&mut snapshot, &T::migrations(), T::VERSION)?;
    let params = T::Params::from_stored(&Value::Object(snapshot.params))?;
    check_networks::<T>(snapshot.networks.keys().map(String::as_str))?;
    let builder = NetworkBuilder::stored(
        super::declared::<T>(),
        snapshot.networks,
        options.cast.is_some(),
        options.trainable,
        dtype,
        options.device.clone(),
    );
    let built = T::build(&params, &builder);
    let (inner, networks) = builder.finish(built)?;
    let mut model = Model {
        inner,
        params,
        networks,
        dtype,
        device: options.device.clone(),
        provenance: snapshot.provenance,
    };
    for part in &snapshot.frozen {
        match model.set_frozen(part, true) {
            // A step may have taken away what was frozen.
            Err(_) if is_migrated => {}
            frozen => frozen.map_err(|error| error.within("what is frozen"))?,
        }
    }
    if options.golden {
        let record = snapshot.golden.as_ref();
        golden::check(&model, record, saved_dtype, is_migrated)?;
    }
    Ok(model)
}

/// An error if the model that is to be cast behaves otherwise before it is: what the tolerance of a
/// coarser dtype would hide. Its operations need not run here in the dtype that it was saved in.
fn check_as_saved<T: AtlasModel>(snapshot: &Snapshot, options: &LoadOptions) -> Result<()> {
    let as_saved = LoadOptions {
        cast: None,
        trainable: false,
        ..options.clone()
    };
    match from_snapshot::<T>(snapshot.clone(), &as_saved) {
        Err(error) if error.is_behaviour() => Err(error),
        _ => Ok(()),
    }
}

/// An error unless a snapshot of that model and version can become a `T`.
fn check_identity<T: AtlasModel>(model: &str, version: u32) -> Result<()> {
    if model != T::NAME {
        return Err(Error::wrong_model(model, T::NAME));
    }
    migration::check_steps(T::NAME, &T::migrations(), version, T::VERSION)
}

/// An error if there are networks that the model does not have.
fn check_networks<'a, T: AtlasModel>(mut names: impl Iterator<Item = &'a str>) -> Result<()> {
    match names.find(|network| !T::NETWORKS.contains(network)) {
        Some(unknown) => {
            let why = format!(
                "it holds a network `{unknown}`; `{}` has {}",
                T::NAME,
                T::NETWORKS.join(", ")
            );
            Err(Error::mismatch(why.as_str()))
        }
        None => Ok(()),
    }
}
