//! Loading: everything is checked before anything is given out.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device};
use serde_json::Value;

use super::golden::{self, Outputs};
use super::manifest::{self, Content};
use super::staging::Place;
use super::{Bundle, tensor_file};
use crate::error::{Error, Result};
use crate::migration::Migrating;
use crate::model::{AnyModel, AtlasModel, Model, check_dtype};
use crate::network::{Networks, Stored};
use crate::params::Params;

/// How a bundle is loaded. Nothing here can change a parameter.
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
    /// error.
    #[must_use]
    pub fn cast(mut self, dtype: DType) -> Self {
        self.cast = Some(dtype);
        self
    }

    /// Whether tensors are variables that can be trained on. Without it the model builds no
    /// autograd graph.
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
}

/// The model in the bundle at `path`.
pub(crate) fn load<T: AtlasModel>(path: &Path, options: &LoadOptions) -> Result<Model<T>> {
    if let Some(dtype) = options.cast {
        check_dtype(dtype)?;
    }
    if let Ok(place) = Place::of(path) {
        place.tidy();
    }
    Bundle::read(path, |bundle| read(bundle, options))
}

fn read<T: AtlasModel>(bundle: &Bundle, options: &LoadOptions) -> Result<Model<T>> {
    let content = &bundle.manifest.content;
    if content.model != T::NAME {
        return Err(Error::wrong_model(bundle.path(), &content.model, T::NAME));
    }
    if content.version > T::VERSION {
        return Err(Error::version(
            bundle.path(),
            T::NAME,
            content.version,
            T::VERSION,
        ));
    }
    let stored_dtype = model_dtype(bundle)?;
    // Parameters of this version are read before any tensor is.
    if content.version == T::VERSION {
        check_spelling(bundle, &read_params::<T>(bundle, &content.params)?)?;
        let names = content.networks.iter().map(|file| file.name.as_str());
        check_networks::<T>(bundle, names)?;
    }
    check_sizes(bundle)?;
    let migrated = migrate::<T>(bundle, content, options.trainable)?;
    let params = read_params::<T>(bundle, &migrated.params)?;

    let dtype = options.cast.unwrap_or(stored_dtype);
    check_networks::<T>(bundle, migrated.tensors.keys().map(String::as_str))?;
    let stored = Stored::new(
        bundle.path().to_owned(),
        migrated.tensors,
        options.cast.is_some(),
        options.trainable,
    );
    let networks = Networks::stored(T::NETWORKS, stored, dtype, options.device.clone());
    let built = T::build(&params, &networks);
    let (inner, networks) = networks
        .finish(built)
        .map_err(|error| match error.is_mismatch() {
            true => error,
            false => error.within(bundle.path().display()),
        })?;
    let provenance = bundle.manifest.evidence.provenance.clone();
    let model = Model::from_parts(
        inner,
        params,
        networks,
        dtype,
        options.device.clone(),
        provenance,
    );
    check_behaviour(bundle, &model, options)?;
    Ok(model)
}

fn read_params<T: AtlasModel>(
    bundle: &Bundle,
    params: &serde_json::Map<String, Value>,
) -> Result<T::Params> {
    T::Params::from_stored(&Value::Object(params.clone()))
        .map_err(|error| error.within(bundle.manifest_path().display()))
}

/// An error unless the parameters are stored exactly as this program writes them: `1` for a float
/// would be a bundle of the same model with another digest.
fn check_spelling<P: Params>(bundle: &Bundle, params: &P) -> Result<()> {
    let written = manifest::stored_params(params.to_json())?;
    let stored = &bundle.manifest.content.params;
    let differs = |(name, value): &(&String, &Value)| {
        stored.get(*name).map(Value::to_string) != Some(value.to_string())
    };
    match written.iter().find(differs) {
        None => Ok(()),
        Some((name, value)) => {
            let why = format!("parameter `{name}` is not written as Atlas writes it, `{value}`");
            Err(Error::corrupt(&bundle.manifest_path(), why))
        }
    }
}

fn model_dtype(bundle: &Bundle) -> Result<DType> {
    bundle
        .dtype()
        .ok_or_else(|| Error::internal("a manifest was accepted that names no dtype"))
}

