//! Models of the Python system that came before: `args.json` and a `NAME.pt` for each network.

mod archive;
mod args;
mod dtype;
mod legacy;
mod pickle;
mod tensor_ref;
mod torch_file;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;

use candle_core::{DType, Device};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::model::{AtlasModel, Model, check_dtype};
use crate::network::{Networks, Stored, Tensors};
use crate::params::{Params, Problem, Report};
use crate::provenance::Provenance;

/// The file of the parameters.
const ARGS: &str = "args.json";
/// The topic of the note that an import leaves in the provenance.
const NOTE: &str = "imported";

/// How a model of the Python system is imported.
///
/// ```
/// use atlas_core::ImportOptions;
/// use candle_core::DType;
///
/// let options = ImportOptions::new().dtype(DType::F64);
/// ```
#[derive(Clone, Debug)]
pub struct ImportOptions {
    device: Device,
    dtype: DType,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            dtype: DType::F32,
        }
    }
}

impl ImportOptions {
    /// On the CPU, in f32.
    pub fn new() -> Self {
        Self::default()
    }

    /// The device the tensors are moved to.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The dtype of tensors for which the model names none: f32, f64, f16 or bf16. Nothing is
    /// converted: the files hold tensors of it.
    #[must_use]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }
}

/// The model that the folder at `path` describes.
pub(crate) fn import<T: AtlasModel>(path: &Path, options: &ImportOptions) -> Result<Model<T>> {
    check_dtype(options.dtype)?;
    check_names(path, T::NETWORKS)?;
    let mut sources = Map::new();
    let params = read_params::<T>(path, &mut sources)?;
    let tensors = read_networks(path, T::NETWORKS, &mut sources)?;

    let stored = Stored::new(path.to_owned(), tensors, false, false);
    let networks = Networks::stored(T::NETWORKS, stored, options.dtype, options.device.clone());
    let built = T::build(&params, &networks);
    let (inner, networks) = networks
        .finish(built)
        .map_err(|error| match error.is_mismatch() {
            true => error,
            false => error.within(path.display()),
        })?;
    let mut provenance = Provenance::unseeded();
    provenance.note(NOTE, json!({ "files": sources }));
    Ok(Model::from_parts(
        inner,
        params,
        networks,
        options.dtype,
        options.device.clone(),
        provenance,
    ))
}

/// The file of a network.
fn file_name(network: &str) -> String {
    format!("{network}.pt")
}

/// An error unless the folder holds the files of these networks, the parameters, and no more.
fn check_names(path: &Path, networks: &[&str]) -> Result<()> {
    let failed = |error| Error::io("read the folder", path, error);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        found.insert(name.to_string_lossy().into_owned());
    }
    let expected: BTreeSet<String> = networks
        .iter()
        .map(|network| file_name(network))
        .chain([ARGS.to_owned()])
        .collect();
    let missing = expected.difference(&found);
    let unknown = found.difference(&expected);
    let names: Vec<&str> = expected.iter().map(String::as_str).collect();
    let surplus = format!("the model has {}", names.join(", "));
    let problems = missing
        .map(|name| Problem::new(name, "missing"))
        .chain(unknown.map(|name| Problem::new(name, &surplus)));
    Report::from_iter(problems).into_result(|report| Error::import(path, report))
}

fn read_params<T: AtlasModel>(path: &Path, sources: &mut Map<String, Value>) -> Result<T::Params> {
    let path = path.join(ARGS);
    let mut file = open(&path)?;
    let mut bytes = Vec::new();
    let read = (&mut file).take(args::LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("read", &path, error))?;
    if bytes.len() as u64 > args::LARGEST {
        let why = format!("it is larger than {} bytes", args::LARGEST);
        return Err(Error::import(&path, why.as_str()));
    }
    sources.insert(ARGS.to_owned(), source(&path, &mut file)?);
    let value =
        args::parse(&bytes).map_err(|error| Error::import(&path, error.to_string().as_str()))?;
    T::Params::from_stored(&value).map_err(|error| error.within(path.display()))
}

/// The tensors of every network; where files cannot be read, all that is wrong with any.
fn read_networks(
    path: &Path,
    networks: &[&str],
    sources: &mut Map<String, Value>,
) -> Result<Tensors> {
    let mut tensors = BTreeMap::new();
    let mut problems = Vec::new();
    for network in networks {
        let name = file_name(network);
        let path = path.join(&name);
        let mut file = open(&path)?;
        sources.insert(name, source(&path, &mut file)?);
        match torch_file::read(network, file) {
            Ok(read) => drop(tensors.insert((*network).to_owned(), read)),
            Err(more) => problems.extend(more),
        }
    }
    Report::from_iter(problems).into_result(|report| Error::import(path, report))?;
    Ok(tensors)
}

/// Opens a file, which is no pipe that never ends.
fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io("open", path, error);
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::import(path, "it is not a plain file"));
    }
    File::open(path).map_err(failed)
}

/// What the provenance says of a file that is read from its beginning.
fn source(path: &Path, file: &mut File) -> Result<Value> {
    let mut hasher = blake3::Hasher::new();
    let digested = file
        .rewind()
        .and_then(|()| io::copy(file, &mut hasher))
        .and_then(|bytes| file.rewind().map(|()| bytes));
    let bytes = digested.map_err(|error| Error::io("read", path, error))?;
    Ok(json!({ "bytes": bytes, "blake3": hasher.finalize().to_hex().as_str() }))
}