/// Reads every network's tensors and takes parameters and tensors to the model's version.
fn migrate<T: AtlasModel>(
    bundle: &Bundle,
    content: &Content,
    trainable: bool,
) -> Result<Migrating> {
    let steps = T::migrations();
    let step = |version| steps.iter().find(|step| step.from() == version);
    let versions = content.version..T::VERSION;
    if versions.clone().any(|version| step(version).is_none()) {
        return Err(Error::version(
            bundle.path(),
            T::NAME,
            content.version,
            T::VERSION,
        ));
    }
    // A step would build a graph of what it does to variables.
    let trainable = trainable && versions.is_empty();
    let mut tensors = BTreeMap::new();
    for network in &content.networks {
        let read = bundle.read_tensors(network, trainable)?;
        tensors.insert(network.name.clone(), read);
    }
    let mut migrating = Migrating {
        params: content.params.clone(),
        tensors,
    };
    for step in versions.filter_map(step) {
        step.run(&mut migrating)
            .map_err(|error| error.within(bundle.path().display()))?;
    }
    Ok(migrating)
}

/// An error if there is not memory for all files that a load reads: each by itself may fit.
fn check_sizes(bundle: &Bundle) -> Result<()> {
    let Content { networks, .. } = &bundle.manifest.content;
    let golden = bundle.manifest.evidence.golden.as_ref();
    if let Some(file) = golden {
        golden::check_inputs(&bundle.file_path(file), file)?;
    }
    let files = networks.iter().chain(golden);
    let bytes = files.fold(0_u64, |all, file| all.saturating_add(file.bytes));
    tensor_file::check_memory(bytes)
        .map_err(|why| Error::too_large(bundle.path().display().to_string(), why))
}

/// An error if there are networks that the model does not have.
fn check_networks<'a, T: AtlasModel>(
    bundle: &Bundle,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    match names.find(|network| !T::NETWORKS.contains(network)) {
        Some(unknown) => {
            let why = format!(
                "it holds a network `{unknown}`; `{}` has {}",
                T::NAME,
                T::NETWORKS.join(", ")
            );
            Err(Error::mismatch(bundle.path(), why.as_str()))
        }
        None => Ok(()),
    }
}

fn check_behaviour<T: AtlasModel>(
    bundle: &Bundle,
    model: &Model<T>,
    options: &LoadOptions,
) -> Result<()> {
    let content = &bundle.manifest.content;
    let stored = bundle.manifest.evidence.golden.as_ref();
    let golden = content.golden.as_ref().zip(stored);
    let Some((inputs, file)) = golden else {
        // An older version of the model may have had none.
        let is_missing = T::behaviour().is_some() && content.version == T::VERSION;
        return match is_missing && options.golden {
            true => Err(Error::behaviour(
                bundle.path(),
                "it holds no behaviour check, and the model has one",
            )),
            false => Ok(()),
        };
    };
    let path = bundle.file_path(file);
    let stored = golden::Stored::new(&path, bundle.tensors_of(file)?, inputs)?;
    let which = match content.version == T::VERSION {
        true => Outputs::Same,
        false => Outputs::SomeInCommon,
    };
    // A cast changes outputs on purpose; the dtype's own tolerance cannot cover that.
    if options.golden && AnyModel::dtype(model) == model_dtype(bundle)? {
        golden::check(model, &path, stored, which)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;
    use candle_nn::VarBuilder;
    use tempfile::TempDir;

    use super::*;
    use crate::prelude::*;
    use crate::storage;

    #[expect(dead_code, reason = "what is tested is the bundle")]
    #[derive(AtlasModel)]
    struct Two {
        #[param(default = 1)]
        width: usize,
        #[network(with = build)]
        first: Tensor,
        #[network(with = build)]
        second: Tensor,
    }

    fn build(params: &TwoParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
        vb.get(params.width, "weight")
    }

    #[test]
    fn files_that_fit_by_themselves_and_not_together_are_refused() {
        let Some(memory) = storage::machine_memory() else {
            eprintln!("skipped: this system does not tell how much memory it has");
            return;
        };
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("two");
        Two::create(TwoParams::default())
            .unwrap()
            .save(&path)
            .unwrap();
        let mut bundle = Bundle::open(&path).unwrap();
        check_sizes(&bundle).unwrap();
        for file in &mut bundle.manifest.content.networks {
            file.bytes = memory / 2 + 1;
        }
        let error = check_sizes(&bundle).unwrap_err();
        assert!(error.is_too_large(), "{error}");
        assert!(
            error
                .to_string()
                .ends_with(&format!("this machine has {memory}")),
            "{error}"
        );
    }
}
